package grpo

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/model/modeltest"
	"astro/training/trainer"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Terms and stats of every objective are those of the papers' formulas, computed by numpy.
func TestGoldenTerms(t *testing.T) {
	g := readGolden(t)
	onEach(t, func(t *testing.T, d *device.Device) {
		for _, c := range g.Objectives {
			terms, stats := termsOf(t, d, c.Objective, g)
			for i, want := range c.Terms {
				if !near(float64(terms[i]), want, 2e-5*max(1, math.Abs(want))) {
					t.Errorf("%+v: token %d: got %g; want %g", c.Objective, i, terms[i], want)
				}
			}
			for i, s := range c.Objective.Loss().Stats {
				if s.Name == "entropy" {
					continue
				}
				got := 0.0
				for _, x := range stats[i] {
					if s.Max {
						got = max(got, float64(x))
					} else {
						got += float64(x) / float64(len(stats[i]))
					}
				}
				if want := c.Stats[s.Name]; !near(got, want, 2e-5*max(1, want)) {
					t.Errorf("%+v: %s: got %g; want %g", c.Objective, s.Name, got, want)
				}
			}
		}
	})
}

// termsOf runs what the Loss builds on given numbers. Entropy, which needs a whole distribution, is replaced by the caller's tests.
func termsOf(t *testing.T, d *device.Device, o Objective, g golden) (terms []float32, stats [][]float32) {
	t.Helper()
	in := [][]float32{g.Now, g.Behaviour, g.Advantage, g.Reference}
	var params []device.Param
	var args []*tensors.Tensor
	for i, x := range in {
		params = append(params, device.Param{Name: fmt.Sprintf("in%d", i), Shape: shapes.Make(dtypes.Float32, len(x)), Alias: -1})
		args = append(args, tensors.FromFlatDataAndDimensions(x, len(x)))
	}
	p, err := d.Compile(device.Spec{Name: "terms", Params: params, Build: func(in []*graph.Node) []*graph.Node {
		terms, stats := o.terms(trainer.Tokens{Logprob: in[0], Columns: in[1:]})
		return append([]*graph.Node{terms}, stats...)
	}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Run(args...)
	if err != nil {
		t.Fatal(err)
	}
	stats = append(stats, nil) // entropy
	for _, x := range out[1:] {
		stats = append(stats, tensors.MustCopyFlatData[float32](x))
	}
	return tensors.MustCopyFlatData[float32](out[0]), stats
}

// learnerOf is a Learner on a fresh model with its own lock-step engine.
func learnerOf(t testing.TB, d *device.Device, c Config, grade Grader) *Learner {
	t.Helper()
	tr, err := c.Objective.Loss().NewTrainer(d, tiny(t, d), c.schedule())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	var ref *model.Weights
	if c.Objective.KL > 0 {
		if ref, err = tr.Snapshot(); err != nil {
			t.Fatal(err)
		}
		values := modeltest.Values(ref.Tensors)
		for i := range values[0] {
			values[0][i] += .05 * float32(i%5-2) // a reference that differs, or the KL part would have no gradient
		}
		ref = modeltest.Weights(ref.Config, values)
	}
	w, err := tr.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	policy := model.NewPolicy(1, w)
	s, err := OpenLockStep(d, policy, 8, 16)
	policy.Release()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	l, err := NewLearner(c, tr, s, questions(), grade, ref)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// questions are the bandit's problems.
func questions() (all []Problem) {
	for i := range numQuestions {
		all = append(all, Problem{ID: fmt.Sprint(i), Prompt: []int32{0, int32(i + 1)}})
	}
	return all
}

// someGroups are rollouts as the engine would have drawn them some updates ago: ratios are not 1, and rewards are mixed but in the last.
func someGroups(l *Learner) []Group {
	var groups []Group
	for g := range 3 {
		group := Group{Problem: g}
		for i := range 3 {
			r := Rollout{Grade: Grade{Reward: float64(i%2*2 - 1)}}
			if g == 2 {
				r.Grade.Reward = 1
			}
			for at := range 2 + (g+i)%3 {
				r.Tokens = append(r.Tokens, int32(4+(g*5+i*3+at*2)%10))
				r.Logprobs = append(r.Logprobs, -2.6+.25*float32((g+2*i+3*at)%5-2))
			}
			group.Rollouts = append(group.Rollouts, r)
		}
		groups = append(groups, group)
	}
	l.setAdvantages(groups)
	return groups
}

func testConfig() Config {
	c := Default()
	c.Prompts, c.Group, c.MaxTokens, c.Rows, c.RowTokens = 3, 3, 4, 2, 12
	return c
}

// A group without contrast adds exactly nothing to the gradient, with a KL part too: it is bit for bit the one without the group.
func TestGroupWithoutContrastHasNoGradient(t *testing.T) {
	for _, kl := range []float64{0, .5} {
		c := testConfig()
		c.Objective.KL = kl
		// Two prompts are answered with both rewards, the third always with the same.
		l := learnerOf(t, open(t, device.Go), c, func(_ context.Context, p Problem, r []int32) (Grade, error) {
			if p.ID == "2" {
				return Grade{Reward: -1}, nil
			}
			return Grade{Reward: float64(r[0]%2)*2 - 1}, nil
		})
		all := someGroups(l)
		for _, a := range all[2].Rollouts {
			if a.Advantage != 0 {
				t.Fatalf("got the advantage %g; want 0", a.Advantage)
			}
		}
		tally := Tally{Reasons: map[string]int{}}
		kept := l.contrast(all, newPrompts(3, 1, Band{0, 1}), &tally)
		if len(kept) != 2 || tally.Mixed != 2 || tally.Groups != 3 {
			t.Fatalf("kept %d of %d groups", len(kept), tally.Groups)
		}
		if got, want := gradientOf(t, l, kept), gradientOf(t, l, all[:2]); !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
			t.Errorf("KL %g: a group without contrast changes the gradient", kl)
		}
	}
}

// When no group has contrast, a step changes nothing at all.
func TestStepWithoutContrast(t *testing.T) {
	c := testConfig()
	c.Objective.KL, c.MaxRounds = .5, 2
	l := learnerOf(t, open(t, device.Go), c, func(context.Context, Problem, []int32) (Grade, error) { return Grade{Reward: -1}, nil })
	before, err := l.trainer.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Step(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if r.Updates != 0 || r.Tally.Mixed != 0 || r.Tally.Rounds != 2 || r.Version != 1 || r.MixedFraction() != 0 {
		t.Errorf("got %+v; want no update after two rounds", r)
	}
	after, err := l.trainer.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if !modeltest.Same(before.Tensors, after.Tensors) {
		t.Error("the weights changed")
	}
}

// Rollouts alone in a row, packed, and in many small batches have the same gradient.
func TestPackedEqualsUnpackedEqualsAccumulated(t *testing.T) {
	var first [][]float32
	for _, shape := range []struct{ rows, tokens, batches int }{{3, 15, 1}, {1, 5, 9}, {9, 5, 1}} {
		c := testConfig()
		c.Rows, c.RowTokens, c.Objective.KL = shape.rows, shape.tokens, .2
		l := learnerOf(t, open(t, device.Go), c, nil)
		batches, _, err := l.batches(someGroups(l))
		if err != nil {
			t.Fatal(err)
		}
		if len(batches) != shape.batches {
			t.Errorf("rows %+v: got %d batches", shape, len(batches))
		}
		got := gradientOf(t, l, someGroups(l))
		if first == nil {
			first = got
		}
		for i := range got {
			for j := range got[i] {
				if !near(float64(got[i][j]), float64(first[i][j]), 1e-6) {
					t.Fatalf("rows %+v: tensor %d, element %d: got %g; want %g", shape, i, j, got[i][j], first[i][j])
				}
			}
		}
	}
}

// With advantage 1 and the ratio 1 the gradient is that of predicting the next token: what sft does is a case of this.
func TestNextTokenIsACase(t *testing.T) {
	d := open(t, device.Go)
	l := learnerOf(t, d, testConfig(), nil)
	plain, err := trainer.New(d, tiny(t, d), trainer.Default(1))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	batches, _, err := l.batches(someGroups(l)[:1])
	if err != nil {
		t.Fatal(err)
	}
	b := batches[0]
	same := *b
	same.Columns = nil
	if b.Columns[behaviour], err = l.trainer.Score(b); err != nil {
		t.Fatal(err)
	}
	for i := range b.Columns[advantage] {
		b.Columns[advantage][i] = 1
	}
	got, err := l.trainer.Gradient(.1, b)
	if err != nil {
		t.Fatal(err)
	}
	want, err := plain.Gradient(.1, &same)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := got.Values()
	y, _ := want.Values()
	for i := range x {
		for j := range x[i] {
			if !near(float64(x[i][j]), float64(y[i][j]), 1e-6) {
				t.Fatalf("tensor %d, element %d: got %g; want %g", i, j, x[i][j], y[i][j])
			}
		}
	}
	if got.Stats.Values[statRatio] != 1 || got.Stats.Values[statGap] != 0 {
		t.Errorf("got the stats %v; want ratios of exactly 1", got.Stats.Values)
	}
}

// Entropy is that of the whole distribution: the mean of -log p over many draws comes near it.
func TestEntropy(t *testing.T) {
	l := learnerOf(t, open(t, device.Go), testConfig(), nil)
	r := l.request(0, 1)
	r.N, r.MaxTokens = 100, 1
	samples, err := l.sampler.Sample(context.Background(), []engine.Request{r})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	group := Group{}
	for _, s := range samples[0] {
		sum -= float64(s.Logprobs[0]) / 100
		group.Rollouts = append(group.Rollouts, Rollout{Sample: s})
	}
	batches, norm, err := l.batches([]Group{group})
	if err != nil {
		t.Fatal(err)
	}
	pending, err := l.trainer.Gradient(norm, batches...)
	if err != nil {
		t.Fatal(err)
	}
	defer pending.Free()
	if got := pending.Stats.Values[statEntropy]; !near(got, sum, .1) || got > math.Log(vocab) {
		t.Errorf("the entropy is %g; draws say %g", got, sum)
	}
}
