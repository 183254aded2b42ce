#!/usr/bin/env bash
# Lays out .cache/gpu-kit (or KIT): one folder that a bare GPU machine can run, with neither Go nor a network: the program, one program of
# all tests that run on a device, small fixtures, and run.sh. Both programs are packed with gzip, which run.sh undoes with its Python.
# The folder stays below 45 MiB, or this fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

kit=${KIT:-.cache/gpu-kit}
limit_mib=45
packages=(internal/device kernels sampler engine training/trainer)
fixtures=(model/testdata/hf model/gguf/testdata engine/testdata training/trainer/testdata models/astro-countdown)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say "building astro and the tests of ${packages[*]}"
go build -ldflags "-s -w ${RELEASE:+-X main.release=$RELEASE}" -o "$work/astro" ./cmd/astro
go run ./scripts/gpukit "$work/overlay" "${packages[@]}"
# no vet: the test's files stand in folders that only the compiler sees; make lint has vetted them where they are
go test -vet=off -c -tags invariants -ldflags '-s -w' -overlay "$work/overlay/overlay.json" -o "$work/device.test" ./internal/gpukit

rm -rf "$kit"
mkdir -p "$kit/bin"
for program in astro device.test; do gzip -9 -n -c "$work/$program" >"$kit/bin/$program.gz"; done
for dir in "${packages[@]}"; do mkdir -p "$kit/$dir"; done
for dir in "${fixtures[@]}"; do
  mkdir -p "$kit/$(dirname "$dir")"
  cp -r "$dir" "$kit/$dir"
done
cp go.mod LICENSE "$kit/" # tests look for the fixtures from the folder with go.mod
cp scripts/gpukit/kit/* "$kit/"
chmod +x "$kit/run.sh"
chmod -R a+rX "$kit"
size=$(du -s --apparent-size -k "$kit" | cut -f1)
((size < limit_mib * 1024)) || fail "$kit has $size KiB; want less than $limit_mib MiB"
say "laid out $kit ($((size / 1024)) MiB): copy it to a machine with a GPU and run run.sh there; astro in it is $(stat -c %s "$work/astro") bytes, the tests are $(stat -c %s "$work/device.test")"
