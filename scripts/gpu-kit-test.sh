#!/usr/bin/env bash
# Rehearses the GPU kit where there is no GPU: a copy of .cache/gpu-kit (or KIT) in a bare folder runs on xla:cpu, with an empty environment, no Go
# and no file of this folder but the CPU plugin; arguments go to its run.sh. PYTHON with torch and transformers has the log-probabilities compared, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

kit=${KIT:-.cache/gpu-kit}
plugin=${ASTRO_XLA_CPU_PLUGIN:-$PWD/.cache/xla-cpu/pjrt_c_api_cpu_plugin.so}
[[ -x $kit/run.sh ]] || fail "no $kit: run make gpu-kit first"
[[ -s $plugin ]] || fail "no XLA CPU plugin at $plugin: scripts/xla-cpu.sh says why"

bare=$(mktemp -d)
trap 'rm -rf "$bare"' EXIT
cp -r "$kit" "$bare/kit"
cp "$plugin" "$bare/plugin.so"
mkdir "$bare/bin"
printf '#!/bin/sh\nexec "%s" "$@"\n' "$(command -v "${PYTHON:-python3}")" >"$bare/bin/python3"
chmod +x "$bare/bin/python3"
cd "$bare"
status=0
env -i PATH="$bare/bin:/usr/bin:/bin" HOME="$bare" ASTRO_XLA_CPU_PLUGIN="$bare/plugin.so" "$bare/kit/run.sh" --backend xla:cpu --out "$bare/out" "$@" || status=$?
((status == 0)) || fail "the kit failed; what it says is above"
say "the kit passed on xla:cpu"
