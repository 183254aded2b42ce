#!/usr/bin/env bash
# Puts XLA's CPU plugin at .cache/xla-cpu/pjrt_c_api_cpu_plugin.so: a public wheel, pinned by version and checksum, fetched
# once through pip (whatever index pip is configured for). The plugin is optional: where it cannot be had, this says why in
# one line and ends with 0, and astro runs on its Go backend. A wheel with the wrong checksum is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

wheel=xla-cpu-pjrt==0.0.1
out=.cache/xla-cpu
plugin=$out/pjrt_c_api_cpu_plugin.so

without() { say "no XLA CPU plugin: $*. Going on without it, on the Go backend."; exit 0; }

case "$(uname -s)-$(uname -m)" in
Linux-x86_64) want=55837b6b7b47daa717f2d9a5a03563ea0ceaa338d06a81a1e2d3f060d960decc ;;
Linux-aarch64) want=8f613be6e891858f40d64f9799319502fff42689661944fc18a6ffd8210b30c9 ;;
*) without "there is no wheel for $(uname -s) on $(uname -m)" ;;
esac

have() { [[ -s $plugin && -f $plugin.key && $(<"$plugin.key") == "$wheel $want" ]]; }
if have; then exit 0; fi
why=$(no_pip)
[[ -z $why ]] || without "$why"

mkdir -p "$out"
exec 9>"$out/lock"
flock 9
if have; then exit 0; fi

say "fetching the XLA CPU plugin ($wheel, about 60 MB, once)"
fresh=$out/fresh
rm -rf "$fresh"
mkdir "$fresh"
trap 'rm -rf "$fresh"' EXIT
python3 -m pip download --quiet --no-deps --only-binary=:all: --retries 2 --dest "$fresh" "$wheel" >"$out/pip.log" 2>&1 ||
  without "pip could not fetch $wheel: $(grep -v '^$' "$out/pip.log" | tail -1)"
got=$(sha256 "$fresh"/*.whl)
[[ $got == "$want" ]] || fail "the wheel $wheel has sha256 $got; want $want. It is not the file that this project was tested with; it was not installed."

python3 -m zipfile -e "$fresh"/*.whl "$fresh/x"
mv "$fresh/x/xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so" "$plugin.new"
chmod 0755 "$plugin.new"
mv "$plugin.new" "$plugin"
printf '%s\n' "$wheel $want" >"$plugin.key"
say "installed $plugin"
