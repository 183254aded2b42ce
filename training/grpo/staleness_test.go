package grpo

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"astro/internal/device"
)

// With Staleness a step's first update has ratios of exactly 1, however old its rollouts are, and they weigh what they became likelier.
func TestStaleRolloutsAreAnchored(t *testing.T) {
	c := testConfig()
	c.Objective.Staleness.TIS, c.Mini = 1.1, 2
	l := learnerOf(t, open(t, device.Go), c, nil)
	groups := contrasting(someGroups(l)) // of Version 0; the current one is 1
	var r Report
	shares, err := l.shares(groups, &r)
	if err != nil {
		t.Fatal(err)
	}
	if len(shares) != 2 || r.Gap != 0 || !(r.Capped > 0 && r.Capped < 1) || !(r.Weight > .3 && r.Weight < 1.1) {
		t.Errorf("got %d shares and %+v; want 2, some weights truncated, and no gap between different versions", len(shares), r)
	}
	pending, err := l.trainer.Gradient(shares[0].norm, shares[0].batches...)
	if err != nil {
		t.Fatal(err)
	}
	defer pending.Free()
	if v := pending.Stats.Values; v[statRatio] != 1 || v[statClipped] != 0 || v[statKL] != 0 {
		t.Errorf("got the stats %v before the first update; want ratios of 1", v)
	}
	without := c
	without.Objective.Staleness.TIS = 0
	other := learnerOf(t, open(t, device.Go), without, nil)
	plain, err := other.shares(contrasting(someGroups(other)), &Report{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range plain {
		if plain[i].norm != shares[i].norm {
			t.Errorf("the norm is %g; want %g, as without weights", shares[i].norm, plain[i].norm)
		}
		for j, b := range plain[i].batches {
			if !slices.Equal(b.Weights, shares[i].batches[j].Weights) {
				t.Error("Staleness changes the weights that the loss is normalised with")
			}
		}
	}
}

// Rollouts that were just drawn weigh 1 but for rounding, and make the very update that they make without Staleness.
func TestFreshRolloutsWeighOne(t *testing.T) {
	var reports []Report
	for _, tis := range []float64{0, 2} {
		c := banditConfig()
		c.Objective.Staleness.TIS = tis
		l := learnerOf(t, open(t, device.Go), c, bandit)
		r, err := l.Step(context.Background())
		if err != nil || r.Updates != 1 {
			t.Fatalf("%d updates, %v", r.Updates, err)
		}
		reports = append(reports, r)
	}
	a, b := reports[0], reports[1]
	if !near(b.Weight, 1, 1e-4) || b.Capped != 0 || a.Weight != 0 {
		t.Errorf("fresh rollouts weigh %g; %g of them are truncated", b.Weight, b.Capped)
	}
	if !near(a.GradNorm, b.GradNorm, 1e-4*a.GradNorm) || b.Gap == 0 || !near(a.Gap, b.Gap, 1e-6) {
		t.Errorf("got the gradient's norm %g and the gap %g; want %g and %g, as without Staleness", b.GradNorm, b.Gap, a.GradNorm, a.Gap)
	}
}

// Staleness hides neither an engine that is not the trainer's equal, nor numbers that are none.
func TestStalenessStillRefuses(t *testing.T) {
	for _, s := range []struct {
		by  float32
		why string
	}{{.1, "engine and trainer differ by 0.1"}, {float32(math.NaN()), "the loss is NaN"}} {
		c := banditConfig()
		c.Objective.Staleness.TIS = 2
		l := learnerOf(t, open(t, device.Go), c, bandit)
		l.sampler = shifts{l.sampler, s.by}
		r, err := l.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(r.Refused, s.why) || r.Updates != 0 {
			t.Errorf("log-probabilities shifted by %g: got %q with %d updates; want a refusal with %q", s.by, r.Refused, r.Updates, s.why)
		}
	}
}

// The penalty of DAPO's eq. 13 with L_max 10 and L_cache 4.
func TestLengthPenalty(t *testing.T) {
	c := Config{MaxTokens: 10, Overlong: OverlongShape, OverlongBufferTokens: 4}
	for tokens, want := range map[int]float64{1: 0, 6: 0, 7: .25, 8: .5, 9: .75, 10: 1} {
		if got := c.lengthPenalty(tokens); got != want {
			t.Errorf("%d tokens: got %g; want %g", tokens, got, want)
		}
	}
	c.Overlong = OverlongFail
	if got := c.lengthPenalty(10); got != 0 {
		t.Errorf("without shaping: got %g", got)
	}
}
