package mathrecipe

import (
	"reflect"
	"testing"

	"astro/training/trainer"
)

// Both kinds of learning compute in bf16 where the recipe does, and rewards are learned within the limits of what rounds; f32 changes nothing.
func TestComputeOfBothKinds(t *testing.T) {
	c := Paper()
	if same := c.WithCompute(trainer.F32); !reflect.DeepEqual(same, c) {
		t.Errorf("in f32 the settings are %+v; want them as they are", same)
	}
	half := c.WithCompute(trainer.BF16)
	if err := half.Validate(); err != nil || half.SFT.Optimizer.Compute != trainer.BF16 || half.RL.Optimizer.Compute != trainer.BF16 {
		t.Errorf("%v; sft in %s, rl in %s; want bf16", err, half.SFT.Optimizer.Compute, half.RL.Optimizer.Compute)
	}
	if l := half.RL.Limits; l.Gap != 0 || l.MeanGap == 0 || l.GapKL == 0 {
		t.Errorf("rl is held to %+v; want limits of means", l)
	}
}
