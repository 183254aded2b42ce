package step

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"astro/engine"
	"astro/internal/device"
	"astro/kernels/native"
	"astro/model"
	"astro/model/llama"

	"github.com/gomlx/compute/dtypes"
)

// setup is a case's sizes, and how the model is stored for it.
type setup struct {
	batch, context, chunk int
	pages                 int // of the pools
	plan                  engine.MemoryPlan
	widths                Widths
}

// plan sizes a case of batch Sequences of context tokens, prompts in chunks. The error is a *engine.MemoryError where it does not fit.
func (o Options) plan(d *device.Device, c model.Config, dtype dtypes.DType, batch, context, chunk int) (s setup, err error) {
	var packed *llama.Packed
	if o.TensorParallel <= 1 { // else the graph runs
		if packed, err = engine.ChooseForm(d, c, o.Form, dtype, o.KVType, o.PageTokens); err != nil {
			return s, err
		}
	}
	s = setup{batch: batch, context: context, chunk: chunk}
	s.pages = batch * ((context+o.PageTokens-1)/o.PageTokens + 1) // one more each, for the Scheduler admits none without
	r := engine.MemoryRequest{Model: c, Devices: o.TensorParallel, WeightBytes: dtype.Size(), KVBytes: o.KVType.Size(), WeightSets: 1, Packed: packed, Int8: o.Form == engine.FormGraphInt8,
		Available: math.MaxInt64, MaxSlots: batch, StepTokens: max(batch, chunk), PageTokens: o.PageTokens, MaxContextTokens: context,
		GatherBytes: o.GatherBytes, LogitsBytes: engine.DefaultLogitsBytes, Pages: s.pages}
	if d.Kind() == device.Go {
		r.WindowBytes = o.GatherBytes
	}
	if s.plan, err = engine.PlanMemory(r); err != nil {
		return s, err
	}
	s.widths = Widths{WeightBits: o.weightBits(packed, dtype), KVTokenBytes: s.plan.PageBytes / int64(o.PageTokens)}
	need := max(s.plan.Needed(), s.plan.Weights+packing(c, packed, dtype))
	if o.AvailableBytes > 0 && need > o.AvailableBytes {
		return s, &engine.MemoryError{Needed: need, Available: o.AvailableBytes, Hint: "this case is left out"}
	}
	return s, nil
}

// packing is what weights take besides while they are packed, before there are pools: all of them as f32.
func packing(c model.Config, packed *llama.Packed, dtype dtypes.DType) int64 {
	if packed == nil || dtype == dtypes.Float32 {
		return 0
	}
	return 4 * c.Params()
}

// weightBits is what an element of a matrix takes where steps read it. Native 8 and 4 bits have a scale of 16 for each 32, those of the graph one of
// 32 for a whole column, a thousandth of it.
func (o Options) weightBits(packed *llama.Packed, dtype dtypes.DType) float64 {
	switch {
	case packed == nil && o.Form == engine.FormGraphInt8:
		return 8
	case packed == nil:
		return 8 * float64(dtype.Size())
	}
	return map[native.Weights]float64{native.F32: 32, native.BF16: 16, native.Int8: 8.5, native.Int4: 4.5}[packed.Weights]
}

// tooLarge says that an error is of memory: planned, or refused by the device although the plan was that it fits.
func tooLarge(err error) bool {
	var planned *engine.MemoryError
	return errors.As(err, &planned) || err != nil && strings.Contains(err.Error(), "RESOURCE_EXHAUSTED")
}

// Validate says what is wrong with the Options, or nil.
func (o Options) Validate() error {
	for _, f := range []struct {
		name   string
		values []int
		least  int
	}{
		{"a batch", o.Batches, 1}, {"a position", o.Positions, 1}, {"a prefill", o.Prefill, 1}, {"steps", []int{o.Steps}, 1}, {"prefills", []int{o.Prefills}, 1},
		{"tokens of a page", []int{o.PageTokens}, 1}, {"tokens of a chunk", []int{o.ChunkTokens}, 1},
	} {
		for _, v := range f.values {
			if v < f.least {
				return fmt.Errorf("%s of %d: want at least %d", f.name, v, f.least)
			}
		}
	}
	return nil
}
