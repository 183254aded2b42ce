package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/gomlx/compute/dtypes"

	"astro/engine"
	"astro/internal/device"
)

// planMemory divides the device's memory before anything is loaded.
func planMemory(b *backend, o serveOptions, kind device.Kind, dtype dtypes.DType) (engine.MemoryPlan, error) {
	available := o.memoryBytes
	if available == 0 {
		var err error
		if available, err = freeMemory(kind); err != nil {
			return engine.MemoryPlan{}, err
		}
	}
	sets, learning := o.learnFlags.memory(b, kind)
	if available -= learning; available <= 0 {
		return engine.MemoryPlan{}, fmt.Errorf("learning needs %.1f MiB, which is all that there is: use --learn-layer-checkpoints, a shorter --context, or a smaller model", float64(learning)/(1<<20))
	}
	r := engine.MemoryRequest{Model: b.config, WeightBytes: dtype.Size(), KVBytes: b.kvType.Size(), Packed: b.packed, WeightSets: sets, Available: available,
		MaxSlots: o.maxSlots, StepTokens: o.stepTokens(), PageTokens: o.pageTokens, MaxContextTokens: b.context,
		GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes}
	if kind == device.Go {
		r.WindowBytes = engine.DefaultGatherBytes
	}
	plan, err := engine.PlanMemory(r)
	if err != nil || o.kvBytes == 0 {
		return plan, err
	}
	if r.Pages = int(o.kvBytes / plan.PageBytes); r.Pages == 0 {
		return plan, fmt.Errorf("--kv-bytes %d holds no page of %d bytes: give more, or use a smaller --page-tokens", o.kvBytes, plan.PageBytes)
	}
	return engine.PlanMemory(r)
}

// freeMemory is what a process may use now: the machine's for backends on processors, the GPU's else.
func freeMemory(kind device.Kind) (int64, error) {
	if kind == device.XLACUDA {
		return freeGPUMemory()
	}
	return availableMemory(device.Describe())
}

func availableMemory(m device.Machine) (int64, error) {
	if m.AvailableBytes == 0 {
		return 0, errors.New("this machine does not say how much memory is available: say so with --memory-bytes")
	}
	return m.AvailableBytes, nil
}

// xlaShare is the part of a GPU's memory that XLA takes for its own allocator by default.
const xlaShare = 0.75

// freeGPUMemory is that part of the first GPU's.
func freeGPUMemory() (int64, error) {
	text, err := askGPU("memory.total")
	if err != nil {
		return 0, fmt.Errorf("nvidia-smi does not say how much memory the GPU has (%w): say so with --memory-bytes", err)
	}
	mib, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("nvidia-smi says %q about the GPU's memory: say how much there is with --memory-bytes", text)
	}
	return int64(float64(mib<<20) * xlaShare), nil
}

// askGPU asks NVIDIA's tool for a property of the first GPU.
func askGPU(property string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	text, err := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu="+property, "--format=csv,noheader,nounits").Output()
	first, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return strings.TrimSpace(first), err
}
