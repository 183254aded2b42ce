package main

import (
	"errors"
	"fmt"

	"github.com/gomlx/compute/dtypes"

	"astro/engine"
	"astro/internal/device"
)

// planMemory divides the device's memory before anything is loaded.
func planMemory(b *backend, o serveOptions, d *device.Device, dtype dtypes.DType) (engine.MemoryPlan, error) {
	available := o.memoryBytes
	if available == 0 {
		var err error
		if available, err = freeMemory(d, b.devices); err != nil {
			return engine.MemoryPlan{}, err
		}
	}
	return planWithin(b, o, d.Kind(), available, dtype)
}

// planWithin is planMemory of so many bytes on a device of some kind.
func planWithin(b *backend, o serveOptions, kind device.Kind, available int64, dtype dtypes.DType) (engine.MemoryPlan, error) {
	sets, learning := o.learnFlags.memory(b, kind)
	if available -= learning; available <= 0 {
		return engine.MemoryPlan{}, fmt.Errorf("learning needs %.1f MiB, which is all that there is: use --learn-layer-checkpoints, a shorter --context, or a smaller model", float64(learning)/(1<<20))
	}
	r := engine.MemoryRequest{Model: b.config, Devices: b.devices, WeightBytes: dtype.Size(), KVBytes: b.kvType.Size(), Packed: b.packed, Int8: b.int8, WeightSets: sets, Available: available,
		MaxSlots: o.maxSlots, StepTokens: o.stepTokens(), PageTokens: o.pageTokens, MaxContextTokens: b.context,
		GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes}
	if kind == device.Go {
		r.WindowBytes = engine.DefaultGatherBytes
	}
	plan, err := engine.PlanMemory(r)
	if err != nil && learning > 0 {
		return plan, fmt.Errorf("learning needs %.1f MiB, less with --learn-lora-rank or --learn-layer-checkpoints; for serving beside it there is %w", float64(learning)/(1<<20), err)
	}
	if err != nil || o.kvBytes == 0 {
		return plan, err
	}
	if r.Pages = int(o.kvBytes / plan.PageBytes); r.Pages == 0 {
		return plan, fmt.Errorf("--kv-bytes %d holds no page of %d bytes: give more, or use a smaller --page-tokens", o.kvBytes, plan.PageBytes)
	}
	return engine.PlanMemory(r)
}

// freeMemory is what a process may use now on each of so many devices: the machine's for backends on processors, which share it, and what
// the allocator of the first GPU may still take else.
func freeMemory(d *device.Device, devices int) (int64, error) {
	if d.Kind() != device.XLACUDA {
		all, err := availableMemory(device.Describe())
		return all / int64(devices), err
	}
	free, err := d.FreeBytes()
	if err != nil {
		return 0, fmt.Errorf("%w: say so with --memory-bytes", err)
	}
	return free, nil
}

func availableMemory(m device.Machine) (int64, error) {
	if m.AvailableBytes == 0 {
		return 0, errors.New("this machine does not say how much memory is available: say so with --memory-bytes")
	}
	return m.AvailableBytes, nil
}
