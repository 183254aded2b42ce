#!/usr/bin/env bash
# Runs the tests: scripts/test.sh all|xla|race PACKAGES... (TESTFLAGS in the environment goes to `go test`).
#   all   every package; those that compute do so on each backend found here
#   xla   only packages that compile graphs; the XLA CPU plugin must be there
#   race  every package but those that only do arithmetic, under the race detector
# Prints go test's own lines and, after them, the packages that took more than 60 s.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

mode=$1
shift
slow_seconds=60
plugin=.cache/xla-cpu/pjrt_c_api_cpu_plugin.so

# computing PACKAGES: those whose tests reach internal/device.
computing() {
  go list -tags invariants -test -f '{{if .ForTest}}{{.ForTest}} {{join .Deps " "}}{{end}}' "$@" |
    awk '/^astro\/internal\/device / || / astro\/internal\/device( |$)/ { uses[$1] } END { for (p in uses) print p }' | sort
}

# single-threaded arithmetic: many times slower under the race detector, which has nothing to find there.
arithmetic='^astro/(kernels|model/llama|training/(trainer|checkpoint|sft|recipe)|benchmarks/step)(/|$)'

flags=(-tags invariants)
packages=("$@")
case $mode in
all)
  if [[ -s $plugin || -n ${ASTRO_XLA_CPU_PLUGIN:-} ]]; then
    say "testing on the backends go and xla:cpu"
  else
    say "testing on the backend go only: no XLA CPU plugin here (scripts/xla-cpu.sh says why)"
  fi
  ;;
xla)
  [[ -s $plugin || -n ${ASTRO_XLA_CPU_PLUGIN:-} ]] || fail "no XLA CPU plugin at $plugin: scripts/xla-cpu.sh says why"
  mapfile -t packages < <(computing "$@")
  ;;
race)
  flags+=(-race -gcflags=all=-d=checkptr=0) # GoMLX's vector kernels point past the ends of their slices, which checkptr takes for a fault
  mapfile -t packages < <(go list "$@" | grep -vE "$arithmetic")
  ;;
*) fail "got mode $mode; want all, xla or race" ;;
esac
((${#packages[@]})) || fail "no package to test"

mkdir -p .cache/test
log=.cache/test/$mode.log
status=0
# shellcheck disable=SC2086 # TESTFLAGS is a list
go test "${flags[@]}" ${TESTFLAGS:-} "${packages[@]}" 2>&1 | sed '/\[no test files\]$/d' | tee "$log" || status=$?
awk -v limit=$slow_seconds '$1 == "ok" || $1 == "FAIL" { for (i = 3; i <= NF; i++) if ($i ~ /^[0-9.]+s$/ && $i + 0 > limit) slow[$2] = $i }
  END { for (p in slow) print "astro: slow package (above " limit " s): " p " " slow[p] }' "$log" >&2
exit "$status"
