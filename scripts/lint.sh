#!/usr/bin/env bash
# gofmt, go vet, the laws in internal/lint, and golangci-lint where it is installed. Runs them all and fails if one did.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh

bad=0
unformatted=$(find . -name '*.go' -not -path './.cache/*' -print0 | xargs -0r gofmt -l)
if [[ -n $unformatted ]]; then
  say "not formatted (run gofmt -w): $unformatted"
  bad=1
fi
go vet -tags invariants ./... || bad=1
go test -count=1 ./internal/lint || bad=1
if command -v golangci-lint >/dev/null 2>&1; then
  golangci-lint run ./... || bad=1
else
  say "golangci-lint is not installed: skipped"
fi
exit "$bad"
