#!/usr/bin/env bash
# Compiles kernels/cuda/decode.cu to the PTX beside it with NVRTC, from a public wheel that is pinned by version and checksum and fetched once
# into .cache/nvrtc through pip: scripts/ptx.sh make|check
#   make   writes kernels/cuda/decode.ptx
#   check  fails where that file is not what NVRTC makes of the source now, or ptxas (a wheel too) does not take it for a GPU of its list
# NVRTC 13.0 because every driver that XLA's CUDA plugin needs (580) takes its PTX; a newer one's is refused by older drivers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

source=kernels/cuda
ptx=$source/decode.ptx
arch=compute_80
gpus=(sm_80 sm_86 sm_89 sm_90 sm_100 sm_120)
to=.cache/nvrtc
wheels=(
  "nvidia-cuda-nvrtc==13.0.88 ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575"
  "nvidia-cuda-nvcc==13.0.88 56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03"
)

mode=${1:-check}
[[ $mode == make || $mode == check ]] || fail "got mode $mode; want make or check"
[[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] || fail "the pinned wheels are for Linux on x86_64, not $(uname -s) on $(uname -m)"
need python3 "it fetches the wheels and calls NVRTC"

fetch() { # PACKAGE SHA256
  local key="$to/${1%%==*}.key" want=$2 got
  [[ -f $key && $(<"$key") == "$1 $want" ]] && return
  say "fetching $1 (once)"
  rm -rf "$to/fresh"
  mkdir -p "$to/fresh"
  python3 -m pip download --quiet --no-deps --only-binary=:all: --retries 2 --dest "$to/fresh" "$1" || fail "pip could not fetch $1"
  got=$(sha256 "$to/fresh"/*.whl)
  [[ $got == "$want" ]] || fail "the wheel $1 has sha256 $got; want $want. It is not the file that the kernels were compiled with."
  python3 -m zipfile -e "$to/fresh"/*.whl "$to"
  rm -rf "$to/fresh"
  printf '%s\n' "$1 $want" >"$key"
}
for wheel in "${wheels[@]}"; do
  # shellcheck disable=SC2086 # two words
  fetch $wheel
done

fresh=$(mktemp)
object=$(mktemp)
trap 'rm -f "$fresh" "$object"' EXIT
printf '// Made of decode.cu by scripts/ptx.sh (make ptx); do not edit. Source sha256 %s\n' \
  "$(sha256 "$source/decode.h" "$source/gpu.h" "$source/decode.cu")" >"$fresh"
LD_LIBRARY_PATH=$PWD/$to/nvidia/cu13/lib python3 - "$source/decode.cu" "$arch" >>"$fresh" <<'PYTHON'
import ctypes, os, sys

source, arch = sys.argv[1:]
nvrtc = ctypes.CDLL("libnvrtc.so.13")
program, size = ctypes.c_void_p(), ctypes.c_size_t()
options = [f"--gpu-architecture={arch}", "--std=c++17", f"--include-path={os.path.dirname(source)}"]

def text(ask, get):
    ask(program, ctypes.byref(size))
    room = ctypes.create_string_buffer(size.value)
    get(program, room)
    return room.value.decode()

with open(source, "rb") as f:
    made = nvrtc.nvrtcCreateProgram(ctypes.byref(program), f.read(), b"decode.cu", 0, None, None)
wrong = made or nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*map(str.encode, options)))
sys.stderr.write(text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog))
if wrong:
    sys.exit(f"astro: NVRTC gives the error {wrong}")
ptx = text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)
# Comments name the compiler's build; empty lines say nothing.
sys.stdout.write("".join(l.rstrip() + "\n" for l in ptx.splitlines() if l.strip() and not l.startswith("//")))
PYTHON

if [[ $mode == make ]]; then
  cp "$fresh" "$ptx"
  chmod 0644 "$ptx"
  say "wrote $ptx, $(wc -c <"$ptx") bytes"
fi
cmp -s "$fresh" "$ptx" || fail "$ptx is not what NVRTC makes of $source/decode.cu: run \`make ptx\` and commit it"
ptxas=$to/nvidia/cu13/bin/ptxas
chmod +x "$ptxas"
for gpu in "${gpus[@]}"; do
  "$ptxas" --gpu-name "$gpu" -o "$object" "$ptx" || fail "ptxas does not take $ptx for $gpu"
done
say "$ptx is up to date; ptxas takes it for ${gpus[*]}"
