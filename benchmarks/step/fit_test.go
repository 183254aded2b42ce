package step

import (
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
)

// A case that fits into what the engine plans is timed, and one that lacks a byte is left out.
func TestPlanLeavesOutWhatDoesNotFit(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device, policy *model.Policy) {
		c, o := policy.Weights.Config, smallOptions()
		o.Form, o.GatherBytes = "graph", 1<<20
		s, err := o.plan(d, c, dtypes.Float32, 3, 50, 16)
		if err != nil {
			t.Fatal(err)
		}
		for more, fits := range map[int64]bool{-1: false, 0: true} {
			o.AvailableBytes = s.plan.Needed() + more
			if _, err := o.plan(d, c, dtypes.Float32, 3, 50, 16); tooLarge(err) == fits || err != nil && !tooLarge(err) {
				t.Errorf("with %d bytes more than the plan: got %v; want that it fits: %v", more, err, fits)
			}
		}
	})
}

// Weights of 16 bits are packed from f32, all of them at once, before there are pools; for a large model that is the most that is needed.
func TestPackingTakesMemory(t *testing.T) {
	d := devicetest.Open(t, device.XLACPU)
	o, c := smallOptions(), model.Llama1B()
	s, err := o.plan(d, c, dtypes.BFloat16, 1, 20, 16)
	if err != nil || s.widths.WeightBits != 16 {
		t.Fatalf("got %+v, %v; want packed weights of 16 bits", s, err)
	}
	for more, fits := range map[int64]bool{4*c.Params() - 1: false, 4 * c.Params(): true} {
		o.AvailableBytes = s.plan.Weights + more
		if _, err := o.plan(d, c, dtypes.BFloat16, 1, 20, 16); tooLarge(err) == fits {
			t.Errorf("with %d bytes besides weights: got %v; want that it fits: %v", more, err, fits)
		}
	}
}
