package linearize

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"astro/training/random"
	"astro/training/tree"
)

// randomTree grows a Tree of any shape; about a third have no right terminal or no wrong one.
func randomTree(seed uint64) *tree.Tree {
	draw := random.Named(seed, "a random tree")
	t := &tree.Tree{ID: fmt.Sprint("t", seed), Problem: "p", Nodes: []tree.Node{{Parent: -1}}, Prompt: []int32{1, 2}}
	rightShare, ends := []float64{0, .2, .5, 1}[draw.Intn(4)], []float64{.2, .4, .7}[draw.Intn(3)]
	for range 1 + draw.Intn(60) {
		parent := draw.Intn(len(t.Nodes))
		if t.Nodes[parent].Terminal {
			continue
		}
		i := len(t.Nodes)
		n := tree.Node{Parent: parent, Tokens: []int32{int32(100 + i)}, Text: fmt.Sprintf("Step %d.", i), Q: float64(draw.Intn(11)) / 10}
		if draw.Chance(ends) {
			n.Terminal, n.Correct = true, draw.Chance(rightShare)
			n.Answer = "42"
			if !n.Correct {
				n.Answer = []string{"", "7", "8", "9", "10", "11"}[draw.Intn(6)]
			}
			n.Text = fmt.Sprintf("Step %d: the answer is \\boxed{%s}.", i, n.Answer)
		}
		t.Nodes = append(t.Nodes, n)
	}
	return t
}

// numbers is a domain whose phrases are single tokens: 3 asks, 4 is the good verdict, 5 the bad one, 6 a restart, 10+d a return to depth d.
func numbers(t *tree.Tree, _ uint64) (Phrases, error) {
	return Phrases{Prompt: t.Prompt, Reflect: []int32{3}, Good: []int32{4}, Bad: []int32{5}, End: []int32{9},
		Step: func(path []int) ([]int32, error) { return t.Nodes[path[len(path)-1]].Tokens, nil },
		Return: func(path []int) ([]int32, error) {
			if len(path) == 0 {
				return []int32{6, 7}, nil // a restart restates
			}
			return []int32{10 + int32(len(path))}, nil
		},
		Answer: func([]int) ([]int32, error) { return []int32{8}, nil },
		Text:   func(tokens []int32) string { return fmt.Sprint(tokens) },
	}, nil
}

func testOptions(seed uint64) Options {
	o := Default()
	o.Seed, o.Epochs, o.K, o.Local = seed, 1+int(seed%2), [][]int{{1, 2}, {0, 1, 1, 2}, {3}}[seed%3], []float64{-1, 0, .25, 1}[seed%4]
	o.MaskFailed, o.PromptLoss, o.HighQ, o.HighShare = seed%2 == 0, seed%5 == 0, .5, .5
	return o
}

func linearizeTree(t *testing.T, o Options, tr *tree.Tree) (Arms, Report) {
	t.Helper()
	arms, r, err := o.Linearize(context.Background(), Domain{Write: Template(numbers)}, tr)
	if err != nil {
		t.Fatal(err)
	}
	return arms, r
}

// distinctWrong counts the different wrong answers of a Tree.
func distinctWrong(tr *tree.Tree) (n int) {
	seen := map[string]bool{"": true}
	for _, node := range tr.Nodes {
		if node.Terminal && !node.Correct && !seen[node.Answer] {
			seen[node.Answer], n = true, n+1
		}
	}
	return n
}

