#!/usr/bin/env bash
# Checks astro on this machine's GPU and prints a summary: run.sh [--backend xla:cuda] [--cuda-dir DIR] [--out DIR] [--only PART,...] [--tests PATTERN]
#   driver      the GPU and NVIDIA's driver are there
#   doctor      the CUDA plugin is found, and compiles and runs a program
#   answers     the demo model answers over HTTP
#   logits      the engine's log-probabilities of a small random Llama equal those of transformers, where Python has torch and transformers
#   tests       every test that runs on a device: the device layer, kernels, sampler, engine, trainer; --tests picks some, as go test -run does
# Needs NVIDIA's driver and a python3 with a CUDA plugin (jax-cuda13-pjrt 0.10.2 to 0.12), and no Go, network or file outside this folder.
# Nothing stops at the first failure; the exit status is that of the whole. Logs lie in --out (default: out, in this folder),
# programs and what they keep in the folder work.
set -uo pipefail
kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
backend=xla:cuda
out='' only='' pattern=.
while (($#)); do
  (($# > 1)) || { echo "run.sh: $1 lacks its value, or is no flag of this script" >&2; exit 2; }
  case $1 in
  --backend) backend=$2 ;;
  --cuda-dir) ASTRO_CUDA_DIR=$(cd "$2" && pwd) || exit 2; export ASTRO_CUDA_DIR ;;
  --out) out=$2 ;;
  --only) only=,$2, ;;
  --tests) pattern=$2 ;;
  *) echo "run.sh: $1: no such flag; want --backend, --cuda-dir, --out, --only or --tests" >&2; exit 2 ;;
  esac
  shift 2
done
out=${out:-$kit/out} work=$kit/work
mkdir -p "$out" "$work" || exit 2
out=$(cd "$out" && pwd)
cd "$kit" || exit 2
export ASTRO_TEST_BACKENDS=$backend XDG_CACHE_HOME=$work/cache TMPDIR=${TMPDIR:-/tmp} HOME=${HOME:-/tmp}
summary=()
failed=0

# check NAME COMMAND...: runs a part, keeps what it says, and goes on. Status 77 says that it could not be tried.
check() {
  local name=$1 status=0 started=$SECONDS verdict
  shift
  [[ -z $only || $only == *,$name,* || $name == unpack ]] || return 0
  echo "== $name"
  "$@" >"$out/$name.log" 2>&1 || status=$?
  case $status in
  0) verdict=ok ;;
  77) verdict="not tried: $(tail -1 "$out/$name.log")" ;;
  *) verdict=FAILED failed=1; tail -40 "$out/$name.log" ;;
  esac
  summary+=("$(printf '%-8s %4s s  %s' "$name" $((SECONDS - started)) "$verdict")")
}

unpack() {
  python3 - "$work" <<'P'
import gzip, os, shutil, sys
for name in ("astro", "device.test"):
    path = os.path.join(sys.argv[1], name)
    with gzip.open(f"bin/{name}.gz") as packed, open(path, "wb") as f:
        shutil.copyfileobj(packed, f)
    os.chmod(path, 0o755)
P
}

driver() {
  [[ $backend == xla:cuda ]] || { echo "the backend is $backend"; return 77; }
  cat /proc/driver/nvidia/version 2>/dev/null
  ls /dev/nvidia[0-9]* || { echo "no NVIDIA GPU: there is no /dev/nvidia0"; return 1; }
  if command -v nvidia-smi >/dev/null; then nvidia-smi; fi
}

doctor() {
  "$work/astro" doctor || return
  "$work/astro" doctor | grep -q "^$backend *works" || { echo "$backend does not work here: see above"; return 1; }
}

tests() { "$work/device.test" -test.v -test.run "$pattern" -test.timeout 40m; }

answers() { python3 "$kit/serve.py" "$work/astro" "$kit/models/astro-countdown" "$backend"; }

logits() { python3 "$kit/logits.py" "$work/astro" "$backend" "$work/llama"; }

check unpack unpack
check driver driver
check doctor doctor
check answers answers
check logits logits
check tests tests
echo "== summary of astro on $backend"
if [[ -f $out/tests.log ]]; then
  grep -E '^ *(--- FAIL|--- SKIP)' "$out/tests.log" | head -40
  printf '%s passed, %s failed, %s skipped (tests and their parts)\n' "$(grep -c -- '--- PASS' "$out/tests.log")" "$(grep -c -- '--- FAIL' "$out/tests.log")" "$(grep -c -- '--- SKIP' "$out/tests.log")"
fi
[[ -f $out/logits.log ]] && grep -E '^(largest|mean)' "$out/logits.log"
printf '%s\n' "${summary[@]}"
exit $failed
