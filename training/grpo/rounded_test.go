package grpo

import (
	"context"
	"slices"
	"strings"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/training/countdown"
	"astro/training/random"
	"astro/training/trainer"

	"github.com/gomlx/compute/dtypes"
)

// drawer is an engine that draws the rollouts of a test.
type drawer struct {
	kind   device.Kind
	form   engine.Form
	dtype  dtypes.DType // of matrices, keys and values
	model  string
	change func(*model.Config)
}

// open makes a Sampler that says of its policy that it is version 1, whatever it holds.
func (e drawer) open(t *testing.T) Sampler {
	t.Helper()
	d := open(t, e.kind)
	w, err := model.Load("../../models/"+e.model, d.Backend(), e.dtype, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e.change != nil {
		e.change(&w.Config)
	}
	policy := model.NewPolicy(1, w)
	defer policy.Release()
	c := engine.DefaultConfig(w.Config.Vocab, 32, 192)
	c.EOS, c.PrefixCache = w.Config.EOS, false
	runner, err := engine.NewDeviceRunner(d, policy, engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: 32, ChunkTokens: c.ChunkTokens,
		MaxContextTokens: 192, KVType: e.dtype, Form: e.form, GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runner.Close)
	return NewLockStep(runner, c, 1)
}

// demoLearner learns on the demo model in f32 from what an engine draws.
func demoLearner(t *testing.T, e drawer) *Learner {
	t.Helper()
	d := open(t, device.Go)
	w, err := model.Load("../../models/astro-countdown", d.Backend(), dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := Default().Rounded()
	c.Prompts, c.MaxRounds, c.MaxTokens, c.RowTokens, c.Rows = 3, 1, 160, 191, 4
	c.Overlong, c.OverlongBufferTokens = OverlongShape, 1
	tr, err := c.Objective.Loss().NewTrainer(d, w, c.schedule())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	var problems []Problem
	for _, p := range countdown.CD4.Sample(countdown.CD4.Split().Train, 3, random.New(3, 0)) {
		problems = append(problems, Problem{ID: p.String(), Prompt: countdown.Prompt(p)})
	}
	grade := func(_ context.Context, _ Problem, rollout []int32) (Grade, error) {
		sum := int32(len(rollout))
		for _, id := range rollout {
			sum += id
		}
		return Grade{Reward: float64(sum % 2)}, nil // any contrast will do
	}
	l, err := NewLearner(c, tr, e.open(t), problems, grade, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// learnOnce makes an update.
func learnOnce(t *testing.T, l *Learner) (r Report) {
	t.Helper()
	groups, _, err := l.Gather(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Learn(groups, &r); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d tokens: largest gap %.2g, mean %.2g, KL %.2g, weight %.4f, %.2g %% truncated; %q", r.Compared, r.Gap, r.MeanGap, r.GapKL, r.Weight, 100*r.Capped, r.Refused)
	return r
}

// An engine that rounds is learned from, though single tokens are too far apart for one in f32; one that is broken, or serves other
// weights, is not. (int4 is as far away as a wrong rope: it is refused, too.)
func TestRoundedEngines(t *testing.T) {
	rope := func(theta float64) func(*model.Config) { return func(c *model.Config) { c.Rope.Theta = theta } }
	for _, s := range []struct {
		name string
		e    drawer
		why  string // of a refusal; "" = none
	}{
		{"bf16", drawer{device.Go, engine.FormGraph, dtypes.BFloat16, "astro-countdown", nil}, ""},
		{"int8 native", drawer{device.XLACPU, engine.FormInt8, dtypes.Float32, "astro-countdown", nil}, ""},
		{"wrong rope", drawer{device.Go, engine.FormGraph, dtypes.Float32, "astro-countdown", rope(2e4)}, "in the mean"},
		{"other weights", drawer{device.Go, engine.FormGraph, dtypes.Float32, "countdown-base", nil}, "in the mean"},
	} {
		t.Run(s.name, func(t *testing.T) {
			r := learnOnce(t, demoLearner(t, s.e))
			if s.why == "" && (r.Refused != "" || r.Updates != 1 || r.Gap < .01) {
				t.Errorf("%d updates, largest gap %g, refused %q; want one update, and a token far apart", r.Updates, r.Gap, r.Refused)
			}
			if s.why != "" && (!strings.Contains(r.Refused, s.why) || r.Updates != 0) {
				t.Errorf("%d updates, refused %q; want none because of %q", r.Updates, r.Refused, s.why)
			}
		})
	}
}

// stuck is a Sampler that goes on with the weights that it has.
type stuck struct {
	Sampler
	version int64
}

func (s *stuck) Publish(p *model.Policy) error { s.version = p.Version; return nil }
func (s *stuck) Version() int64                { return s.version }

func (s *stuck) Sample(ctx context.Context, requests []engine.Request) ([][]Sample, error) {
	requests = slices.Clone(requests)
	for i := range requests {
		requests[i].Version = s.Sampler.Version()
	}
	samples, err := s.Sampler.Sample(ctx, requests)
	for _, group := range samples {
		for i := range group {
			group[i].Version = s.version
		}
	}
	return samples, err
}

// The bandit is learned with trainer and engine in bf16; an engine that goes on with its first weights is found out after some updates.
func TestBanditIsLearnedInHalf(t *testing.T) {
	c, d := banditConfig().Rounded(), open(t, device.Go)
	c.Optimizer.Compute = trainer.BF16
	var first, last Report
	gap, mean := 0.0, 0.0
	trained, err := Run(context.Background(), d, tiny(t, d), questions(), bandit, c, Work{}, func(r Report) {
		if r.Step == 1 {
			first = r
		}
		if last, gap, mean = r, max(gap, r.Gap), max(mean, r.MeanGap); r.Refused != "" {
			t.Errorf("step %d: %s", r.Step, r.Refused)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("pass rate %.2f -> %.2f, largest gap %.2g, mean at most %.2g", first.PassRate(), last.PassRate(), gap, mean)
	if first.PassRate() > .3 || last.PassRate() < .8 || gap == 0 {
		t.Errorf("the pass rate went from %.2f to %.2f, with a gap of up to %g; want below .3 to above .8, and a gap", first.PassRate(), last.PassRate(), gap)
	}
	if got := trained.Weights.Tensors[0].DType(); got != dtypes.Float32 {
		t.Errorf("what was trained is %s; want f32", got)
	}
	l := learnerOf(t, d, c, bandit)
	l.sampler = &stuck{l.sampler, 1}
	for range 10 {
		r, err := l.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if r.Refused != "" {
			t.Logf("weights of %d updates ago: %s", l.trainer.Steps(), r.Refused)
			return
		}
	}
	t.Error("ten updates were made from what the first weights drew")
}
