package grpo

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"astro/internal/device"
	"astro/training/trainer"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// goldenUpdates is what testdata/make_objective.py computed with numpy; it says what is what.
type goldenUpdates struct {
	MaxTokens    int `json:"max_tokens"`
	BufferTokens int `json:"buffer_tokens"`
	Prompts      int
	Group        int
	Groups       []struct {
		Rewards []float64
		Lengths []int
	}
	Now, Behaviour, Before, Reference []float32
	Importance                        []float64
	Cases                             []goldenUpdate
}

type goldenUpdate struct {
	Objective         Objective
	Norm              Norm
	Scale             Scale
	LeaveOneOut       bool `json:"leave_one_out"`
	Overlong          Overlong
	Kept              []int
	Advantages        [][]float64
	Weights, Gradient []float64
	Loss              float64
	Clipped           int
}

func (c goldenUpdate) String() string {
	return fmt.Sprintf("%+v, norm %s, scale %s, leave one out %t, overlong %s", c.Objective, c.Norm, c.Scale, c.LeaveOneOut, c.Overlong)
}

// learner is one without a model: what it computes on the host needs none.
func (g goldenUpdates) learner(c goldenUpdate) *Learner {
	k := testConfig()
	k.Prompts, k.Group, k.MaxTokens, k.Rows, k.RowTokens = g.Prompts, g.Group, g.MaxTokens, 2, 12
	k.Objective, k.Norm, k.Advantages, k.Overlong = c.Objective, c.Norm, Advantages{c.Scale, c.LeaveOneOut}, c.Overlong
	if c.Overlong == OverlongShape {
		k.OverlongBufferTokens = g.BufferTokens
	}
	l := &Learner{config: k, loss: c.Objective.Loss()}
	for range g.Groups {
		l.problems = append(l.problems, Problem{Prompt: []int32{0, 0}})
	}
	return l
}

// groups are the answers; the ids of their tokens count from 1, so that each can be found again.
func (g goldenUpdates) groups(l *Learner) (groups []Group) {
	id := int32(0)
	for problem, of := range g.Groups {
		group := Group{Problem: problem}
		for i, n := range of.Lengths {
			r := Rollout{Grade: Grade{Reward: of.Rewards[i] - l.config.lengthPenalty(n)}}
			for range n {
				r.Logprobs = append(r.Logprobs, g.Behaviour[id])
				id++
				r.Tokens = append(r.Tokens, id)
			}
			group.Rollouts = append(group.Rollouts, r)
		}
		groups = append(groups, group)
	}
	return groups
}

// of gives a number for each target of a batch; 0 for prompts and padding.
func of(b *trainer.Batch, x []float32) []float32 {
	out := make([]float32, len(b.Targets))
	for i, id := range b.Targets {
		if id > 0 {
			out[i] = x[id-1]
		}
	}
	return out
}

// Whole updates, from rewards to the gradient with respect to log-probabilities, for every kind of loss, norm and scale: our host's
// numbers and our graphs' are numpy's.
func TestGoldenObjective(t *testing.T) {
	text, err := os.ReadFile("testdata/objective.json")
	if err != nil {
		t.Fatal(err)
	}
	var g goldenUpdates
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Cases) != 4*2*(3*3+4) {
		t.Fatalf("got %d cases; want all kinds, KL weights, norms and scales", len(g.Cases))
	}
	onEach(t, func(t *testing.T, d *device.Device) {
		programs := map[Objective]*device.Program{}
		for _, c := range g.Cases {
			o := c.Objective
			o.Staleness = Staleness{} // not in the graph
			if programs[o] == nil {
				programs[o] = compileUpdate(t, d, o)
			}
			t.Run(c.String(), func(t *testing.T) { g.check(t, programs[o], c) })
		}
	})
}

// check compares one case.
func (g goldenUpdates) check(t *testing.T, p *device.Program, c goldenUpdate) {
	l := g.learner(c)
	s := g.share(t, l, c)
	weights, gradient, loss, clipped := make([]float64, len(g.Now)), make([]float64, len(g.Now)), 0.0, 0.0
	for _, b := range s.batches {
		out := runUpdate(t, p, b, of(b, g.Now))
		loss += float64(out[0][0]) * s.norm
		for i, id := range b.Targets {
			if b.Weights[i] != 0 {
				weights[id-1], gradient[id-1] = float64(b.Weights[i])*s.norm, float64(out[1][i])*s.norm
				clipped += float64(out[2][i])
			} else if out[1][i] != 0 {
				t.Errorf("element %d has the gradient %g; want 0, for it has no weight", i, out[1][i])
			}
		}
	}
	if !near(loss, c.Loss, 1e-6+1e-5*math.Abs(c.Loss)) || int(clipped) != c.Clipped {
		t.Errorf("got the loss %g and %g clipped tokens; want %g and %d", loss, clipped, c.Loss, c.Clipped)
	}
	for i := range g.Now {
		if !near(weights[i], c.Weights[i], 1e-7) || !near(gradient[i], c.Gradient[i], 1e-7+1e-5*math.Abs(c.Gradient[i])) {
			t.Errorf("token %d: got the weight %g and the gradient %g; want %g and %g", i, weights[i], gradient[i], c.Weights[i], c.Gradient[i])
		}
	}
}

