package trainer

import (
	"encoding/json"
	"slices"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model/modeltest"
	"astro/training/checkpoint"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/gomlx/core/tensors"
)

// Six steps are three steps, a checkpoint, a new trainer and three more: bit for bit on the Go backend, weights, factors and moments.
func TestResumeIsExact(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device) { resumes(t, d, LoRA{}, F32) })
	t.Run("lora", func(t *testing.T) { resumes(t, devicetest.Open(t, device.Go), LoRA{Rank: 2, Alpha: 8, Seed: 1}, F32) })
	t.Run("lora_bf16", func(t *testing.T) { resumes(t, devicetest.Open(t, device.Go), LoRA{Rank: 2, Alpha: 8, Seed: 1}, BF16) })
	t.Run("bf16", func(t *testing.T) { resumes(t, devicetest.Open(t, device.Go), LoRA{}, BF16) })
}

func resumes(t *testing.T, d *device.Device, l LoRA, c Compute) {
	t.Helper()
	g := readGolden(t)
	g.Config.LoRA, g.Config.Compute = l, c
	batches := pack(t, 1, 14, g.examples()) // several: the accumulating programs
	whole := newTrainer(t, d, load(t, d, "testdata/golden/before"), g.Config)
	for range 6 {
		step(t, whole, batches...)
	}
	half := newTrainer(t, d, load(t, d, "testdata/golden/before"), g.Config)
	half.programs = whole.programs // compiled once, to save time
	for range 3 {
		step(t, half, batches...)
	}
	path, err := checkpoint.Save(t.TempDir(), half.Content(json.RawMessage(`{"by": "test"}`)), nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := checkpoint.Load(path, d.Backend(), g.Config.DType())
	if err != nil {
		t.Fatal(err)
	}
	resumed, err := Resume(d, content, g.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(resumed.Close)
	resumed.programs = whole.programs
	for range 3 {
		step(t, resumed, batches...)
	}
	if resumed.Steps() != 6 {
		t.Errorf("got %d steps; want 6", resumed.Steps())
	}
	if !same(whole, resumed) {
		if diff := apartBy(servedBy(t, whole), servedBy(t, resumed)); d.Kind() == device.Go || diff > 1e-6 {
			t.Errorf("the resumed run differs, weights by up to %g", diff)
		}
	}
}

func same(a, b *Trainer) bool {
	state := func(t *Trainer) [][]float32 {
		if t.adapter == nil {
			return modeltest.Values(concat(t.weights, t.m, t.v))
		}
		var all [][]float32
		for _, w := range t.weights {
			all = append(all, widened(w))
		}
		return append(all, modeltest.Values(concat(t.adapter.Factors, t.m, t.v))...)
	}
	x, y := state(a), state(b)
	return slices.EqualFunc(x, y, slices.Equal[[]float32])
}

// A Snapshot stays as it is while training goes on.
func TestSnapshotIsACopy(t *testing.T) {
	g := readGolden(t)
	onEach(t, func(t *testing.T, d *device.Device) {
		tr := newTrainer(t, d, load(t, d, "testdata/golden/before"), g.Config)
		before, err := tr.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		was := modeltest.Values(before.Tensors)
		step(t, tr, pack(t, 2, 14, g.examples())...)
		if !slices.EqualFunc(was, modeltest.Values(before.Tensors), slices.Equal[[]float32]) {
			t.Error("a step changed an earlier snapshot")
		}
		if largestDifference(before.Tensors, tr.weights) == 0 {
			t.Error("a step changed nothing")
		}
		before.Free()
	})
}

// widened are the values of a tensor of f32 or bf16 as f32.
func widened(x *tensors.Tensor) (all []float32) {
	if x.DType() == dtypes.Float32 {
		return tensors.MustCopyFlatData[float32](x)
	}
	for _, v := range tensors.MustCopyFlatData[bfloat16.BFloat16](x) {
		all = append(all, v.Float32())
	}
	return all
}
