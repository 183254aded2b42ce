package grpo

import (
	"context"
	"slices"
	"testing"

	"astro/internal/device"
	"astro/model"
	"astro/model/modeltest"
	"astro/training/trainer"

	"github.com/gomlx/compute/dtypes"
)

// outspoken is tiny with embeddings that are long enough for a sure answer: LoRA does not change them.
func outspoken(t *testing.T, d *device.Device) *model.Weights {
	t.Helper()
	w := tiny(t, d)
	defer w.Free()
	c := w.Config
	c.InitStd = .5
	w, err := model.Random(c, 3, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// The bandit is learned by factors alone, with the engine's log-probabilities equal to the trainer's all the way.
func TestBanditIsLearnedWithLoRA(t *testing.T) {
	d, c := open(t, device.Go), banditConfig()
	c.Objective.Staleness.TIS, c.Mini = 2, 2
	c.Optimizer.LoRA, c.Optimizer.PeakLR = trainer.LoRA{Rank: 4, Alpha: 8, Seed: 1}, 1e-2
	base := outspoken(t, d)
	before := modeltest.Values(base.Tensors)
	var first, last Report
	gap, meanGap := 0.0, 0.0
	trained, err := Run(context.Background(), d, base, questions(), bandit, c, Work{}, func(r Report) {
		if r.Step == 1 {
			first = r
		}
		last, gap, meanGap = r, max(gap, r.Gap), max(meanGap, r.MeanGap)
		if r.Refused != "" {
			t.Errorf("step %d: %s", r.Step, r.Refused)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("pass rate %.2f -> %.2f, largest gap %.2g, mean %.2g", first.PassRate(), last.PassRate(), gap, meanGap)
	if first.PassRate() > .3 || last.PassRate() < .8 {
		t.Errorf("the pass rate went from %.2f to %.2f; want below .3 to above .8", first.PassRate(), last.PassRate())
	}
	if gap > 1e-4 || meanGap > 1e-6 {
		t.Errorf("engine and trainer differ by %g, in the mean %g; want at most 1e-4 and 1e-6", gap, meanGap)
	}
	for i, s := range model.Layout(trained.Weights.Config) {
		if same, frozen := slices.Equal(before[i], modeltest.Values(trained.Weights.Tensors)[i]), i == 0 || s.Norm(); same != frozen {
			t.Errorf("%s stayed: %t; want %t", s.Name, same, frozen)
		}
	}
}
