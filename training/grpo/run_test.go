package grpo

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/model/modeltest"
	"astro/training/trainer"
)

// A run that is stopped while it gathers, and one that is killed without a word after a checkpoint, end with the very weights of one that
// was left alone.
func TestRunResumes(t *testing.T) {
	t.Run("full", func(t *testing.T) { resumes(t, trainer.LoRA{}) })
	t.Run("lora", func(t *testing.T) { resumes(t, trainer.LoRA{Rank: 3}) })
}

func resumes(t *testing.T, l trainer.LoRA) {
	d, c := open(t, device.Go), banditConfig()
	c.Steps, c.Mini, c.Objective.KL, c.Band, c.Optimizer.LoRA = 7, 2, .01, Band{.05, .95}, l
	ctx := context.Background()
	whole, err := Run(ctx, d, tiny(t, d), questions(), bandit, c, Work{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, stop := range map[string]func(ctx context.Context, work Work) error{"stopped": stopAfter(t, d, c, 4), "killed": killAfter(t, d, c, 4)} {
		work := Work{Dir: t.TempDir(), EverySteps: 3}
		if err := stop(ctx, work); err != nil {
			t.Fatal(err)
		}
		var steps []int
		resumed, err := Run(ctx, d, tiny(t, d), questions(), bandit, c, work, func(r Report) { steps = append(steps, r.Step) })
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]int{"stopped": 5, "killed": 4}[name]; steps[0] != want || steps[len(steps)-1] != c.Steps {
			t.Errorf("%s: the second run made the steps %v; want %d to %d", name, steps, want, c.Steps)
		}
		if !modeltest.Same(whole.Weights.Tensors, resumed.Weights.Tensors) || whole.Version != resumed.Version {
			t.Errorf("%s: the resumed run ends with other weights, version %d; want %d", name, resumed.Version, whole.Version)
		}
		other := c
		other.Optimizer.LoRA.Rank++
		if _, err := Run(ctx, d, tiny(t, d), questions(), bandit, other, work, nil); err == nil || !strings.Contains(err.Error(), "another run") {
			t.Errorf("a checkpoint of another run: got %v", err)
		}
	}
}

// stopAfter runs until ctx ends in the middle of the step after n.
func stopAfter(t *testing.T, d *device.Device, c Config, n int) func(context.Context, Work) error {
	return func(ctx context.Context, work Work) error {
		ctx, cancel := context.WithCancel(ctx)
		made := 0
		grade := func(ctx context.Context, p Problem, r []int32) (Grade, error) {
			if made == n {
				cancel()
			}
			return bandit(ctx, p, r)
		}
		_, err := Run(ctx, d, tiny(t, d), questions(), grade, c, work, func(r Report) { made = r.Step })
		if !errors.Is(err, context.Canceled) {
			return errors.Join(errors.New("the run did not stop"), err)
		}
		return nil
	}
}

// killAfter runs n steps as a process does that never comes to its end: only what was saved on the way is left.
func killAfter(t *testing.T, d *device.Device, c Config, n int) func(context.Context, Work) error {
	return func(ctx context.Context, work Work) error {
		r, err := start(d, tiny(t, d), questions(), bandit, c, work)
		if err != nil {
			return err
		}
		defer r.close()
		for range n {
			report, err := r.learner.Step(ctx)
			if err != nil {
				return err
			}
			if report.Step%work.EverySteps == 0 {
				if err := r.save(nil); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// Extra files of a checkpoint are there, and a run with more steps goes on from one with fewer.
func TestRunGoesFurther(t *testing.T) {
	d, c := open(t, device.Go), banditConfig()
	c.Steps = 2
	work := Work{Dir: t.TempDir(), Extra: func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte("{}"), 0o644)
	}}
	if _, err := Run(context.Background(), d, tiny(t, d), questions(), bandit, c, work, nil); err != nil {
		t.Fatal(err)
	}
	if found, _ := filepath.Glob(filepath.Join(work.Dir, "step-*", "tokenizer.json")); len(found) != 1 {
		t.Errorf("got the files %v; want one", found)
	}
	c.Steps = 3
	steps := 0
	if _, err := Run(context.Background(), d, tiny(t, d), questions(), bandit, c, work, func(Report) { steps++ }); err != nil || steps != 1 {
		t.Errorf("made %d more steps, %v; want 1", steps, err)
	}
}

func TestConfigValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Steps = 0 }, func(c *Config) { c.Group = 1 }, func(c *Config) { c.MaxTokens = 0 }, func(c *Config) { c.MaxRounds = 0 },
		func(c *Config) { c.Mini = c.Prompts + 1 }, func(c *Config) { c.GradeTimeout = 0 }, func(c *Config) { c.Overlong = "keep" },
		func(c *Config) { c.Band = Band{.5, .5} }, func(c *Config) { c.Limits.Ratio = 1 }, func(c *Config) { c.Limits.Gap = 0 },
		func(c *Config) { c.Limits.MeanGap = .1 }, func(c *Config) { *c = c.Rounded(); c.Limits.GapKL = 0 }, func(c *Config) { c.Optimizer.Compute = "f16" },
		func(c *Config) { c.Objective.ClipLow = 0 },
		func(c *Config) { c.Objective.DualClip = 1 }, func(c *Config) { c.Objective.KL = -1 }, func(c *Config) { c.Advantages.Scale = "" },
		func(c *Config) { c.Norm = "" }, func(c *Config) { c.Optimizer.PeakLR = 0 }, func(c *Config) { c.Optimizer.LoRA.Rank = -1 },
		func(c *Config) { c.Objective.Kind = "ppo" }, func(c *Config) { c.Objective.Kind, c.Objective.DualClip = KindGSPO, 3 },
		func(c *Config) { c.Objective.Staleness.TIS = .5 }, func(c *Config) { c.Objective.Staleness.TIS = math.NaN() },
		func(c *Config) { c.Overlong = OverlongShape }, func(c *Config) { c.OverlongBufferTokens = 1 },
		func(c *Config) { c.Overlong, c.OverlongBufferTokens = OverlongShape, c.MaxTokens+1 },
	} {
		c := Default()
		if change(&c); c.Validate() == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Objective.Kind, c.Objective.DualClip = KindClip, 3 }, func(c *Config) { c.Objective.Kind = KindGSPO },
		func(c *Config) { c.Objective.Kind, c.Objective.Staleness.TIS = KindCISPO, 2 },
		func(c *Config) { c.Overlong, c.OverlongBufferTokens = OverlongShape, c.MaxTokens },
		func(c *Config) { *c = c.Rounded(); c.Optimizer.Compute = trainer.BF16 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
	c := testConfig()
	for _, problems := range [][]Problem{nil, {{Prompt: []int32{}}}, {{Prompt: []int32{1, 99}}}, {{Prompt: make([]int32, 30)}}} {
		if c.checkProblems(problems, vocab, 32) == nil {
			t.Errorf("%+v: no error", problems)
		}
	}
}

// What was added to a Config and is not used leaves its JSON as it was, by which runs and stages know theirs; "" and clip are one kind.
func TestOldRunsAreKnown(t *testing.T) {
	text, err := json.Marshal(Default())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Kind", "Staleness", "OverlongBufferTokens", "LoRA", "Compute", "MeanGap", "GapKL"} {
		if strings.Contains(string(text), name) {
			t.Errorf("the default Config says %s: %s", name, text)
		}
	}
	a, b := owner{Config: Default()}, owner{Config: Default()}
	b.Config.Objective.Kind = KindClip
	if !a.same(b) {
		t.Error("a run of the kind clip does not go on from one of the kind \"\"")
	}
	b.Config.Objective.Kind = KindGSPO
	if a.same(b) {
		t.Error("a run of the kind gspo goes on from one of the kind clip")
	}
	b = a
	if b.Config.Optimizer.Compute = trainer.BF16; a.same(b) {
		t.Error("a run in bf16 goes on from one in f32")
	}
}
