package search

import (
	"context"
	"errors"
	"math"
	"reflect"
	"testing"

	"astro/training/tree"
)

func grow(t *testing.T, c Config, p Policy, problem Problem) *tree.Tree {
	t.Helper()
	g := newGrowth(c, problem, c.String())
	finish(context.Background(), p, g)
	got, failed := g.Result()
	if failed != nil {
		t.Fatal(failed)
	}
	return got
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9 }

// formulaQ is the paper's backup, computed from the leaves up and not step by step.
func formulaQ(t *tree.Tree, children [][]int, i int) (q float64, visits int) {
	sum, n := 0.0, 0
	for _, c := range children[i] {
		cq, cn := formulaQ(t, children, c)
		sum, n = sum+cq*float64(cn), n+cn
	}
	if i > 0 { // the root has no rollouts of its own
		sum, n = sum+t.Nodes[i].Return, n+1
	}
	return sum / float64(max(n, 1)), n
}

func path(t *tree.Tree, i int) (tokens []int32) {
	for _, n := range t.Path(i) {
		tokens = append(tokens, t.Nodes[n].Tokens...)
	}
	return tokens
}

// With rollouts that enumerate all continuations, a node's return is the exact probability of success, and where its descendants
// are all there so is Q, at every node from the root down.
func TestQOfAnEnumeratedGameIsExact(t *testing.T) {
	g := game{ways: 3, depth: 4, wins: third}
	c := Config{Children: 3, Rollouts: 81, Iterations: 200, MaxDepth: 9, CPUCT: 1, Leaves: 1}
	got := grow(t, c, enumerator{3}, Problem{ID: "g", Domain: g})
	if want := 1 + 3 + 9 + 27 + 81; len(got.Nodes) != want {
		t.Fatalf("the whole game has %d nodes; want %d", len(got.Nodes), want)
	}
	for i, n := range got.Nodes {
		want := g.exact(path(got, i))
		if !near(n.Q, want) || i > 0 && !near(n.Return, want) {
			t.Errorf("node %d %v: Q %.12f, return %.12f; want %.12f", i, path(got, i), n.Q, n.Return, want)
		}
	}
	if root := got.Nodes[0]; root.Q <= 0 || root.Q >= 1 || root.Visits != len(got.Nodes)-1 {
		t.Errorf("the root is %+v; want a game that is neither lost nor won, and a visit from every other node", root)
	}
}

// At any moment Q is the paper's formula, however uneven the visits are, and with however many leaves at a time.
func TestBackupIsTheFormula(t *testing.T) {
	for _, leaves := range []int{1, 4} {
		for iterations := leaves; iterations < 30; iterations += 3 {
			c := Config{Children: 3, Rollouts: 2, Iterations: iterations, MaxDepth: 9, CPUCT: 1, Leaves: leaves}
			got := grow(t, c, dice{ways: 3}, tossed(1)[0])
			children := got.Children()
			for i, n := range got.Nodes {
				if q, visits := formulaQ(got, children, i); !near(q, n.Q) || visits != n.Visits {
					t.Errorf("%d iterations, node %d: Q %g after %d visits; want %g after %d", iterations, i, n.Q, n.Visits, q, visits)
				}
			}
		}
	}
}

