package grpo

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"
	"astro/training/trainer"

	"github.com/gomlx/compute/dtypes"
)

// bandit is right where the first answer is the question's own: about one in ten for a model that knows nothing.
func bandit(_ context.Context, p Problem, rollout []int32) (Grade, error) {
	last := rollout[len(rollout)-1]
	if last == firstAnswer+2*p.Prompt[1] {
		return Grade{Reward: 1, Correct: true, Reason: "right"}, nil
	}
	return Grade{Reward: -1, Reason: "wrong"}, nil
}

func banditConfig() Config {
	c := testConfig()
	c.Steps, c.Prompts, c.Group, c.MaxTokens, c.RowTokens = 60, 6, 16, 6, 32
	c.Optimizer.PeakLR = 5e-3
	return c
}

// GRPO learns the bandit: from one in ten to more than eight in ten, with the engine's log-probabilities equal to the trainer's all the
// way.
func TestBanditIsLearned(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"default":   func(*Config) {},
		"two minis": func(c *Config) { c.Mini = 2 },
		"gspo": func(c *Config) {
			c.Objective = Objective{Kind: KindGSPO, ClipLow: .2, ClipHigh: .28}
			c.Norm, c.Mini = NormSequences, 2
		},
		"cispo, staleness": func(c *Config) {
			c.Objective = Objective{Kind: KindCISPO, ClipLow: 1, ClipHigh: 3, Staleness: Staleness{TIS: 2}}
			c.Mini = 2
		},
		"all else": func(c *Config) {
			c.Norm, c.Advantages, c.Objective.DualClip = NormSequences, Advantages{ScaleGroup, true}, 3
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, d := banditConfig(), open(t, device.Go)
			change(&c)
			var first, last, gap float64
			_, err := Run(context.Background(), d, tiny(t, d), questions(), bandit, c, Work{}, func(r Report) {
				if r.Step == 1 {
					first = r.PassRate()
				}
				last = r.PassRate()
				gap = max(gap, r.Gap)
				if r.Updates > 0 && r.Refused != "" {
					t.Errorf("step %d: %s", r.Step, r.Refused)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("pass rate %.2f -> %.2f, largest gap %.2g", first, last, gap)
			if first > .3 || last < .8 {
				t.Errorf("the pass rate went from %.2f to %.2f; want below .3 to above .8", first, last)
			}
			if gap > 1e-4 {
				t.Errorf("engine and trainer differ by %g; want at most 1e-4", gap)
			}
		})
	}
}

// The same rollouts come through an Engine that others could use, and in lock step.
func TestLiveSamplesLikeLockStep(t *testing.T) {
	d := open(t, device.Go)
	policy := model.NewPolicy(1, tiny(t, d))
	defer policy.Release()
	lock, err := OpenLockStep(d, policy, 8, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	live := NewLive(liveEngine(t, d, policy), 2)
	var requests []engine.Request
	for i, p := range questions() {
		r := engine.Request{Prompt: p.Prompt, N: 4, MaxTokens: 5, Params: sampler.Default(), Seeded: true, Class: engine.Batch}
		r.Params.Seed = uint64(i)
		requests = append(requests, r)
	}
	a, err := lock.Sample(context.Background(), requests)
	if err != nil {
		t.Fatal(err)
	}
	b, err := live.Sample(context.Background(), requests)
	if err != nil {
		t.Fatal(err)
	}
	for i := range a {
		for j := range a[i] {
			if x, y := a[i][j], b[i][j]; !slices.Equal(x.Tokens, y.Tokens) || x.Version != 1 || y.Version != 1 || x.Finish != y.Finish || len(x.Tokens) == 0 {
				t.Errorf("request %d, sample %d: %+v in lock step; %+v live", i, j, x, y)
			}
		}
	}
	checkSwap(t, d, requests, lock, live)
}

// checkSwap publishes a version to Samplers, which take it once and end with their ctx.
func checkSwap(t *testing.T, d *device.Device, requests []engine.Request, list ...Sampler) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, s := range list {
		next := model.NewPolicy(2, tiny(t, d))
		if err := s.Publish(next); err != nil || s.Version() != 2 {
			t.Errorf("publish: %v; version %d", err, s.Version())
		}
		if err := s.Publish(next); !errors.Is(err, engine.ErrVersion) {
			t.Errorf("publish the same version again: got %v", err)
		}
		next.Release()
		if _, err := s.Sample(ctx, requests); !errors.Is(err, context.Canceled) {
			t.Errorf("sampling after the end: got %v", err)
		}
	}
}

// What the engine says of a token as it draws it, with pages and one token at a time, and what the trainer says, with packed rows, are
// the same but for rounding: on both backends, and on Go through a live Engine, before and after an update.
func TestEngineAndTrainerAgree(t *testing.T) {
	t.Run("full", func(t *testing.T) { agree(t, trainer.LoRA{}) })
	t.Run("lora", func(t *testing.T) { agree(t, trainer.LoRA{Rank: 2, Alpha: 64}) })
}

func agree(t *testing.T, lora trainer.LoRA) {
	onEach(t, func(t *testing.T, d *device.Device) {
		c := banditConfig()
		c.Prompts, c.MaxRounds, c.Optimizer.LoRA = 3, 2, lora
		l := learnerOf(t, d, c, bandit)
		if d.Kind() == device.Go {
			w, err := l.trainer.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			policy := model.NewPolicy(1, w)
			defer policy.Release()
			l.sampler = NewLive(liveEngine(t, d, policy), 4)
		}
		l.sampler = neverStops{l.sampler} // the longer the rollouts, the more there is to differ
		versions := int64(2)
		if d.Kind() != device.Go && lora.Rank == 0 {
			versions = 1 // an update would have to be compiled
		}
		for version := int64(1); version <= versions; version++ {
			groups := drawn(t, l)
			batches, norm, err := l.batches(groups)
			if err != nil {
				t.Fatal(err)
			}
			pending, err := l.trainer.Gradient(norm, batches...)
			if err != nil {
				t.Fatal(err)
			}
			gap := pending.Stats.Values[statGap]
			t.Logf("version %d: %d tokens, largest difference %.2g", version, pending.Stats.Counted, gap)
			if gap > 1e-4 || pending.Stats.Counted != 3*c.Group*c.MaxTokens {
				t.Errorf("version %d: %d tokens differ by up to %g; want at most 1e-4", version, pending.Stats.Counted, gap)
			}
			if err := errors.Join(l.trainer.Apply(pending), l.publish()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// drawn are groups with made-up advantages.
func drawn(t *testing.T, l *Learner) []Group {
	t.Helper()
	var groups []Group
	for problem := range l.problems {
		samples, err := l.sampler.Sample(context.Background(), []engine.Request{l.request(problem, uint64(problem))})
		if err != nil {
			t.Fatal(err)
		}
		g := Group{Problem: problem}
		for i, s := range samples[0] {
			if s.Version != l.sampler.Version() {
				t.Fatalf("drawn by version %d; the current one is %d", s.Version, l.sampler.Version())
			}
			g.Rollouts = append(g.Rollouts, Rollout{Sample: s, Advantage: float64(i%2*2) - 1})
		}
		groups = append(groups, g)
	}
	return groups
}

func liveEngine(t *testing.T, d *device.Device, p *model.Policy) *engine.Engine {
	t.Helper()
	c := engine.DefaultConfig(vocab, 8, 32)
	c.EOS = p.Weights.Config.EOS
	runner, err := engine.NewDeviceRunner(d, p, engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: 8, ChunkTokens: c.ChunkTokens,
		MaxContextTokens: 32, KVType: dtypes.Float32, GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(runner, engine.Options{Config: c, Version: p.Version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(); runner.Close() })
	return e
}

// A Grader that fails, panics, answers nonsense or hangs costs its rollouts, not the step; each is counted.
func TestGraderFailures(t *testing.T) {
	c := banditConfig()
	c.GradeTimeout, c.MaxRounds = 50*time.Millisecond, 1
	release := make(chan struct{})
	defer close(release)
	calls := make(chan int, 1000)
	for i := range 1000 {
		calls <- i
	}
	l := learnerOf(t, open(t, device.Go), c, func(ctx context.Context, p Problem, r []int32) (Grade, error) {
		switch i := <-calls; {
		case i < 4:
			return Grade{}, errors.New("no answer known")
		case i < 6:
			panic("a defect")
		case i < 8:
			return Grade{Reward: math.NaN()}, nil
		case i < 11:
			<-release // does not look at ctx
		case i < 13:
			<-ctx.Done()
			return Grade{}, ctx.Err()
		}
		return Grade{Reward: float64(r[0]%2*2) - 1}, nil
	})
	r, err := l.Step(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	y := r.Tally
	if y.Errors != 8 || y.Hung != 5 || y.Rollouts != 6*16-13 || r.Updates != 1 || y.LastError == nil {
		t.Errorf("got %+v; want 8 errors, 5 hung, the others learned from", y)
	}
	if n := l.graders.hung.Load(); n != 3 {
		t.Errorf("%d calls are counted as hanging; want 3", n)
	}
}

// While too many calls hang, no more are made.
func TestHungCallsAreBounded(t *testing.T) {
	release := make(chan struct{})
	g := graders{timeout: time.Millisecond, grade: func(context.Context, Problem, []int32) (Grade, error) { <-release; return Grade{}, nil }}
	n := 2 * maxHung
	answers := g.all(context.Background(), make([]Problem, n), make([][]int32, n))
	close(release)
	for i, a := range answers {
		if !errors.Is(a.err, errDeadline) {
			t.Errorf("call %d: got %v", i, a.err)
		}
	}
	if last := answers[n-1].err; !strings.Contains(last.Error(), "have not returned") {
		t.Errorf("got %v; want the last call not to be made", last)
	}
}

// A policy that never stops is counted, and is wrong or left out as the Config says.
func TestTruncation(t *testing.T) {
	d := open(t, device.Go)
	for _, way := range []Overlong{OverlongFail, OverlongMask, OverlongShape} {
		c := testConfig()
		if c.Overlong, c.MaxRounds = way, 1; way == OverlongShape {
			c.OverlongBufferTokens = 2
		}
		l := learnerOf(t, d, c, func(context.Context, Problem, []int32) (Grade, error) { return Grade{Reward: 1, Correct: true}, nil })
		l.sampler = neverStops{l.sampler}
		r, err := l.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		y, n := r.Tally, c.Prompts*c.Group
		want := map[Overlong]Tally{OverlongFail: {Rollouts: n, Reward: float64(-n)}, OverlongMask: {}, OverlongShape: {Rollouts: n, Correct: n, Shaped: n}}[way]
		if y.Truncated != n || y.Rollouts != want.Rollouts || y.Correct != want.Correct || y.Shaped != want.Shaped || y.Reward != want.Reward || r.Updates != 0 {
			t.Errorf("%s: got %+v; want %d truncated and %+v", way, y, n, want)
		}
		if failed := y.Reasons["truncated"]; failed != map[Overlong]int{OverlongFail: n}[way] {
			t.Errorf("%s: %d are failures because they were cut", way, failed)
		}
	}
}

// neverStops asks for answers that ignore the end of sequence.
type neverStops struct{ Sampler }

func (n neverStops) Sample(ctx context.Context, requests []engine.Request) ([][]Sample, error) {
	for i := range requests {
		requests[i].IgnoreEOS = true
	}
	return n.Sampler.Sample(ctx, requests)
}

// shifts tells log-probabilities that are not the Policy's: another program's numerics, or a defect.
type shifts struct {
	Sampler
	by float32
}

func (s shifts) Sample(ctx context.Context, requests []engine.Request) ([][]Sample, error) {
	samples, err := s.Sampler.Sample(ctx, requests)
	for _, group := range samples {
		for _, sample := range group {
			for i := range sample.Logprobs {
				sample.Logprobs[i] += s.by
			}
		}
	}
	return samples, err
}

// An update whose numbers say that something is wrong is not made: the weights stay, the report says why, and a run that goes on like
// that ends.
func TestRefusals(t *testing.T) {
	d := open(t, device.Go)
	for name, s := range map[string]struct {
		by     float32
		limits Limits
		why    string
	}{
		"gap":   {.1, Limits{Ratio: 100, KL: 1, Gap: .05, Refusals: 1}, "engine and trainer differ by 0.1"},
		"ratio": {-3, Limits{Ratio: 10, KL: 1000, Gap: 10, Refusals: 1}, "probability ratio is 20"},
		"kl":    {-3, Limits{Ratio: 100, KL: 1, Gap: 10, Refusals: 1}, "KL divergence"},
		"nan":   {float32(math.NaN()), Limits{Ratio: 100, KL: 1, Gap: 10, Refusals: 1}, "the loss is NaN"},

		"mean gap":     {.02, Limits{Ratio: 100, KL: 1, MeanGap: .01, GapKL: .001, Refusals: 1}, "differ by 0.02 in the mean"},
		"gap kl":       {.1, Limits{Ratio: 100, KL: 1, MeanGap: 1, GapKL: .001, Refusals: 1}, "between engine and trainer is 0.0048"},
		"nan, rounded": {float32(math.NaN()), Limits{Ratio: 100, KL: 1, MeanGap: .01, GapKL: .001, Refusals: 1}, "the loss is NaN"},
	} {
		t.Run(name, func(t *testing.T) {
			c := banditConfig()
			if c.Limits = s.limits; c.Limits.MeanGap > 0 {
				c.Objective.Staleness.TIS = 2
			}
			l := learnerOf(t, d, c, bandit)
			l.sampler = shifts{l.sampler, s.by}
			r, err := l.Step(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(r.Refused, s.why) || r.Updates != 0 || r.Version != 1 || l.trainer.Steps() != 0 {
				t.Errorf("got %q with %d updates; want a refusal with %q", r.Refused, r.Updates, s.why)
			}
			if _, err := l.Step(context.Background()); err == nil || !strings.Contains(err.Error(), "2 steps in a row were refused") {
				t.Errorf("the second refusal: got %v", err)
			}
		})
	}
}

// Groups without contrast are replaced by others, until there are enough or the rounds are used up.
func TestDynamicSampling(t *testing.T) {
	c := banditConfig()
	c.MaxRounds = 8
	l := learnerOf(t, open(t, device.Go), c, func(ctx context.Context, p Problem, r []int32) (Grade, error) {
		if p.ID != "0" {
			return Grade{Reward: -1}, nil
		}
		return Grade{Reward: float64(r[0]%2*2) - 1}, nil
	})
	groups, tally, err := l.gather(context.Background(), l.prompts.copy())
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != c.Prompts || tally.Rounds < 2 || tally.Mixed != c.Prompts || tally.Groups <= c.Prompts {
		t.Errorf("got %d groups, %+v; want %d with contrast after some rounds", len(groups), tally, c.Prompts)
	}
	for _, g := range groups {
		if g.Problem != 0 {
			t.Errorf("problem %d has contrast", g.Problem)
		}
	}
	if again, _, err := l.gather(context.Background(), l.prompts.copy()); err != nil || !slices.EqualFunc(groups, again, sameGroup) {
		t.Errorf("gathering again from the same place gives other groups, %v", err)
	}
}

func sameGroup(a, b Group) bool {
	return a.Problem == b.Problem && slices.EqualFunc(a.Rollouts, b.Rollouts, func(x, y Rollout) bool {
		return slices.Equal(x.Tokens, y.Tokens) && slices.Equal(x.Logprobs, y.Logprobs) && x.Grade == y.Grade
	})
}
