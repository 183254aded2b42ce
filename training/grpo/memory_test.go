package grpo

import (
	"testing"

	"astro/internal/device"
	"astro/model/modeltest"
	"astro/training/trainer"
)

// A KL part holds its reference beside what the trainer needs, in what the trainer computes in.
func TestMemoryOfAReference(t *testing.T) {
	m := modeltest.Llama1B(2, 64)
	for compute, bytes := range map[trainer.Compute]int64{trainer.F32: 4, trainer.BF16: 2} {
		c := Default().In(compute)
		without := c.Memory(device.XLACUDA, m)
		if want := trainer.Memory(device.XLACUDA, m, c.Rows, c.RowTokens, c.Optimizer); without != want {
			t.Errorf("in %s %d bytes without a reference; want the trainer's, %d", compute, without, want)
		}
		c.Objective.KL = .1
		norms := int64((2*m.Layers + 1) * m.Hidden)
		if got, want := c.Memory(device.XLACUDA, m)-without, bytes*(m.Params()-norms)+4*norms; got != want {
			t.Errorf("in %s a reference takes %d bytes; want %d", compute, got, want)
		}
	}
}
