# `make` alone lists what there is. Everything fetched or built lands in .cache/ and bin/, which git ignores.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# GOEXPERIMENT: the SIMD kernels of the Go backend. CGO_LDFLAGS: where libtokenizers.a lies. The last one keeps GoMLX from
# looking for plugins on the network.
export GOEXPERIMENT := simd
export CGO_LDFLAGS := -L$(CURDIR)/.cache/lib
export GOMLX_NO_AUTO_INSTALL := 1

RELEASE ?=
FUZZTIME ?= 20s
CRASH_ROUNDS ?= 2
CRASH_KILLS ?= 200
SERVER_KILLS ?= 60
TESTFLAGS ?=
export TESTFLAGS
PACKAGES ?= ./...
IMAGE ?= astro
CLIENTS ?=
BENCH_MODEL ?= models/countdown-base

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: native
native: .cache-tokenizers xla ## both native parts: libtokenizers.a (needed) and the XLA CPU plugin (optional)

.PHONY: xla
xla: ## fetch the XLA CPU plugin into .cache, or say why it cannot be had
	@scripts/xla-cpu.sh

.PHONY: cuda
cuda: ## fetch the XLA CUDA plugin and NVIDIA's libraries into .cache/xla-cuda (1.6 GB)
	@scripts/xla-cuda.sh

.PHONY: gpu-kit
gpu-kit: .cache-tokenizers ## lay out .cache/gpu-kit: program, device tests and fixtures in one small folder, for a machine with a GPU and no Go
	@scripts/gpu-kit.sh

.PHONY: gpu-kit-test
gpu-kit-test: xla gpu-kit ## run the kit on xla:cpu from a folder elsewhere, with nothing of this one in reach
	@scripts/gpu-kit-test.sh

.PHONY: .cache-tokenizers
.cache-tokenizers:
	@scripts/libtokenizers.sh

.PHONY: build
build: .cache-tokenizers ## build bin/astro
	@go build -ldflags '$(if $(RELEASE),-X main.release=$(RELEASE))' -o bin/astro ./cmd/astro

.PHONY: run
run: native build ## serve the demo model on this machine; prints its address and a curl line
	@exec bin/astro serve

.PHONY: test
test: native ## run every test, on each backend that this machine has; names packages above 60 s
	@scripts/test.sh all $(PACKAGES)

.PHONY: test-kills
test-kills: .cache-tokenizers ## kill the store CRASH_KILLS (200) times and at each point of a commit, the learning server SERVER_KILLS (60) times and 3 times at each point
	@ASTRO_TEST_CRASH_KILLS=$(CRASH_KILLS) go test -count 1 -tags invariants -v -run 'Killed|DamageIsSaid' ./feedback/ | grep -v '^=== '
	@go test -count 1 -tags invariants,fault -v -run KilledAtEachPoint ./feedback/ | grep -v '^=== '
	@ASTRO_TEST_SERVER_KILLS=$(SERVER_KILLS) go test -count 1 -tags invariants -v -run 'ServerKilled' ./cmd/astro/ | grep -v '^=== '
	@go test -count 1 -tags invariants,fault -v -run ServerKilledAtEachPoint ./cmd/astro/ | grep -v '^=== '

.PHONY: test-crash
test-crash: test-kills ## those, and the recipe in every stage CRASH_ROUNDS (2) times
	@ASTRO_TEST_CRASH_ROUNDS=$(CRASH_ROUNDS) go test -count 1 -tags invariants -v -run 'Killed|WholeMethod' ./training/recipe/pipeline/ | grep -v '^=== '

.PHONY: test-xla
test-xla: native ## run the tests of the packages that compile graphs; fails where the XLA CPU plugin is missing
	@scripts/test.sh xla $(PACKAGES)

.PHONY: test-race
test-race: native ## run all but the arithmetic packages under the race detector
	@scripts/test.sh race $(PACKAGES)

.PHONY: test-asan
test-asan: ## build the C kernels with the address, undefined-behaviour and thread sanitizers, and drive every operation against plain loops
	@scripts/asan-kernels.sh

.PHONY: test-emulated
test-emulated: native ## run the C kernels' levels that this processor lacks by emulation (libsimde-dev, an arm64 compiler with qemu); says what is missing
	@scripts/emulate-kernels.sh

.PHONY: check-neon
check-neon: ## compile the C kernels for arm64 where a compiler for it is here (aarch64-linux-gnu-gcc, zig, PYTHON with ziglang), else say so
	@scripts/neon-kernels.sh

.PHONY: cuda-aot-wheels
cuda-aot-wheels: ## fetch what compiles for CUDA without a GPU (about 255 MB, once), or say why it cannot be had
	@scripts/cuda-aot.sh

