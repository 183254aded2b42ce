#!/usr/bin/env bash
# Runs the levels of kernels/native that this processor lacks, as far as the tools here can: scripts/emulate-kernels.sh [ROUNDS] [SEED]. Each is
# driven as scripts/asan-kernels.sh drives those that it has, with ROUNDS models of random shapes (half as many on arm64).
#   x86-64: the levels' source with its intrinsics in plain C (SIMDe) under the address and undefined-behaviour sanitizers, then the tests in Go.
#           What compilers make of it with the real instructions does not run.
#   arm64:  the code that a compiler for it makes, in qemu's emulation of such a processor
# What is missing is said, with the package that has it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

rounds=${1:-40}
seed=${2:-1}
cc=${CC:-gcc}
source=kernels/native
levels=(plain avx2 avxvnni avx512 vnni)
to=$(mktemp -d)
trap 'rm -rf "$to"' EXIT
mapfile -t files < <(kernel_files)

skipped() { say "SKIPPED: $*"; }

in_plain_c() {
  command -v "$cc" >/dev/null 2>&1 || { skipped "the levels of x86-64 in plain C: no C compiler (package gcc, or name one in CC)"; return; }
  echo '#include "emulated.h"' | "$cc" -I"$source/testdata" -E - >"$to/found" 2>&1 ||
    { skipped "the levels of x86-64 in plain C: no SIMDe here (package libsimde-dev, or its folder in CPATH)"; return; }
  "$cc" -g -O2 -Wall -Wextra -I"$source" -c "$source/testdata/driver.c" -o "$to/driver.o" # the plain loops, which would be slow
  "$cc" -g -O1 -Wall -Wextra -Wno-psabi -fsanitize=address,undefined -fno-sanitize-recover=all -DEMULATED -I"$source" -I"$source/testdata" \
    "$to/driver.o" "${files[@]}" -o "$to/emulated" -lm -lpthread
  for level in "${!levels[@]}"; do
    say "level ${levels[level]} in plain C, address and undefined behaviour, $rounds models from seed $seed"
    "$to/emulated" "$rounds" "$seed" "$level"
  done
  say "training's operations, $rounds rounds at levels by chance"
  "$cc" -g -O2 -Wall -Wextra -I"$source" -c "$source/testdata/learning.c" -o "$to/learning.o"
  "$cc" -g -O1 -Wall -Wextra -Wno-psabi -fsanitize=address,undefined -fno-sanitize-recover=all -DEMULATED -I"$source" -I"$source/testdata" \
    "$to/learning.o" "${files[@]}" -o "$to/learning" -lm -lpthread
  "$to/learning" "$rounds" "$seed"
  say "the tests in Go, at all levels in plain C"
  go test -count 1 -tags emulated ./kernels/native
  go test -count 1 -tags emulated -run Packed ./model/llama
  go test -count 1 -tags emulated ./sampler
}

on_arm64() {
  find_arm64
  ((${#arm64[@]})) || { skipped "arm64: no compiler for it (packages gcc-aarch64-linux-gnu and libc6-dev-arm64-cross, or zig, or Python's ziglang with its interpreter in PYTHON)"; return; }
  local qemu
  qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64) || qemu=
  [[ -n $qemu || $(uname -m) == aarch64 ]] || { skipped "arm64: nothing here runs its programs (package qemu-user-static)"; return; }
  "${arm64[@]}" -static -O3 -Wall -Wextra -I"$source" "$source/testdata/driver.c" "${files[@]}" -o "$to/arm64" -lm -lpthread
  "${arm64[@]}" -static -O3 -Wall -Wextra -I"$source" "$source/testdata/threads.c" "$source/threads.c" -o "$to/arm64-threads" -lpthread
  "${arm64[@]}" -static -O3 -Wall -Wextra -I"$source" "$source/testdata/learning.c" "${files[@]}" -o "$to/arm64-learning" -lm -lpthread
  say "arm64, $((rounds / 2)) models from seed $seed, and the pool of threads"
  $qemu "$to/arm64" $((rounds / 2)) "$seed"
  $qemu "$to/arm64-learning" $((rounds / 2)) "$seed"
  $qemu "$to/arm64-threads"
}

in_plain_c
on_arm64