// Over thousands of random Trees: the walks keep all promises, k is what was asked or all that the Tree has, both arms are equally
// large, and what is left out is counted.
func TestTracesKeepTheirPromises(t *testing.T) {
	var total Report
	for seed := range uint64(4000) {
		tr, o := randomTree(seed), testOptions(seed)
		arms, r := linearizeTree(t, o, tr)
		total.Add(r)
		if len(arms.Search) != len(arms.Direct) || len(arms.Search) > o.PerTree*o.Epochs || (len(arms.Search) > 0) != (r.Kept == 1) {
			t.Fatalf("seed %d: %d search and %d direct traces, kept %d", seed, len(arms.Search), len(arms.Direct), r.Kept)
		}
		right := slices.ContainsFunc(tr.Nodes, func(n tree.Node) bool { return n.Correct })
		can := right && (distinctWrong(tr) > 0 || slices.Contains(o.K, 0)) // without wrong terminals only where a k of 0 is among the first
		if can != (r.Kept == 1) && (!can || distinctWrong(tr) > 0) || (r.Kept == 1) == (len(r.Skipped) == 1) {
			t.Fatalf("seed %d: kept %d, skipped %v", seed, r.Kept, r.Skipped)
		}
		for i := range arms.Search {
			checkTrace(t, o, tr, &arms.Search[i])
			checkTrace(t, o, tr, &arms.Direct[i])
			if k := arms.Search[i].K; !slices.Contains(o.K, k) && k != distinctWrong(tr) || arms.Direct[i].K != 0 {
				t.Fatalf("seed %d: k = %d and %d of %v", seed, k, arms.Direct[i].K, o.K)
			}
		}
	}
	skipped := 0
	for _, n := range total.Skipped {
		skipped += n
	}
	if total.Trees != 4000 || total.Kept+skipped != 4000 || total.Search != total.Direct || total.Search < 3000 || total.Returns < 3000 ||
		total.Skipped[NoCorrect] == 0 || total.Skipped[NoWrong] == 0 || total.Notes[FewerWrong] == 0 || total.Dropped[SameTrace] == 0 {
		t.Errorf("got %+v", total)
	}
}

// checkTrace reads the walk back from the tokens alone and compares it with the Tree.
func checkTrace(t *testing.T, o Options, tr *tree.Tree, trace *Trace) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("%s: "+format+"\n%+v", append(append([]any{trace.ID}, args...), trace)...)
	}
	if err := trace.Validate(); err != nil {
		fail("%v", err)
	}
	var nodes, live []int
	returns, restarts, answers := 0, 0, map[string]bool{}
	for i, id := range trace.Tokens[len(tr.Prompt):] {
		switch {
		case id >= 100:
			node := int(id) - 100
			if parent := append([]int{0}, live...); tr.Nodes[node].Parent != parent[len(parent)-1] || slices.Contains(nodes, node) {
				fail("node %d after %v", node, live)
			}
			if a := tr.Nodes[node].Answer; tr.Nodes[node].Terminal && answers[a] {
				fail("the answer %s twice", a)
			}
			nodes, live = append(nodes, node), append(live, node)
			answers[tr.Nodes[node].Answer] = true
			failed := !slices.Contains(tr.Path(trace.Nodes[len(trace.Nodes)-1]), node)
			if got := trace.Weights[len(tr.Prompt)+i]; (got == 0) != (o.MaskFailed && failed) {
				fail("node %d has weight %g", node, got)
			}
		case id >= 10:
			returns, live = returns+1, live[:id-10]
		case id == 6:
			returns, restarts, live = returns+1, restarts+1, live[:0]
		}
	}
	last := tr.Nodes[nodes[len(nodes)-1]]
	if !last.Correct || last.Answer != trace.Answer || !slices.Equal(nodes, trace.Nodes) || returns != trace.K || restarts != trace.Restarts {
		fail("nodes %v, %d returns, %d restarts", nodes, returns, restarts)
	}
	if n := len(trace.Tokens); !slices.Equal(trace.Tokens[n-4:], []int32{3, 4, 8, 9}) {
		fail("ends with %v", trace.Tokens[n-4:])
	}
	if want := weight(o.PromptLoss); trace.Weights[0] != want || trace.Weights[1] != want || trace.Prompt != 2 {
		fail("the prompt has weight %g", trace.Weights[0])
	}
}

