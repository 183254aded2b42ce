#!/usr/bin/env bash
# Learn while serving (cmd/astro/learn_long_test.go): held-out pass rate, latency, swaps, and a fine-tuning job through OpenAI's client.
# LEARN_MODEL names an ASTRO-SFT checkpoint; else the recipe makes one in .cache/learn. LEARN_MINUTES (10), LEARN_STREAMS (2), LEARN_FLAGS.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ -z "${LEARN_MODEL:-}" ]]; then
	bin/astro recipe countdown --work .cache/learn --out .cache/learn/out --arm astro --steps 1 --eval-problems 20 --eval-samples 2
	LEARN_MODEL="$PWD/.cache/learn/seed-1/astro-sft"
fi
export LEARN_MODEL ASTRO="$PWD/bin/astro"
go test -count 1 -tags long -v -timeout 60m -run 'TestLearnWhileServing|TestFineTuningJobLong' ./cmd/astro/
