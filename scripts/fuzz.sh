#!/usr/bin/env bash
# Runs every fuzz test for a while, one after the other: scripts/fuzz.sh TIME PACKAGES... Ends at the first that fails; go
# test then names the file with the input, which becomes a test case when it is committed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

time=$1
shift
ran=0
while read -r package dir; do
  for name in $(grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go 2>/dev/null | cut -d' ' -f2); do
    say "fuzzing $package $name for $time"
    go test -tags invariants -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package"
    ran=$((ran + 1))
  done
done < <(go list -f '{{.ImportPath}} {{.Dir}}' "$@")
say "$ran fuzz tests ran"