// Every Plan passes Plan.Check, and Plan.Check is no rubber stamp: it refuses each kind of damage.
func TestPlanCheck(t *testing.T) {
	refused := 0
	for seed := range uint64(500) {
		tr := randomTree(seed)
		c, _ := collect(context.Background(), tr, nil, nil, &Report{})
		if len(c.right) == 0 {
			continue
		}
		o := testOptions(seed)
		for _, p := range o.searchPlans(&c, 0, &Report{}) {
			if err := p.Check(tr); err != nil {
				t.Fatalf("%+v: %v", p, err)
			}
			for _, damage := range []func(*Plan){
				func(p *Plan) { p.K++ }, func(p *Plan) { p.Moves = p.Moves[:len(p.Moves)-1] }, func(p *Plan) { p.Moves = append(p.Moves, p.Moves[0]) },
				func(p *Plan) { slices.Reverse(p.Moves) }, func(p *Plan) { p.Moves[0].Node = len(tr.Nodes) },
			} {
				q := p
				q.Moves = slices.Clone(p.Moves)
				if damage(&q); len(p.Moves) > 1 {
					refused++
					if q.Check(tr) == nil {
						t.Fatalf("%+v is accepted", q)
					}
				}
			}
		}
	}
	if refused < 1000 {
		t.Errorf("only %d damaged plans", refused)
	}
}

// The same seed gives the same traces, another one others; a Tree's traces do not depend on the rest of the file.
func TestSameSeedSameTraces(t *testing.T) {
	differ := 0
	for seed := range uint64(300) {
		o := testOptions(seed)
		a, _ := linearizeTree(t, o, randomTree(seed))
		b, _ := linearizeTree(t, o, randomTree(seed))
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: two runs differ", seed)
		}
		o.Seed++
		if c, _ := linearizeTree(t, o, randomTree(seed)); !reflect.DeepEqual(a, c) {
			differ++
		}
	}
	if differ < 100 {
		t.Errorf("another seed changed the traces of %d of 300 trees", differ)
	}
}

// Local is the share of returns to a step where the Tree has both kinds, and more than one kind of root step.
func TestLocalShare(t *testing.T) {
	tr := &tree.Tree{ID: "wide", Nodes: []tree.Node{{Parent: -1}}}
	for a := range 8 {
		top := len(tr.Nodes)
		tr.Nodes = append(tr.Nodes, tree.Node{Parent: 0, Tokens: []int32{100}, Text: "a"})
		for b := range 8 {
			tr.Nodes = append(tr.Nodes, tree.Node{Parent: top, Tokens: []int32{101}, Text: "b", Terminal: true, Correct: b == 7,
				Answer: fmt.Sprint(a*8 + b)})
		}
	}
	for _, local := range []float64{0, .25, 1, -1} {
		o, total := Default(), Report{}
		o.Local, o.PerTree = local, 3
		for seed := range uint64(500) {
			o.Seed = seed
			_, r := linearizeTree(t, o, tr)
			total.Add(r)
		}
		got, want := 1-float64(total.Restarts)/float64(total.Returns), local
		if local < 0 {
			want = 1 / 7. // about one of the branches is begun already
		}
		if got < want-.06 || got > want+.06 {
			t.Errorf("local %g: got a share of %.3f of %d returns", local, got, total.Returns)
		}
	}
}

// Filters decide which terminals are used, errors of theirs are counted, and writers that fail leave both arms equally large.
func TestFiltersAndFailures(t *testing.T) {
	ctx, o := context.Background(), Default()
	var tr *tree.Tree
	for seed := uint64(0); ; seed++ {
		tr = randomTree(seed)
		if c, n := collect(context.Background(), tr, nil, nil, &Report{}); n > 1 && len(c.wrong) > 3 {
			break
		}
	}
	write := Template(numbers)
	never := func(context.Context, *tree.Tree, int) (bool, error) { return false, nil }
	broken := func(context.Context, *tree.Tree, int) (bool, error) { return true, errors.New("no answer") }
	_, r, _ := o.Linearize(ctx, Domain{Write: write, Quality: never}, tr)
	if r.Skipped[NoneGood] != 1 {
		t.Errorf("no good terminal: got %+v", r)
	}
	_, r, _ = o.Linearize(ctx, Domain{Write: write, Quality: broken}, tr)
	if r.Dropped[FilterFailed] < 2 || r.Skipped[NoneGood] != 1 || len(r.Examples) == 0 {
		t.Errorf("a broken filter: got %+v", r)
	}
	_, r, _ = o.Linearize(ctx, Domain{Write: write, Wrong: never}, tr)
	if r.Skipped[NoWrong] != 1 {
		t.Errorf("no usable wrong terminal: got %+v", r)
	}
	halting := func(ctx context.Context, o *Options, t *tree.Tree, p *Plan) (Trace, error) {
		if strings.HasSuffix(p.ID, ".1") && p.Arm == Direct {
			return Trace{}, &Failure{BadReply, errors.New("nothing")}
		}
		return write(ctx, o, t, p)
	}
	arms, r, _ := o.Linearize(ctx, Domain{Write: halting}, tr)
	if len(arms.Search) != 2 || len(arms.Direct) != 2 || r.Dropped[BadReply] != 1 || r.Dropped[Unmatched] != 1 {
		t.Errorf("a writer that fails: got %+v", r)
	}
	o.MaxTokens = 8
	if arms, r, _ := o.Linearize(ctx, Domain{Write: write}, tr); len(arms.Search) > 0 || r.Dropped[TooLong] == 0 || r.Kept != 0 {
		t.Errorf("a limit of 8 tokens: got %+v", r)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := o.Linearize(ended, Domain{Write: write}, tr); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: got %v", err)
	}
	if _, r, _ := o.Linearize(ctx, Domain{Write: write}, &tree.Tree{}); r.Skipped[InvalidTree] != 1 {
		t.Errorf("an invalid tree: got %+v", r)
	}
}

