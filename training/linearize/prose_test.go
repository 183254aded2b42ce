package linearize

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"astro/training/tree"
)

// script is a model that answers our prompts in a fixed manner; spoil may change a reply.
type script struct {
	asked int
	spoil func(asked int, reply string) (string, error)
}

func (s *script) Complete(_ context.Context, r Request) (string, error) {
	s.asked++
	_, turn, _ := strings.Cut(r.Prompt, "### Your turn")
	after := func(label string) string {
		_, rest, _ := strings.Cut(turn, label)
		line, _, _ := strings.Cut(rest, "\n")
		return line
	}
	reply := ""
	switch {
	case strings.HasSuffix(turn, "Continuation:"):
		reply = " Now we do this.\n\n" + after("\nStep: ") + "\n"
	case strings.Contains(turn, "\nStep to go back to: "):
		reply = "Let\u2019s go back to where we wrote something.\nIt was wrong."
	case strings.HasSuffix(turn, "Sentence:"):
		reply = "Let's restart our solution from the beginning, with care."
	case strings.HasSuffix(turn, "Judgement:"):
		reply = "Fine.\nVerdict: yes"
	}
	if s.spoil != nil {
		return s.spoil(s.asked, reply)
	}
	return reply, nil
}

// thirds is a tokenizer of three bytes each.
func thirds(text string) (ids []int32, starts []int, err error) {
	for i := 0; i < len(text); i += 3 {
		ids, starts = append(ids, int32(text[i])), append(starts, i)
	}
	return append(ids, 0), append(starts, len(text)), nil
}

