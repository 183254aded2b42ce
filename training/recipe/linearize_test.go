package recipe

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"astro/training/countdown"
	"astro/training/linearize"
	"astro/training/random"
	"astro/training/reward"
	"astro/training/tree"
)

// randomGameTree plays random legal games and merges them into a Tree, as a search would leave it: tokens as a model writes them, now
// and then an illegal step that ends its branch. whole gives the last step its verdict and answer.
func randomGameTree(d countdown.Domain, p countdown.Problem, seed uint64, whole bool) *tree.Tree {
	draw := random.New(seed, 5)
	t := &tree.Tree{ID: fmt.Sprintf("%s/%d", p, seed), Problem: p.String(), Prompt: countdown.Prompt(p), Nodes: []tree.Node{{Parent: -1}}}
	for range 10 + draw.Intn(60) {
		node, state := 0, p.Numbers
		for len(state) > 1 {
			moves := d.Moves(state)
			if len(moves) == 0 {
				break
			}
			m := moves[draw.Intn(len(moves))]
			tokens := countdown.Steps(state, []countdown.Move{m})
			state = countdown.Next(state, m)
			n := tree.Node{Parent: node, Tokens: tokens, Terminal: len(state) == 1}
			if n.Terminal {
				n.Correct, n.Answer, n.Reason = m.C == p.Target, fmt.Sprint(m.C), string(reward.ReasonWrong)
				if whole {
					n.Tokens = append(n.Tokens, countdown.ButWait, countdown.NotSure, countdown.Answer, countdown.Number(m.C), countdown.EOS)
				}
			}
			if illegal := draw.Chance(.1); illegal && !n.Correct {
				n.Tokens[4], n.Terminal, n.Answer = countdown.Number(d.MaxValue), true, "illegal"
			}
			if node = childOf(t, n); t.Nodes[node].Terminal {
				break
			}
		}
	}
	return t
}

// childOf finds or adds a node.
func childOf(t *tree.Tree, n tree.Node) int {
	for i := range t.Nodes {
		if i > 0 && t.Nodes[i].Parent == n.Parent && slices.Equal(t.Nodes[i].Tokens, n.Tokens) {
			return i
		}
	}
	t.Nodes = append(t.Nodes, n)
	return len(t.Nodes) - 1
}

// Every trace of random trees of the domain replays as right in the verifier: each attempt legal, each verdict true, each return
// exact, no attempt twice, k returns, counted by string as well; and the direct arm is as large and does not return.
func TestCountdownTraces(t *testing.T) {
	ctx, o, total := context.Background(), linearize.Default(), linearize.Report{}
	d, problems := countdown.CD4, countdown.CD4.Sample(countdown.CD4.Split().Train, 400, random.New(1, 3))
	o.K, o.PerTree, o.Epochs, o.MaskFailed = []int{0, 1, 2, 3}, 4, 2, true
	for i, p := range problems {
		tr := randomGameTree(d, p, uint64(i), i%2 == 0)
		arms, r, err := o.Linearize(ctx, CountdownTraces(d), tr)
		if err != nil {
			t.Fatal(err)
		}
		total.Add(r)
		if len(arms.Search) != len(arms.Direct) {
			t.Fatalf("%d search traces and %d direct ones", len(arms.Search), len(arms.Direct))
		}
		for _, trace := range slices.Concat(arms.Search, arms.Direct) {
			checkCountdownTrace(t, d, p, &trace)
		}
		again, _, err := o.Linearize(ctx, CountdownTraces(d), tr)
		if err != nil || !reflect.DeepEqual(arms, again) {
			t.Fatalf("two runs differ (%v)", err)
		}
	}
	if total.Dropped[linearize.Refused] > 0 || total.Dropped[linearize.WriterFailed] > 0 || total.Search < 500 || total.Returns < 700 ||
		total.Restarts == total.Returns || total.Skipped[linearize.NoCorrect] == 0 {
		t.Errorf("got %+v", total)
	}
	t.Logf("%+v", total)
}

