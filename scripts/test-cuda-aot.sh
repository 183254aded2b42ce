#!/usr/bin/env bash
# Compiles the programs of large models for an H200 and looks at what its compiler made of them: scripts/test-cuda-aot.sh cut|full.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

plugin=${ASTRO_CUDA_AOT_PLUGIN:-.cache/cuda-aot/jax_plugins/xla_cuda13/xla_cuda_plugin.so}
if [[ ! -s $plugin ]]; then
  say "SKIPPED: no program was compiled for a GPU, since what compiles for CUDA is not here (make cuda-aot-wheels says why)"
  exit 0
fi
[[ -s .cache/xla-cpu/pjrt_c_api_cpu_plugin.so || -n ${ASTRO_XLA_CPU_PLUGIN:-} ]] || fail "the XLA CPU plugin is missing, whose client builds the graphs: scripts/xla-cpu.sh says why"
mode=1 at_once=()
[[ $1 == full ]] && mode=full at_once=(-p 1) # so that each line is seen when its program is compiled
ASTRO_TEST_CUDA_AOT=$mode go test -count 1 -timeout 180m "${at_once[@]}" -v -run 'ForH200|Target' ./training/trainer ./internal/device ./internal/device/hlo ./kernels/... ./sampler ./engine 2>&1 |
  grep --line-buffered -vE '^(=== |I0000|WARNING: All log)|no test files|no tests to run|^ *--- PASS: .*\(0\.0.s\)|^PASS$'
