package training

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"

	"astro/model"
	"astro/training/trainer"
)

// Where bf16 is served, the trainer's weights are the f32 of the files and not what is served, what is published is what a restart would
// load, and the loop learns: the differences are not of one that is broken.
func TestLoopLearnsWhereBF16IsServed(t *testing.T) {
	for _, c := range []struct {
		compute trainer.Compute
		int8    bool
	}{{trainer.F32, false}, {trainer.BF16, false}, {trainer.F32, true}} {
		compute := c.compute
		t.Run(fmt.Sprintf("%s, 8 bits %v", compute, c.int8), func(t *testing.T) {
			h := build(t)
			h.dtype, h.int8 = dtypes.BFloat16, c.int8
			h.restart()
			c := lessons()
			c.Learn = c.Learn.Rounded()
			c.Learn.Optimizer.Compute = compute
			beginsFromFiles(t, h, c)
			all, versions := h.learn(c, 8)
			mean := 0.0
			for i, n := range all {
				if mean = max(mean, n.MeanGap); versions[i] == 0 || n.Gap == 0 || n.GapKL == 0 || n.Compared == 0 || n.MeanGap > .005 {
					t.Errorf("update %d made version %d: %+v; want a version and a small gap", i, versions[i], n)
				}
			}
			t.Logf("mean gap at most %.2g, gaps at most %.2g", mean, slices.MaxFunc(all, func(a, b Numbers) int { return int(math.Copysign(1, a.Gap-b.Gap)) }).Gap)
			want, err := h.ask(1, 0, 5)
			if err != nil {
				t.Fatal(err)
			}
			h.restart()
			if got, err := h.ask(1, 0, 5); err != nil || !slices.Equal(got.Output, want.Output) || !slices.Equal(got.Logprobs, want.Logprobs) {
				t.Errorf("after a restart %+v is answered, %v; want %+v", got, err, want)
			}
		})
	}
}

// beginsFromFiles wants a trainer to begin with the weights of the base model as they are on disk.
func beginsFromFiles(t *testing.T, h *house, c LoopConfig) {
	t.Helper()
	l, err := NewLoop(c, h.policies, h.device)
	if err != nil {
		t.Fatal(err)
	}
	defer l.drop()
	s, err := l.current(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.trainer.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Free()
	want, err := model.Load(h.base, h.device.Backend(), dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Free()
	rounded := 0
	for i := range want.Tensors {
		a, b := tensors.MustCopyFlatData[float32](got.Tensors[i]), tensors.MustCopyFlatData[float32](want.Tensors[i])
		if !slices.Equal(a, b) {
			t.Errorf("tensor %d is not that of the file", i)
		}
		for _, x := range b {
			if math.Float32bits(x)&0xffff != 0 {
				rounded++
			}
		}
	}
	if rounded == 0 {
		t.Error("the file's numbers are all of bf16: this test says nothing")
	}
}
