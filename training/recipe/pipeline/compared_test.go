package pipeline

import (
	"context"
	"errors"
	"maps"
	"math"
	"os"
	"strings"
	"testing"

	"astro/training/kto"
	"astro/training/reward"
)

// runCompared runs the stages that run on request: they are not there before, the evaluation stays as it is, and the table has their rows
// afterwards.
func runCompared(t *testing.T, p *Pipeline) {
	t.Helper()
	before := maps.Clone(sums(t, p))
	for _, arm := range Compared {
		if _, err := os.Stat(p.folder(arm)); !errors.Is(err, os.ErrNotExist) || strings.Contains(tableOf(t, p), string(arm)) {
			t.Errorf("%s was run with all stages (%v)", arm, err)
		}
		if err := p.Run(t.Context(), arm); err != nil {
			t.Fatal(err)
		}
		checkCompared(t, p, arm)
	}
	after := sums(t, p)
	for name := range before {
		if after[name] != before[name] {
			t.Errorf("%s was changed", name)
		}
	}
}

// checkCompared looks at what such a stage left, and at its place in the table.
func checkCompared(t *testing.T, p *Pipeline, arm Stage) {
	t.Helper()
	var f comparedFigures
	var astro rlFigures
	if err := errors.Join(p.figures(arm, &f), p.figures(AstroRL, &astro)); err != nil {
		t.Fatal(err)
	}
	last := f.Steps[len(f.Steps)-1]
	if f.Tokens < astro.Tokens || f.Tokens-last.Tokens >= astro.Tokens {
		t.Errorf("%s drew %d tokens, %d of them in its last step; want just above the %d of astro-rl", arm, f.Tokens, last.Tokens, astro.Tokens)
	}
	if (f.Taught != nil) != (arm == SPOC) || f.Row.Arm != arm || f.Row.Pass1.N != 6 || f.Row.Tokens < 1 || math.IsNaN(f.Row.Pass1.SE) {
		t.Errorf("%s: %+v, taught %v", arm, f.Row, f.Taught)
	}
	if !p.Config.Shaped(p.folder(arm)) {
		t.Errorf("%s left no model", arm)
	}
	table, err := NewTable([]*Pipeline{p, p})
	if err != nil {
		t.Fatal(err)
	}
	if s := table.Seeds[0]; s.Row(arm).Pass1 != f.Row.Pass1 || len(s.Differences) < len(pairs)+2 || table.Mean[len(table.Mean)-1].Arm != arm {
		t.Errorf("%s is not in the table, or not compared: %+v", arm, s.Differences)
	}
	for kind, text := range map[string]string{"text": table.Text(), "markdown": table.Markdown(), "plot": table.plots()["pass.svg"].SVG()} {
		if !strings.Contains(text, string(arm)) {
			t.Errorf("%s is not in the %s", arm, kind)
		}
	}
}

// stopCompared runs the same stages with stops in all that they do: every few new notes the run is stopped, and begun again.
func stopCompared(t *testing.T, p *Pipeline) {
	t.Helper()
	var cancel context.CancelFunc
	seen, stopped := map[string]bool{}, map[string]int{}
	p.Tell = func(e Event) {
		words := strings.Fields(e.Note)
		key := string(e.Stage) + " " + words[0] + " " + words[1]
		if kind := strings.Trim(words[0]+words[1], "0123456789."); !e.End && !seen[key] {
			if seen[key] = true; len(seen)%3 == 1 || stopped[kind] == 0 {
				stopped[kind]++
				cancel()
			}
		}
	}
	for _, arm := range Compared {
		for runs := 0; ; runs++ {
			var ctx context.Context
			ctx, cancel = context.WithCancel(t.Context())
			err := p.Run(ctx, arm)
			if cancel(); err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) || runs > 100 {
				t.Fatal(err)
			}
		}
	}
	t.Logf("stops by what was done: %v", stopped)
	for _, kind := range []string{"kept", "loss", "step", "testproblems"} {
		if stopped[kind] == 0 {
			t.Errorf("never stopped while it said %q: %v", kind, stopped)
		}
	}
}

// Outcome and verdicts are rewarded together, and no verdict makes up for a wrong outcome.
func TestSPOCReward(t *testing.T) {
	c := SPOCConfig{VerdictShare: .25}
	for _, x := range []struct {
		r    reward.CountdownResult
		want float64
	}{
		{reward.CountdownResult{Correct: true, Verdicts: 2, RightVerdicts: 2}, 1},
		{reward.CountdownResult{Correct: true, Verdicts: 2, RightVerdicts: 1}, .75},
		{reward.CountdownResult{Verdicts: 1, RightVerdicts: 1}, -.5},
		{reward.CountdownResult{Verdicts: 4, RightVerdicts: 1}, -.875},
		{reward.CountdownResult{Verdicts: 1}, -1},
		{reward.CountdownResult{}, -1},
	} {
		if got := c.reward(x.r); math.Abs(got-x.want) > 1e-12 {
			t.Errorf("%+v: got %g; want %g", x.r, got, x.want)
		}
	}
}

// All problems are answered once before one is answered again.
func TestStepKTOProblems(t *testing.T) {
	p := &Pipeline{Config: testConfig(t)}
	rewards, err := p.rewards()
	if err != nil {
		t.Fatal(err)
	}
	d := drawer{Pipeline: p, prompts: rewards.Problems[:10]}
	p.Config.StepKTO.Problems = 4
	count := map[int]int{}
	for round := 1; round <= 5; round++ {
		chosen := d.choose(round)
		for _, i := range chosen {
			count[i]++
		}
		if round == 2 && len(count) != 8 {
			t.Errorf("two rounds answered %v", count)
		}
	}
	for i := range 10 {
		if count[i] != 2 {
			t.Errorf("five rounds of four answered problem %d of ten %d times", i, count[i])
		}
	}
}

func TestComparedConfig(t *testing.T) {
	c := testConfig(t)
	if err := errors.Join(c.SPOC.Validate(), c.StepKTO.Validate()); err != nil {
		t.Fatal(err)
	}
	if o := c.spocTraces(); !o.Restart || o.Local >= 0 || len(o.K) != len(c.Traces.K) {
		t.Errorf("got %+v", o)
	}
	if w := c.WithSeed(7); w.SPOC.Seed != 7 || w.StepKTO.Seed != 7 {
		t.Error("a seed was not taken")
	}
	for _, spoil := range []func(*Config){func(c *Config) { c.SPOC.VerdictShare = 2 }, func(c *Config) { c.SPOC.CurveSteps = 0 }, func(c *Config) { c.StepKTO.Problems = 0 },
		func(c *Config) { c.StepKTO.Group = 1000 }, func(c *Config) { c.StepKTO.BatchTokens = 0 }, func(c *Config) { c.StepKTO.Objective = kto.Objective{} }} {
		bad := c
		if spoil(&bad); bad.Validate() == nil {
			t.Errorf("%+v and %+v were found valid", bad.SPOC, bad.StepKTO)
		}
	}
}