// share is what the Learner would learn from, and its advantages are checked.
func (g goldenUpdates) share(t *testing.T, l *Learner, c goldenUpdate) share {
	t.Helper()
	kept := contrasting(g.groups(l))
	l.setAdvantages(kept)
	var problems []int
	for i, group := range kept {
		problems = append(problems, group.Problem)
		for j, r := range group.Rollouts {
			if !near(r.Advantage, c.Advantages[i][j], 1e-9) {
				t.Errorf("group %d, rollout %d: got the advantage %g; want %g", group.Problem, j, r.Advantage, c.Advantages[i][j])
			}
		}
	}
	if !slices.Equal(problems, c.Kept) {
		t.Fatalf("the groups %v have contrast; want %v", problems, c.Kept)
	}
	s, err := l.pack(kept)
	if err != nil {
		t.Fatal(err)
	}
	var before [][]float32
	for _, b := range s.batches {
		before = append(before, of(b, g.Before))
		if c.Objective.KL > 0 {
			b.Columns[reference] = of(b, g.Reference)
		}
	}
	if c.Objective.Staleness.TIS > 0 {
		g.anchor(t, l, s, before)
	}
	return s
}

// anchor weighs the advantages, and checks by what.
func (g goldenUpdates) anchor(t *testing.T, l *Learner, s share, before [][]float32) {
	t.Helper()
	var was [][]float32
	for _, b := range s.batches {
		was = append(was, slices.Clone(b.Columns[advantage]))
	}
	var count anchoring
	l.config.Objective.Staleness.anchor(s, before, 1, &count)
	tokens := 0
	for i, b := range s.batches {
		tokens += b.Counted()
		for j, id := range b.Targets {
			if w := b.Weights[j]; w != 0 && !near(float64(b.Columns[advantage][j]/was[i][j]), g.Importance[id-1], 1e-5) {
				t.Errorf("token %d weighs %g; want %g", id-1, b.Columns[advantage][j]/was[i][j], g.Importance[id-1])
			}
		}
	}
	if count.tokens != tokens || count.capped < 1 || count.gap != 0 {
		t.Errorf("got %+v; want %d tokens, some truncated, and no gap, for all are of another version", count, tokens)
	}
}

// compileUpdate is the loss of a batch before its norm, its gradient with respect to the log-probabilities and which tokens are clipped.
func compileUpdate(t *testing.T, d *device.Device, o Objective) *device.Program {
	t.Helper()
	columns := len(o.Loss().Columns)
	params := []device.Param{{Name: "segments", Shape: shapes.Make(dtypes.Int32, 2, 12), Alias: -1}}
	for i := range columns + 2 { // log-probabilities, weights, columns
		params = append(params, device.Param{Name: fmt.Sprintf("in%d", i), Shape: shapes.Make(dtypes.Float32, 24), Alias: -1})
	}
	p, err := d.Compile(device.Spec{Name: "golden_update", Params: params, Build: func(in []*graph.Node) []*graph.Node {
		now, weights := in[1], in[2]
		counted := graph.NotEqual(weights, graph.ZerosLike(weights))
		terms, stats := o.terms(trainer.Tokens{Logprob: now, Columns: in[3:], Counted: counted, Segments: in[0]})
		loss := graph.ReduceAllSum(graph.Mul(terms, weights))
		return []*graph.Node{loss, graph.Gradient(loss, now)[0], stats[statClipped-1]}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func runUpdate(t *testing.T, p *device.Program, b *trainer.Batch, now []float32) (out [][]float32) {
	t.Helper()
	args := []*tensors.Tensor{tensors.FromFlatDataAndDimensions(b.Segments, b.Rows, b.Tokens)}
	for _, x := range append([][]float32{now, b.Weights}, b.Columns...) {
		args = append(args, tensors.FromFlatDataAndDimensions(x, len(x)))
	}
	results, err := p.Run(args...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		out = append(out, tensors.MustCopyFlatData[float32](r))
	}
	return out
}