func checkCountdownTrace(t *testing.T, d countdown.Domain, p countdown.Problem, trace *linearize.Trace) {
	t.Helper()
	got, err := problemOf(trace.Tokens[:trace.Prompt])
	slices.Sort(got.Numbers)
	if want := slices.Sorted(slices.Values(p.Numbers)); err != nil || !slices.Equal(got.Numbers, want) || got.Target != p.Target {
		t.Fatalf("the prompt is of %v; want %v", got, p)
	}
	r := d.Verify(got, trace.Tokens[trace.Prompt:])
	want := reward.CountdownResult{Correct: true, Reason: reward.ReasonCorrect, Extracted: fmt.Sprint(p.Target), Steps: r.Steps, LegalSteps: r.Steps,
		Verdicts: trace.K + 1, RightVerdicts: trace.K + 1, Returns: trace.K, RightReturns: trace.K, Attempts: trace.K + 1, Distinct: trace.K + 1,
		FirstCorrect: trace.K == 0}
	if r != want {
		t.Fatalf("%s\ngot  %+v\nwant %+v", trace.Text, r, want)
	}
	returns := linearize.CountReturns(trace.Text)
	if returns.Total() != trace.K || returns.Restart != trace.Restarts || linearize.CountReflections(trace.Text) != trace.K+1 {
		t.Fatalf("%s\ncounted %+v; want %d with %d restarts", trace.Text, returns, trace.K, trace.Restarts)
	}
	if e := CountdownEffort(d, got, trace.Tokens[trace.Prompt:]); e != (Effort{returns, trace.K + 1, trace.K + 1, trace.K + 1}) {
		t.Fatalf("%s\ngot an effort of %+v; want %d returns", trace.Text, e, trace.K)
	}
	if r := d.Rules().Verify(got, trace.Text); !r.Correct {
		t.Fatalf("the text is not right: %+v", r)
	}
	if id := trace.Tokens[len(trace.Tokens)-1]; id != countdown.EOS {
		t.Fatalf("it ends with %d", id)
	}
}

// A whole trace as a reader would check it by hand: a failed branch from the same first step, then the right one; the abandoned steps
// alone have no weight.
func TestCountdownTraceByHand(t *testing.T) {
	p := countdown.Problem{Numbers: []int{3, 7, 2}, Target: 12}
	steps := func(state []int, moves ...countdown.Move) []int32 { return countdown.Steps(state, moves) }
	tr := &tree.Tree{ID: "t", Problem: p.String(), Nodes: []tree.Node{{Parent: -1},
		{Parent: 0, Tokens: steps([]int{3, 7, 2}, countdown.Move{A: 7, Op: '-', B: 3, C: 4})},
		{Parent: 1, Tokens: steps([]int{2, 4}, countdown.Move{A: 4, Op: '*', B: 2, C: 8}), Terminal: true, Answer: "8"},
		{Parent: 0, Tokens: steps([]int{3, 7, 2}, countdown.Move{A: 7, Op: '+', B: 3, C: 10})},
		{Parent: 3, Tokens: steps([]int{2, 10}, countdown.Move{A: 10, Op: '-', B: 2, C: 8}), Terminal: true, Answer: "08"},
		{Parent: 3, Tokens: steps([]int{2, 10}, countdown.Move{A: 10, Op: '+', B: 2, C: 12}), Terminal: true, Correct: true, Answer: "12"},
	}}
	o := linearize.Default()
	o.K, o.PerTree, o.Local, o.MaskFailed = []int{1}, 1, 1, true
	arms, _, err := o.Linearize(context.Background(), CountdownTraces(countdown.CD4), tr)
	if err != nil || len(arms.Search) != 1 {
		t.Fatalf("got %+v, %v", arms, err)
	}
	trace := arms.Search[0]
	numbers, _, _ := strings.Cut(words(trace.Tokens), " ->")
	state := strings.Fields(strings.NewReplacer("3", "", "7", "").Replace(numbers))[0] + " 10"
	want := "10 - 2 = 8 ; " + reward.WordButWait + " " + reward.WordNotSure + " " + reward.WordGoBack1 + " " + state + " -> 12 : 10 + 2 = 12 ; " +
		reward.WordButWait + " " + reward.WordLooksOK + " " + reward.WordAnswer + " 12"
	if !strings.HasPrefix(trace.Text, "7 + 3 = 10 | "+state+" ") || !strings.HasSuffix(trace.Text, " "+want) {
		t.Errorf("got  %s\nwant ...%s", trace.Text, want)
	}
	var masked []int32
	for i, w := range trace.Weights {
		if i >= trace.Prompt && w == 0 {
			masked = append(masked, trace.Tokens[i])
		}
	}
	if got := words(masked); got != "10 - 2 = 8 ;" {
		t.Errorf("masked: %q", got)
	}
}

// Terminals that the rules do not allow are not shown, and problems that cannot be read are counted.
func TestCountdownTracesRefuse(t *testing.T) {
	domain, o := CountdownTraces(countdown.CD4), linearize.Default()
	tr := randomGameTree(countdown.CD4, countdown.Problem{Numbers: []int{3, 7, 2, 9}, Target: 27}, 1, true)
	for i, n := range tr.Nodes {
		if yes, _ := domain.Wrong(context.Background(), tr, i); yes != (n.Terminal && !n.Correct && n.Answer != "illegal") {
			t.Errorf("node %d, %q: shown as a wrong end: %v", i, n.Answer, yes)
		}
	}
	tr.Problem = "what is 2 + 2?"
	_, r, err := o.Linearize(context.Background(), domain, tr)
	if err != nil || r.Kept != 0 || len(r.Skipped) != 1 {
		t.Errorf("an unreadable problem: got %+v, %v", r, err)
	}
}
