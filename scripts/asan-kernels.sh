#!/usr/bin/env bash
# Builds the C files of kernels/native with the sanitizers and runs drivers that call every operation on many shapes and compare it with
# plain loops, at each level of this processor: scripts/asan-kernels.sh [ROUNDS] [SEED]. CC and CXX choose the compilers.
#   AddressSanitizer and UndefinedBehaviorSanitizer: the operations, and the pool of threads
#   ThreadSanitizer: the pool, with many callers while its size changes
# Then the kernels of kernels/cuda, which run on this processor there, each of a block's threads as a fiber: ThreadSanitizer finds barriers that
# are missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

rounds=${1:-60}
seed=${2:-1}
cc=${CC:-gcc}
need "$cc" "install a C compiler with its sanitizers, or name one in CC"
source=kernels/native
to=$(mktemp -d)
trap 'rm -rf "$to"' EXIT

mapfile -t files < <(kernel_files)

build() { # NAME SANITIZERS FILE...
  local name=$1 sanitizers=$2
  shift 2
  "$cc" -g -O1 -Wall -Wextra "-fsanitize=$sanitizers" -fno-sanitize-recover=all -I"$source" "$@" -o "$to/$name" -lm -lpthread
}

say "operations, address and undefined behaviour, $rounds rounds from seed $seed"
"$cc" -g -O2 -Wall -Wextra -I"$source" -c "$source/testdata/driver.c" -o "$to/driver.o" # the plain loops, which would be slow; its buffers are watched
build operations address,undefined "$to/driver.o" "${files[@]}"
"$to/operations" "$rounds" "$seed"
"$cc" -g -O2 -Wall -Wextra -I"$source" -c "$source/testdata/learning.c" -o "$to/learning.o"
build learning address,undefined "$to/learning.o" "${files[@]}"
"$to/learning" "$rounds" "$seed"
for sanitizers in address,undefined thread; do
  say "the pool of threads, $sanitizers"
  build threads "$sanitizers" "$source/testdata/threads.c" "$source/threads.c"
  "$to/threads"
done

cxx=${CXX:-g++}
need "$cxx" "install a C++ compiler with its sanitizers, or name one in CXX"
source=kernels/cuda
for sanitizers in address,undefined thread; do
  say "the CUDA kernels on this processor, $sanitizers"
  "$cxx" -std=c++17 -g -O1 -Wall -Wextra -Wno-unknown-pragmas -Wno-clobbered "-fsanitize=$sanitizers" -fno-sanitize-recover=all \
    -I"$source" -I"$source/testdata" "$source/testdata/driver.cc" -o "$to/decode"
  "$to/decode" $((rounds / 20)) "$seed" 2> >(grep -v "fully support makecontext" >&2)
done