// Priors are e^mean log-probability over siblings; PUCT is as computed by hand; expansions under way count as lost visits.
func TestPUCTByHand(t *testing.T) {
	p := priors([]float64{math.Log(.5) / 1, math.Log(.25) / 2, math.Log(.125) / 3}) // per token .5 each
	for _, x := range p {
		if !near(x, 1./3) {
			t.Errorf("got priors %v; want a third each", p)
		}
	}
	g := newGrowth(Config{CPUCT: 2}, tossed(1)[0], "")
	g.tree.Nodes = []tree.Node{{Parent: -1, Visits: 9}, {Prior: .6, Visits: 4, Q: .5}, {Prior: .3, Visits: 4, Q: .75}, {Prior: .1, Visits: 1, Q: 0}}
	g.states = []state{{children: []int{1, 2, 3}, open: 3}, {open: 1}, {open: 1}, {open: 1}}
	for child, want := range map[int]float64{1: .5 + 2*.6*3/5, 2: .75 + 2*.3*3/5, 3: 0 + 2*.1*3/2} { // 1.22, 1.11, 0.3
		if got := g.puct(0, child); !near(got, want) {
			t.Errorf("child %d has %g; want %g", child, got, want)
		}
	}
	if got := g.choose(); got != 1 {
		t.Errorf("got child %d; want 1", got)
	}
	g.mark(1, 1) // under way: Q 4*.5/5, one more visit of it and of the root
	if got, want := g.puct(0, 1), .4+2*.6*math.Sqrt(10)/6; !near(got, want) {
		t.Errorf("with a virtual loss child 1 has %g; want %g", got, want)
	}
	if got := g.choose(); got != 2 {
		t.Errorf("got child %d; want 2", got)
	}
	g.open(2, -1)
	if got := g.choose(); got != 1 {
		t.Errorf("got child %d; want 1, for nothing is left below 2", got)
	}
}

// One leaf at a time never sees a virtual loss; several do, take other leaves than one would, and leave none behind.
func TestVirtualLoss(t *testing.T) {
	c := Config{Children: 3, Rollouts: 2, Iterations: 12, MaxDepth: 9, CPUCT: 1, Leaves: 1}
	for _, leaves := range []int{1, 3} {
		c.Leaves = leaves
		g, most := newGrowth(c, tossed(1)[0], ""), 0
		for draws := g.Next(); len(draws) > 0; draws = g.Next() {
			if g.turn == stepping {
				most = max(most, len(draws))
				for i, a := range g.leaves {
					for _, b := range g.leaves[:i] {
						if a == b {
							t.Fatalf("leaf %d was chosen twice in a round", a)
						}
					}
				}
			}
			g.Apply(dice{ways: 3}.Sample(context.Background(), draws))
			for i, s := range g.states {
				if under := len(g.leaves) > 0; !under && s.virtual != 0 || s.virtual < 0 || s.virtual > leaves {
					t.Fatalf("node %d has %d virtual visits with %d leaves under way", i, s.virtual, len(g.leaves))
				}
			}
		}
		if most != leaves || g.begun != 12 {
			t.Errorf("got %d leaves in a round and %d iterations; want %d and 12", most, g.begun, leaves)
		}
	}
}

// Equal steps of one expansion are one child, which remembers how often it was drawn.
func TestEqualStepsAreOneChild(t *testing.T) {
	c := Config{Children: 20, Rollouts: 1, Iterations: 1, MaxDepth: 9, CPUCT: 1, Leaves: 1}
	skew := dice{ways: 3, skew: func(way int) float64 { return float64(1 + 2*way) }}
	got := grow(t, c, skew, tossed(1)[0])
	draws, prior := 0, 0.0
	for _, n := range got.Nodes[1:] {
		draws, prior = draws+n.Draws, prior+n.Prior
		if want := float64(1+2*n.Tokens[0]) / 9; !near(n.Prior, want) || !near(n.Logprob, math.Log(want)) {
			t.Errorf("step %v has prior %g and log-probability %g; want those of %g", n.Tokens, n.Prior, n.Logprob, want)
		}
	}
	if len(got.Nodes) != 4 || draws != 20 || !near(prior, 1) {
		t.Errorf("got %d nodes from %d draws with priors that sum to %g; want 4, 20, 1", len(got.Nodes), draws, prior)
	}
	if got.Tokens != 20+3*3 { // three rollouts of three tokens
		t.Errorf("got %d tokens; want 29", got.Tokens)
	}
}