func TestOptionsValidate(t *testing.T) {
	for _, change := range []func(*Options){
		func(o *Options) { o.PerTree = 0 }, func(o *Options) { o.K = nil }, func(o *Options) { o.K = []int{-1} }, func(o *Options) { o.K = []int{99} },
		func(o *Options) { o.Local = 2 }, func(o *Options) { o.HighQ = -1 }, func(o *Options) { o.Epochs = 0 }, func(o *Options) { o.MaxSteps = 0 },
	} {
		o := Default()
		if change(&o); o.Validate() == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

// Traces survive their file; lines that are no traces are refused by number.
func TestTraceFile(t *testing.T) {
	var file bytes.Buffer
	var want []Trace
	for seed := range uint64(60) {
		arms, _ := linearizeTree(t, testOptions(seed), randomTree(seed))
		want = append(append(want, arms.Search...), arms.Direct...)
	}
	want = append(want, Trace{ID: "x", Tree: "t", Arm: Search, K: 1, Nodes: []int{3, 1}, Text: "a <b> & \u2028 c", Masked: [][2]int{{0, 1}, {4, 6}}})
	for i := range want {
		if err := want[i].Write(&file); err != nil {
			t.Fatal(err)
		}
	}
	text := file.String()
	got, err := ReadTraces(&file)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%d traces come back as %d, error %v", len(want), len(got), err)
	}
	first, _, _ := strings.Cut(text, "\n")
	for _, bad := range []string{"{", "[]", strings.Replace(first, `"format":1`, `"format":2`, 1), strings.Replace(first, `"tree":"`, `"tree":"","x":"`, 1),
		strings.Replace(first, `"weights":[`, `"weights":[2,`, 1), strings.Replace(first, `"backtracks":`, `"backtracks":9`, 1)} {
		r := NewReader(strings.NewReader(first + "\n\n" + bad + "\n"))
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(); err == nil || err == io.EOF || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("%.80s: got %v", bad, err)
		}
	}
	if _, err := NewReader(strings.NewReader(strings.Repeat("x", MaxTraceLineBytes+1))).Next(); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a line without end: got %v", err)
	}
	if err := (&Trace{}).Write(io.Discard); err == nil {
		t.Error("an empty trace was written")
	}
}

func TestCountReturns(t *testing.T) {
	for text, want := range map[string]Returns{
		"": {}, Reflect + " " + LooksOK: {}, "We go back to school.": {},
		NotSure + " Let's go back to where we set up the equation.\n\nlet\u2019s  restart OUR solution from the beginning.": {1, 1},
		"Let us start over. Let us go back to where we were.":                                                               {1, 1},
	} {
		if got := CountReturns(text); got != want {
			t.Errorf("%q: got %+v; want %+v", text, got, want)
		}
	}
	if n := CountReflections(Reflect + LooksOK + "\n" + strings.ToUpper(Reflect)); n != 2 {
		t.Errorf("got %d reflections", n)
	}
}
