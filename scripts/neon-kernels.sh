#!/usr/bin/env bash
# Compiles the C files of kernels/native for arm64, without a warning, where a compiler for it is here: aarch64-linux-gnu-gcc, zig, or the
# one of Python's package ziglang (PYTHON names an interpreter that has it). With a clang the level files are compiled for x86-64, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

to=$(mktemp -d)
trap 'rm -rf "$to"' EXIT
compile() { # COMPILER...
  for file in kernels/native/*.c; do
    "$@" -O3 -Wall -Wextra -Werror -Ikernels/native -Iinternal/device/ffi -c "$file" -o "$to/object.o" || fail "$file does not compile with: $*"
  done
  say "kernels/native compiles with: $*"
}

find_arm64
if ((${#arm64[@]})); then
  compile "${arm64[@]}"
else
  say "SKIPPED: no compiler for arm64 here (install aarch64-linux-gnu-gcc or zig, or Python's ziglang and name its interpreter in PYTHON)"
fi
if ((${#zig[@]})); then compile "${zig[@]}" -target x86_64-linux-gnu; fi