// In every text written by a model the walk can be read back by string: the steps in their order, each return counted where it is,
// the fixed sentences, the positive verdicts, the right answer last, and no weight on exactly the abandoned steps.
func TestProseTraces(t *testing.T) {
	total := Report{}
	for seed := range uint64(600) {
		tr, o := randomTree(seed), testOptions(seed)
		tr.Gold = "42"
		prose := NewProse(&script{})
		prose.Tokenize = thirds
		arms, r, err := o.Linearize(context.Background(), Domain{Write: prose.Write}, tr)
		if err != nil {
			t.Fatal(err)
		}
		total.Add(r)
		for _, trace := range slices.Concat(arms.Search, arms.Direct) {
			checkProse(t, o, tr, &trace)
		}
		if again, _, _ := o.Linearize(context.Background(), Domain{Write: prose.Write}, tr); !reflect.DeepEqual(arms, again) {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
	if total.Search < 500 || total.Search != total.Direct || len(total.Dropped) > 1 {
		t.Errorf("got %+v", total)
	}
}

func checkProse(t *testing.T, o Options, tr *tree.Tree, trace *Trace) {
	t.Helper()
	if err := trace.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := CountReturns(trace.Text); got.Total() != trace.K || got.Restart != trace.Restarts {
		t.Fatalf("%s\ncounted %+v; want %d, %d", trace.Text, got, trace.K, trace.Restarts)
	}
	blocks := strings.Split(trace.Text, pause)
	last := Reflect + " " + LooksOK + ` The answer is $\boxed{42}$.`
	if blocks[len(blocks)-1] != last {
		t.Fatalf("%s\nends otherwise than %q", trace.Text, last)
	}
	at, offset, right := 0, 0, tr.Path(trace.Nodes[len(trace.Nodes)-1])
	for _, block := range blocks[:len(blocks)-1] {
		masked := slices.ContainsFunc(trace.Masked, func(m [2]int) bool { return m[0] == offset && m[1] == offset+len(block)+len(pause) })
		failed := false
		switch {
		case strings.HasPrefix(block, Reflect+" "+NotSure+" Let's go back to where we wrote something."):
		case strings.HasPrefix(block, Reflect+" "+NotSure+" "+Restart+" from the beginning, with care."):
		case block == Reflect+" "+LooksOK:
			if n := tr.Nodes[trace.Nodes[at-1]]; n.Q < o.HighQ || n.Terminal {
				t.Fatalf("praise after node %d", trace.Nodes[at-1])
			}
		case block == "Now we do this.\n"+tr.Nodes[trace.Nodes[at]].Text:
			failed = !slices.Contains(right, trace.Nodes[at])
			at++
		default:
			t.Fatalf("%s\nunknown block %q", trace.Text, block)
		}
		if masked != (failed && o.MaskFailed) {
			t.Fatalf("%s\nblock %q: masked %v, failed %v", trace.Text, block, masked, failed)
		}
		for i, w := range trace.Weights[trace.Prompt : len(trace.Weights)-1] {
			if from := 3 * i; from >= offset && from < offset+len(block)+len(pause) && (w == 0) != masked {
				t.Fatalf("%s\ntoken at %d has weight %g", trace.Text, from, w)
			}
		}
		offset += len(block) + len(pause)
	}
	if at != len(trace.Nodes) || len(trace.Tokens) != len(tr.Prompt)+(len(trace.Text)+2)/3+1 {
		t.Fatalf("%d of %d nodes, %d tokens", at, len(trace.Nodes), len(trace.Tokens))
	}
}

// A model that sometimes says nothing usable is asked again; one that never does, or is away, costs counted traces and nothing else.
func TestProseFailures(t *testing.T) {
	tr := &tree.Tree{ID: "t", Problem: "p {{step}}", Gold: "42", Nodes: []tree.Node{{Parent: -1},
		{Parent: 0, Tokens: []int32{1}, Text: `so \boxed{41}`, Terminal: true, Answer: "41"},
		{Parent: 0, Tokens: []int32{2}, Text: `so \boxed{42}`, Terminal: true, Correct: true, Answer: "42"}}}
	o := Default()
	o.PerTree, o.K = 1, []int{1}
	run := func(spoil func(int, string) (string, error)) (Arms, Report, *script) {
		s := &script{spoil: spoil}
		arms, r, err := o.Linearize(context.Background(), Domain{Write: NewProse(s).Write}, tr)
		if err != nil {
			t.Fatal(err)
		}
		return arms, r, s
	}
	arms, _, s := run(func(n int, reply string) (string, error) {
		if n%2 == 1 {
			return []string{"", Reflect, `\boxed{1}`, "Let's go back to where we were.", strings.Repeat("x", 1<<14)}[n/2%5], nil
		}
		return reply, nil
	})
	if len(arms.Search) != 1 || len(arms.Direct) != 1 || s.asked != 8 {
		t.Errorf("a model that is right every second time: %d and %d traces after %d questions", len(arms.Search), len(arms.Direct), s.asked)
	}
	arms, r, _ := run(func(_ int, reply string) (string, error) { return strings.ReplaceAll(reply, "41", "42"), nil })
	if len(arms.Search) != 0 || r.Dropped[BadReply] != 1 || r.Dropped[Unmatched] != 1 || r.Skipped[NoTrace] != 1 {
		t.Errorf("a model that corrects the wrong answer: got %+v", r)
	}
	_, r, _ = run(func(int, string) (string, error) { return "", errors.New("connection refused") })
	if r.Dropped[WriterFailed] != 2 || !strings.Contains(strings.Join(r.Examples, "\n"), "connection refused") {
		t.Errorf("a model that is away: got %+v", r)
	}
	tr.Gold = "43"
	if _, r, _ = run(nil); r.Dropped[Refused] != 2 {
		t.Errorf("traces that the verifier refuses: got %+v", r)
	}
}

// Only unanimous judgements let a solution pass, and the first no ends them.
func TestSelfEvaluation(t *testing.T) {
	tr := &tree.Tree{ID: "t", Nodes: []tree.Node{{Parent: -1}, {Parent: 0, Tokens: []int32{2}, Text: "42", Terminal: true, Correct: true}}}
	for n, want := range map[int]int{0: 8, 1: 1, 5: 5, 8: 8} { // judgement n says no
		s := &script{spoil: func(asked int, reply string) (string, error) {
			if asked == n {
				return "Verdict: yes\nVerdict: no", nil
			}
			return reply, nil
		}}
		yes, err := SelfEvaluation(s, 8, 1)(context.Background(), tr, 1)
		if err != nil || yes != (n == 0) || s.asked != want {
			t.Errorf("no at %d: got %v, %v after %d judgements", n, yes, err, s.asked)
		}
	}
	for text, want := range map[string]bool{"": false, "yes": false, "x\n**Verdict: Yes.**\n": true, "Verdict: yes, mostly": false} {
		if saysYes(text) != want {
			t.Errorf("%q: got %v", text, !want)
		}
	}
}

func TestLastBox(t *testing.T) {
	for text, want := range map[string]string{"": "", `\boxed{1} \boxed{\frac{1}{2}} .`: `\frac{1}{2}`, `\boxed{1`: "", `\boxed{ }`: ""} {
		if got := LastBox(text); got != want {
			t.Errorf("%q: got %q; want %q", text, got, want)
		}
	}
}
