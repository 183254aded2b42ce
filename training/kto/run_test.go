package kto

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/model/modeltest"
	"astro/training/random"
	"astro/training/trainer"

	"github.com/gomlx/compute/dtypes"
)

func open(t testing.TB) *device.Device {
	t.Helper()
	d := devicetest.Open(t, device.Go)
	return d
}

const vocab = 14

// tiny is a model that knows nothing.
func tiny(t testing.TB, d *device.Device) *model.Weights {
	t.Helper()
	w, err := model.Random(model.Config{Vocab: vocab, Hidden: 16, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 8, FFN: 24, MaxPositions: 32,
		NormEps: 1e-5, TiedHead: true, Rope: model.Rope{Theta: 1e4}, BOS: -1, EOS: []int32{3}, InitStd: .1}, 3, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// The lock's questions are [0 q], q from 1 to questions; an answer is two digits, tokens from firstDigit on. The first opens the lock if it
// is q's own; the second if it is q's own too and the first was right.
const (
	questions  = 3
	firstDigit = 4
	digits     = vocab - firstDigit
)

func rightDigits(q int) (a, b int) { return 2 * q, q + 3 }

// chances are the exact probabilities of all answers to all questions, [question][100]. It owns the weights.
func chances(d *device.Device, w *model.Weights) ([][]float64, error) {
	tr, err := trainer.New(d, w, trainer.Default(1))
	if err != nil {
		return nil, err
	}
	defer tr.Close()
	p := trainer.NewPacker(questions*digits*digits, 3)
	for i := range questions * digits * digits {
		tokens := []int32{0, int32(1 + i/(digits*digits)), int32(firstDigit + i/digits%digits), int32(firstDigit + i%digits)}
		if _, err := p.Add(trainer.Example{Tokens: tokens, Weights: []float32{0, 0, 1, 1}}); err != nil {
			return nil, err
		}
	}
	logprobs, err := tr.Score(p.Flush())
	if err != nil {
		return nil, err
	}
	all := make([][]float64, questions)
	for i := range questions * digits * digits {
		q := i / (digits * digits)
		all[q] = append(all[q], math.Exp(float64(logprobs[3*i+1])+float64(logprobs[3*i+2])))
	}
	return all, nil
}

// lock draws answers to every question from their exact distribution over digits.
func lock(d *device.Device, answers int, before func(round int)) Source {
	return Source{Name: "lock", Draw: func(ctx context.Context, round int, w *model.Weights) ([]Answer, error) {
		if before != nil {
			before(round)
		}
		all, err := chances(d, w)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return nil, err
		}
		draw := random.New(9, uint64(round))
		var drawn []Answer
		for q := 1; q <= questions; q++ {
			for range answers {
				i := draw.Weighted(all[q-1])
				a, b := rightDigits(q)
				first, both := i/digits == a, i/digits == a && i%digits == b
				drawn = append(drawn, Answer{Tokens: []int32{0, int32(q), int32(firstDigit + i/digits), int32(firstDigit + i%digits)}, Prompt: 2,
					Labels: []Label{{2, 3, first, false}, {3, 4, both, false}, {2, 4, both, true}}})
			}
		}
		return drawn, nil
	}}
}

func lockConfig(rounds int) Config {
	c := Default()
	c.Rounds, c.Mini, c.Rows, c.RowTokens, c.Objective.Beta, c.Optimizer.PeakLR = rounds, 2, 8, 12, 1, 5e-3
	return c
}

// Two digits that are right by luck once in a hundred times are learned.
func TestLockIsLearned(t *testing.T) {
	d := open(t)
	var last Report
	w, err := Run(t.Context(), d, tiny(t, d), lock(d, 64, nil), lockConfig(40), Work{}, func(r Report) { last = r })
	if err != nil {
		t.Fatal(err)
	}
	all, err := chances(d, w)
	if err != nil {
		t.Fatal(err)
	}
	for q := 1; q <= questions; q++ {
		a, b := rightDigits(q)
		t.Logf("question %d: right with %.3f", q, all[q-1][a*digits+b])
		if all[q-1][a*digits+b] < .8 {
			t.Errorf("question %d is answered right with %.3f; want above .8 (%+v)", q, all[q-1][a*digits+b], last)
		}
	}
	if last.Round != 40 || last.Updates != 2 || last.Answers != 3*64 || last.Outcomes != 3*64 || last.Steps != 2*3*64 || last.KL <= last.StepKL {
		t.Errorf("got %+v", last)
	}
}

// A run that is stopped while it draws, and one that is killed after a checkpoint, end with the very weights of one that was left alone.
func TestRunResumes(t *testing.T) {
	d, c := open(t), lockConfig(7)
	whole, err := Run(t.Context(), d, tiny(t, d), lock(d, 8, nil), c, Work{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, stop := range map[string]func(Work){"stopped": func(work Work) { stopIn(t, d, c, work, 5) }, "killed": func(work Work) { killAfter(t, d, c, work, 4) }} {
		work := Work{Dir: t.TempDir(), EveryRounds: 3}
		stop(work)
		var rounds []int
		resumed, err := Run(t.Context(), d, tiny(t, d), lock(d, 8, nil), c, work, func(r Report) { rounds = append(rounds, r.Round) })
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string][]int{"stopped": {5, 6, 7}, "killed": {4, 5, 6, 7}}[name]; !slices.Equal(rounds, want) {
			t.Errorf("%s: the second run made the rounds %v; want %v", name, rounds, want)
		}
		if !modeltest.Same(whole.Tensors, resumed.Tensors) {
			t.Errorf("%s: the resumed run ends with other weights", name)
		}
		other := c
		other.Passes++
		if _, err := Run(t.Context(), d, tiny(t, d), lock(d, 8, nil), other, work, nil); err == nil || !strings.Contains(err.Error(), "another run") {
			t.Errorf("a checkpoint of another run: got %v", err)
		}
	}
}

// stopIn stops a run while it draws the answers of a round.
func stopIn(t *testing.T, d *device.Device, c Config, work Work, round int) {
	ctx, cancel := context.WithCancel(t.Context())
	source := lock(d, 8, func(r int) {
		if r == round {
			cancel()
		}
	})
	if _, err := Run(ctx, d, tiny(t, d), source, c, work, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("the run was not stopped: %v", err)
	}
}

// killAfter makes rounds as a process does that never comes to its end: only what was saved on the way is left.
func killAfter(t *testing.T, d *device.Device, c Config, work Work, rounds int) {
	panicked := errors.New("killed")
	defer func() {
		if r := recover(); r != panicked {
			t.Fatalf("got %v", r)
		}
	}()
	Run(t.Context(), d, tiny(t, d), lock(d, 8, nil), c, work, func(r Report) {
		if r.Round == rounds {
			panic(panicked)
		}
	})
}

// A round without labels changes nothing, and answers that cannot be learnt from are an error that says which.
func TestOddAnswers(t *testing.T) {
	d, c := open(t), lockConfig(1)
	of := func(answers ...Answer) Source {
		return Source{Draw: func(_ context.Context, _ int, w *model.Weights) ([]Answer, error) {
			w.Free()
			return answers, nil
		}}
	}
	w, err := Run(t.Context(), d, tiny(t, d), of(Answer{Tokens: []int32{0, 1, 4}, Prompt: 2}), c, Work{}, func(r Report) {
		if r.Updates != 0 || r.Answers != 1 {
			t.Errorf("got %+v", r)
		}
	})
	if err != nil || !modeltest.Same(w.Tensors, tiny(t, d).Tensors) {
		t.Errorf("a round without labels changed the weights (%v)", err)
	}
	for want, a := range map[string]Answer{
		"vocabulary has 14":   {Tokens: []int32{0, 99}, Prompt: 1},
		"at most 13":          {Tokens: make([]int32, 14), Prompt: 1},
		"0 of them given":     {Tokens: []int32{0, 1}},
		"2 of them given":     {Tokens: []int32{0, 1}, Prompt: 2},
		"the answer is [1, 2": {Tokens: []int32{0, 1}, Prompt: 1, Labels: []Label{{0, 1, true, false}}},
	} {
		if _, err := Run(t.Context(), d, tiny(t, d), of(a), c, Work{}, nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "answer 1") {
			t.Errorf("%+v: got %v; want %q", a, err, want)
		}
	}
	failed := Source{Draw: func(context.Context, int, *model.Weights) ([]Answer, error) { return nil, fmt.Errorf("no engine") }}
	if _, err := Run(t.Context(), d, tiny(t, d), failed, c, Work{}, nil); err == nil || !strings.Contains(err.Error(), "round 1: no engine") {
		t.Errorf("got %v", err)
	}
}

func TestConfigValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Rounds = 0 }, func(c *Config) { c.Passes = 0 }, func(c *Config) { c.Mini = MaxUpdates + 1 }, func(c *Config) { c.Rows = 0 },
		func(c *Config) { c.RowTokens = MaxRowTokens + 1 }, func(c *Config) { c.Objective.Beta = 0 }, func(c *Config) { c.Objective.Good = -1 },
		func(c *Config) { c.Objective.Bad = math.NaN() }, func(c *Config) { c.Objective.Good, c.Objective.Bad = 0, 0 }, func(c *Config) { c.Optimizer.PeakLR = 0 },
	} {
		c := Default()
		if change(&c); c.Validate() == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}