.PHONY: test-cuda-aot
test-cuda-aot: native cuda-aot-wheels ## compile four layers of the 1B and 8B shapes for an H200: aliases, copies, temporary memory (no GPU needed)
	@scripts/test-cuda-aot.sh cut

.PHONY: cuda-aot-full
cuda-aot-full: native cuda-aot-wheels ## the same with all layers and every Bucket
	@scripts/test-cuda-aot.sh full

.PHONY: ptx
ptx: ## compile the CUDA kernels to kernels/cuda/decode.ptx, with compilers from public wheels
	@scripts/ptx.sh make

.PHONY: check-ptx
check-ptx: ## whether that file is what the compiler makes of the source, and whether ptxas takes it for each kind of GPU
	@scripts/ptx.sh check

.PHONY: test-timing
test-timing: ## whether the time to refuse an API key tells how much of it was right (R2): Welch's t, on a quiet machine
	@ASTRO_TIMING=1 go test -count 1 -v -run TimingTellsNothing ./server/auth/ | grep -v '^=== '

.PHONY: test-strace
test-strace: .cache-tokenizers ## whether the bad-request set makes the server's process connect to anything (R14); says so where strace is missing
	@ASTRO_STRACE=1 go test -count 1 -v -run TestSec_R14NoConnectUnderStrace ./server/ | grep -v '^=== '

.PHONY: test-verifier
test-verifier: ## grade the conformance cases in ../shared/data: pass rates by file, tier and mode; gold checks; speed
	@test -d ../shared/data || { echo 'astro: ../shared/data is missing: there are no conformance cases to grade' >&2; exit 1; }
	@go test -count 1 -tags invariants -v -run 'Cases$$|Gold|GSM8K|Hostile' ./training/reward/ | grep -vE '^(=== |    --- )'
	@go test -run '^$$' -bench 'Cases|Hostile' ./training/reward/

.PHONY: templates
templates: ## fetch the chat templates of real models into .cache/templates, where the tests of model/chat look for them
	@python3 scripts/fetch_templates.py

.PHONY: clients
clients: native build ## drive the server with unchanged clients (CLIENTS="NAME..." for some): installs them into .cache/clients, prints a table
	@python3 scripts/clients/run.py $(CLIENTS)

.PHONY: schemathesis
schemathesis: native build ## let schemathesis try the server by its own /openapi.json, for about five minutes
	@python3 scripts/clients/schemathesis_run.py

.PHONY: test-learn
test-learn: native build ## learn while serving for ten minutes, then a fine-tuning job, from an ASTRO-SFT checkpoint (LEARN_MODEL=; made in 2 minutes otherwise)
	@scripts/test-learn.sh

.PHONY: test-page
test-page: ## drive the page of server/web in the distribution's chromium; pictures land in .cache/page (ASTRO_PAGE_URL= tries a running server, too)
	@ASTRO_PAGE_PICTURES=$(CURDIR)/.cache/page go test -count 1 -tags browser ./server/web/

.PHONY: fuzz
fuzz: .cache-tokenizers ## run each fuzz test for FUZZTIME (20s)
	@scripts/fuzz.sh $(FUZZTIME) $(PACKAGES)

.PHONY: soak
soak: .cache-tokenizers ## load the server for minutes: 256 connections, thousands of aborts in each phase, drains; prints p99 and memory
	@ASTRO_SOAK=1 go test -count 1 -v -timeout 30m -run 'TestSoak|TestAbortStorm|TestDrainsUnderLoad|TestSec_R11' ./server/

.PHONY: lint
lint: .cache-tokenizers ## go vet, gofmt, the laws in internal/lint; golangci-lint where it is installed
	@scripts/lint.sh

.PHONY: bench
bench: native build ## time steps of the demo model in process (BENCH_MODEL=DIR for another)
	@bin/astro bench step $(BENCH_MODEL)

.PHONY: image
image: ## build the container image astro (needs docker)
	@command -v docker >/dev/null || { echo 'astro: docker is missing; `make rootfs` lays out the same root folder without it' >&2; exit 1; }
	@docker build -t $(IMAGE) .

.PHONY: image-cuda
image-cuda: ## build the container image astro:cuda, for NVIDIA's GPUs (needs docker)
	@command -v docker >/dev/null || { echo 'astro: docker is missing' >&2; exit 1; }
	@docker build --target cuda -t $(IMAGE):cuda .

.PHONY: rootfs
rootfs: native build ## lay out the image's root folder in .cache/rootfs, without docker
	@scripts/rootfs.sh build

.PHONY: rootfs-test
rootfs-test: rootfs ## run the binary there as a non-root user on a read-only tree (needs root)
	@scripts/rootfs.sh test

.PHONY: clean
clean: ## remove what was built; keeps the native parts in .cache
	@rm -rf bin .cache/rootfs .cache/test

.PHONY: clean-cache
clean-cache: clean ## remove .cache too: the next build takes about two minutes longer
	@rm -rf .cache
