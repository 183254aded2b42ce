#!/usr/bin/env bash
# Puts what compiles programs for a GPU that is not here into .cache/cuda-aot: XLA's CUDA plugin with ptxas and libdevice, from public
# wheels pinned in scripts/requirements-xla-cuda.txt, fetched once through pip (about 255 MB). No driver and no GPU is needed. Where they
# cannot be had, this says why in one line and ends with 0; a wheel with the wrong checksum is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

out=.cache/cuda-aot
list=$out/requirements.txt
plugin=$out/jax_plugins/xla_cuda13/xla_cuda_plugin.so

without() { say "NOTHING IS COMPILED FOR A GPU: $*."; exit 0; }

mkdir -p "$out"
grep -E '^(jax-cuda13-pjrt|nvidia-cuda-nvcc|nvidia-nvvm)==' scripts/requirements-xla-cuda.txt >"$list"

have() { [[ -s $plugin && -f $out/key && $(<"$out/key") == "$(sha256 "$list")" ]]; }
if have; then exit 0; fi
[[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] || without "the wheels are for Linux on x86-64, this is $(uname -s) on $(uname -m)"
why=$(no_pip)
[[ -z $why ]] || without "$why"

exec 9>"$out/lock"
flock 9
if have; then exit 0; fi

say "fetching what compiles for CUDA (about 255 MB, once)"
fresh=$out/fresh
rm -rf "$fresh"
mkdir "$fresh"
trap 'rm -rf "$fresh"' EXIT
if ! python3 -m pip download --quiet --no-deps --only-binary=:all: --retries 2 --require-hashes --dest "$fresh" -r "$list" >"$out/pip.log" 2>&1; then
  if grep -q 'DO NOT MATCH THE HASHES' "$out/pip.log"; then
    fail "a wheel of $list has another checksum than the one this project was tested with; nothing was installed. See $out/pip.log"
  fi
  without "pip could not fetch the wheels of $list: $(grep -v '^$' "$out/pip.log" | tail -1)"
fi

for wheel in "$fresh"/*.whl; do python3 -m zipfile -e "$wheel" "$fresh/x"; done
rm -rf "$out/jax_plugins" "$out/nvidia"
mkdir -p "$out/nvidia/cu13/bin" "$out/nvidia/cu13/nvvm"
mv "$fresh/x/jax_plugins" "$out/"
mv "$fresh/x/nvidia/cu13/bin/ptxas" "$out/nvidia/cu13/bin/"
mv "$fresh/x/nvidia/cu13/nvvm/libdevice" "$out/nvidia/cu13/nvvm/"
chmod 0755 "$out/nvidia/cu13/bin/ptxas" "$plugin"
sha256 "$list" >"$out/key"
say "installed $out"