// No expansion begins above the budget, below the depth or beyond the context, and all of them end the search.
func TestLimits(t *testing.T) {
	base := Config{Children: 3, Rollouts: 2, Iterations: 100, MaxDepth: 9, CPUCT: 1, Leaves: 1}
	budget := base
	budget.BudgetTokens = 50
	whole, cut := grow(t, base, dice{ways: 3}, tossed(1)[0]), grow(t, budget, dice{ways: 3}, tossed(1)[0])
	if most := 3 + 3*2*3; cut.Tokens < 50 || cut.Tokens >= 50+most || whole.Tokens < 100 {
		t.Errorf("got %d tokens with a budget of 50 and %d without; one expansion takes up to %d", cut.Tokens, whole.Tokens, most)
	}
	if !reflect.DeepEqual(cut.Nodes[1].Tokens, whole.Nodes[1].Tokens) {
		t.Error("a budget changes what comes before its end")
	}
	shallow := base
	shallow.MaxDepth = 2
	for i, n := range grow(t, shallow, dice{ways: 3}, tossed(1)[0]).Nodes {
		if n.Terminal || i > 0 && n.Rollouts != 2 {
			t.Errorf("node %d is %+v; at depth 2 of 4 nothing ends and everything is rolled out", i, n)
		}
	}
	full := base
	full.ContextTokens = 3 // the prompt and two steps
	tight := grow(t, full, dice{ways: 3}, tossed(1)[0])
	for i, n := range tight.Nodes {
		if depth := len(tight.Path(i)); depth > 2 || n.Terminal != (depth == 2) || n.Terminal && n.Reason != "context_full" {
			t.Errorf("node %d at depth %d is %+v", i, depth, n)
		}
	}
}

// A policy that never ends a step gives terminals without an answer, and the search ends by itself.
func TestStepsThatNeverEnd(t *testing.T) {
	c := Config{Children: 3, Rollouts: 2, Iterations: 100, MaxDepth: 9, CPUCT: 1, Leaves: 1}
	got := grow(t, c, dice{ways: 3, end: EndLength}, tossed(1)[0])
	for i, n := range got.Nodes[1:] {
		if !n.Terminal || n.Correct || n.Answer != "" || n.Reason != "unfinished" {
			t.Errorf("node %d is %+v", i+1, n)
		}
	}
	if len(got.Nodes) > 4 {
		t.Errorf("got %d nodes; want the root's children alone", len(got.Nodes))
	}
}

// What a Policy must not answer fails its tree with a reason.
func TestBadAnswersFail(t *testing.T) {
	c := Config{Children: 2, Rollouts: 1, Iterations: 3, MaxDepth: 9, CPUCT: 1, Leaves: 1}
	good := Sample{Tokens: []int32{1}, Drawn: 1, Logprob: -1, End: EndStep}
	for name, bad := range map[string]Drawn{
		"no samples":  {},
		"no tokens":   {Samples: []Sample{{Drawn: 1}}},
		"NaN":         {Samples: []Sample{{Tokens: good.Tokens, Drawn: 1, Logprob: math.NaN()}}},
		"an error":    {Err: errors.New("device lost")},
		"new weights": {Samples: []Sample{good}, Version: 8},
	} {
		g := newGrowth(c, tossed(1)[0], "")
		g.Next()
		g.Apply([]Drawn{{Samples: []Sample{good}, Version: 7}})
		g.Next()
		g.Apply([]Drawn{bad})
		if more := g.Next(); len(more) > 0 {
			t.Errorf("%s: it goes on with %v", name, more)
		}
		if _, f := g.Result(); f == nil || f.Reason != FailedPolicy {
			t.Errorf("%s: got failure %v; want %s", name, f, FailedPolicy)
		}
	}
	broken := tossed(1)[0]
	broken.Domain = game{ways: 3, depth: 4, wins: third, fails: true}
	g := newGrowth(c, broken, "")
	finish(context.Background(), dice{ways: 3}, g)
	if _, f := g.Result(); f == nil || f.Reason != FailedGrader {
		t.Errorf("got failure %v; want %s", f, FailedGrader)
	}
}

func TestConfigValidate(t *testing.T) {
	for _, good := range []Config{Paper(), Countdown()} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
	for i, change := range []func(*Config){
		func(c *Config) { c.Children = 0 }, func(c *Config) { c.Rollouts = 129 }, func(c *Config) { c.Iterations = 5000 },
		func(c *Config) { c.MaxDepth = 0 }, func(c *Config) { c.Leaves = 33 }, func(c *Config) { c.BudgetTokens = -1 },
		func(c *Config) { c.CPUCT = math.NaN() }, func(c *Config) { c.CPUCT = math.Inf(1) },
	} {
		c := Paper()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("change %d passes: %+v", i, c)
		}
	}
}
