#!/usr/bin/env bash
# Puts XLA's CUDA plugin, and the libraries and tools of NVIDIA that it uses, into .cache/xla-cuda: public wheels, pinned by version and
# checksum in scripts/requirements-xla-cuda.txt, fetched by name through pip (whatever index pip is configured for). About 1.6 GB to fetch and 3.5 GB
# on disk. Needs neither a GPU nor a CUDA toolkit; to run programs the machine needs NVIDIA's driver, 580 or later.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

wheels=scripts/requirements-xla-cuda.txt
out=.cache/xla-cuda
plugin=$out/jax_plugins/xla_cuda13/xla_cuda_plugin.so

[[ "$(uname -s)-$(uname -m)" == Linux-x86_64 ]] || fail "the wheels in $wheels are for Linux on x86-64, and this is $(uname -s) on $(uname -m)"
key=$(sha256 "$wheels")
have() { [[ -s $plugin && -f $out.key && $(<"$out.key") == "$key" ]]; }
if have; then exit 0; fi
why=$(no_pip)
[[ -z $why ]] || fail "$why"

mkdir -p .cache
exec 9>"$out.lock"
flock 9
if have; then exit 0; fi

say "fetching the CUDA plugin and NVIDIA's libraries ($(grep -c '^[a-z]' "$wheels") wheels, about 1.6 GB, once)"
rm -rf "$out.fresh"
trap 'rm -rf "$out.fresh"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes --only-binary=:all: --retries 2 --no-cache-dir \
  --target "$out.fresh" --requirement "$wheels" || fail "pip could not install $wheels; what it says is above"
rm -rf "$out"
mv "$out.fresh" "$out"
printf '%s\n' "$key" >"$out.key"
say "installed $out ($(du -sh "$out" | cut -f1)); astro doctor says whether a GPU can use it"
