package recipe

import (
	"context"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/sampler"
	"astro/training/countdown"
	"astro/training/random"
	"astro/training/reward"
	"astro/training/search"
	"astro/training/tree"

	"github.com/gomlx/compute/dtypes"
)

// player is a policy that plays uniformly at random, exactly: sample i of a draw is legal continuation i, in turn. It writes as the
// documents do.
type player struct {
	domain  countdown.Domain
	problem countdown.Problem
}

func (p player) Sample(_ context.Context, draws []search.Draw) []search.Drawn {
	out := make([]search.Drawn, len(draws))
	for i, d := range draws {
		games := p.games(d.Prompt[len(countdown.Prompt(p.problem)):], d.Limit.MaxTokens)
		for s := range d.N {
			tokens := games[s%len(games)]
			out[i].Samples = append(out[i].Samples, search.Sample{Tokens: tokens, Drawn: len(tokens), Logprob: -float64(len(tokens)), End: search.EndStep})
		}
	}
	return out
}

// games are the continuations of an answer of so many tokens: one step, or all that are left.
func (p player) games(answer []int32, tokens int) (games [][]int32) {
	p.domain.Games(p.problem.Numbers, func(game []countdown.Move, _ int) {
		whole := countdown.Direct(p.problem, game).Tokens[len(countdown.Prompt(p.problem)):]
		if len(whole) >= len(answer)+tokens && reflect.DeepEqual(whole[:len(answer)], answer) || len(answer) == 0 {
			games = append(games, whole[len(answer):len(answer)+tokens])
		}
	})
	if tokens < 7 { // the last step: all of them
		return games
	}
	return slices.CompactFunc(games, slices.Equal) // games that begin with the same step follow one another
}

// In the numbers game with three numbers, rollouts that enumerate all play make every return, and every Q below the root, the exact
// probability that random play succeeds; so is the root's before visits get uneven.
func TestCountdownQEqualsEnumeration(t *testing.T) {
	d := countdown.Domain{Numbers: 3, Low: 1, High: 9, MaxValue: 50, TargetLow: 10, TargetHigh: 50}
	p := countdown.Problem{Numbers: []int{4, 2, 6}, Target: 14}
	problem, err := NewCountdownSearch(d, "", p.String())
	if err != nil {
		t.Fatal(err)
	}
	moves := len(d.Moves(p.Numbers))
	for _, iterations := range []int{1, 100} {
		c := search.Config{Children: moves, Rollouts: 12, Iterations: iterations, MaxDepth: 9, CPUCT: 1, Leaves: 1} // 12: states of two numbers have up to 4 moves
		got := searchOne(t, c, player{d, p}, problem)
		wins := 0
		for i, n := range got.Nodes {
			state := p.Numbers
			for _, s := range got.Path(i) {
				state = countdown.Next(state, move(got.Nodes[s].Text))
			}
			want := d.RandomSuccess(state, p.Target)
			if i > 0 && math.Abs(n.Return-want) > 1e-9 || (i > 0 || iterations == 1) && math.Abs(n.Q-want) > 1e-9 {
				t.Errorf("node %d, numbers %v: Q %.12f, return %.12f; want %.12f", i, state, n.Q, n.Return, want)
			}
			if n.Terminal != (len(state) == 1) || n.Correct != (len(state) == 1 && state[0] == p.Target) {
				t.Errorf("node %d, numbers %v: terminal %v, correct %v", i, state, n.Terminal, n.Correct)
			}
			if n.Correct {
				wins++
			}
		}
		if iterations > 1 && wins == 0 || got.Nodes[0].Q == 0 {
			t.Errorf("no node wins, Q of the root is %g", got.Nodes[0].Q)
		}
	}
}

// move reads a step's text.
func move(text string) countdown.Move {
	words := strings.Fields(text)
	p, err := reward.ParseCountdown(words[0] + " " + words[2] + " -> " + words[4])
	if err != nil {
		panic("BUG: got the step " + text + "; want a legal one")
	}
	return countdown.Move{A: p.Numbers[0], Op: words[1][0], B: p.Numbers[1], C: p.Target}
}

func searchOne(t *testing.T, c search.Config, p search.Policy, problem search.Problem) (found *tree.Tree) {
	t.Helper()
	err := search.Run(context.Background(), c, "test", p, []search.Problem{problem}, 1, func(o search.Outcome) error {
		if o.Failure != nil {
			t.Fatal(o.Failure)
		}
		found = o.Tree
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What is a terminal, and what it states, with a legal step, illegal ones, and one that ends too soon.
func TestCountdownJudge(t *testing.T) {
	problem, err := NewCountdownSearch(countdown.CD4, "x", " 3 7 2 9 -> 27 :")
	if err != nil || problem.ID != "x" || problem.Text != "3 7 2 9 -> 27" {
		t.Fatal(problem, err)
	}
	d := problem.Domain
	first := "7 + 2 = 9 | 3 9 9"
	second := first + " 9 / 3 = 3 | 9 3"
	for _, test := range []struct {
		before, step string
		want         search.Verdict
	}{
		{"", first, search.Verdict{}},
		{"", "7 + 2 = 9 | 9 3 9", search.Verdict{}}, // in any order
		{"", "7 + 2 = 8 | 3 9 8", search.Verdict{Terminal: true, Reason: "illegal_step"}},
		{"", "7 + 2 = 9 | 3 9 8", search.Verdict{Terminal: true, Reason: "bad_restatement"}},
		{"", "7 + 2 = 9 ;", search.Verdict{Terminal: true, Reason: "malformed"}},
		{"", "7 + 2 = 9 |", search.Verdict{Terminal: true, Reason: "malformed"}},
		{"", ";", search.Verdict{Terminal: true, Reason: "malformed"}},
		{"", reward.WordButWait + " " + reward.WordLooksOK, search.Verdict{Terminal: true, Reason: "malformed"}},
		{"", reward.WordRestart + " 3 7 2 9 -> 27 :", search.Verdict{Terminal: true, Reason: "malformed"}},
		{first, "9 / 3 = 3 | 9 3", search.Verdict{}},
		{second, "9 * 3 = 27 ;", search.Verdict{Terminal: true, Correct: true, Score: 1, Answer: "27", Reason: "correct"}},
		{second, "9 - 3 = 6 ;", search.Verdict{Terminal: true, Answer: "6", Reason: "wrong"}},
		{second, "9 - 3 = 27 ;", search.Verdict{Terminal: true, Reason: "illegal_step"}},
		{second, "9 * 3 = 27 |", search.Verdict{Terminal: true, Reason: "malformed"}},
		{second, "; ; ; = 27 ;", search.Verdict{Terminal: true, Reason: "malformed"}},
	} {
		before := ids(test.before)
		got, err := d.Judge(append(before, ids(test.step)...), len(before), search.EndStep)
		if err != nil || got != test.want {
			t.Errorf("%q after %q: got %+v (%v); want %+v", test.step, test.before, got, err, test.want)
		}
	}
	if got := d.Text(append(ids(second), countdown.EOS)); got != " 7 + 2 = 9 | 3 9 9 9 / 3 = 3 | 9 3" {
		t.Errorf("got the text %q", got)
	}
	if got := []int{d.Step(nil).MaxTokens, d.Step(ids(first)).MaxTokens, d.Step(ids(second)).MaxTokens, d.Rollout(nil).MaxTokens}; !reflect.DeepEqual(got, []int{9, 8, 6, 23}) {
		t.Errorf("got lengths %v; want 9, 8, 6 and their sum", got)
	}
}

// ids are the tokens of a text.
func ids(text string) (tokens []int32) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		for id := int32(countdown.CD4.VocabSize()) - 1; id > countdown.Pad; id-- { // longer numbers first
			if rest, ok := strings.CutPrefix(text, countdown.Text(id)); ok && (id != countdown.Minus || !strings.HasPrefix(text, "->")) {
				tokens, text = append(tokens, id), rest
				break
			}
		}
	}
	return tokens
}

func TestCountdownProblemsAreChecked(t *testing.T) {
	for _, bad := range []string{"", "3 7", "3 -> 3", "1 2 3 4 5 -> 9", "3 70 -> 9", "3 7 -> 99", "a b -> c"} {
		if p, err := NewCountdownSearch(countdown.CD4, "", bad); err == nil {
			t.Errorf("%q passes as %+v", bad, p)
		}
	}
}

// The committed model, in lock step on the go backend: its trees are valid, hold right and wrong ends, and are the same to the last bit
// when they are searched again, in one go or from the second block on.
func TestCommittedModelSearches(t *testing.T) {
	d := devicetest.Open(t, device.Go)
	w, err := model.Load(committed, d.Backend(), dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	c := engine.DefaultConfig(w.Config.Vocab, 32, 64)
	c.EOS, c.Pages = w.Config.EOS, 32*4
	policy := model.NewPolicy(1, w)
	runner, err := engine.NewDeviceRunner(d, policy, engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: c.MaxSlots,
		ChunkTokens: c.ChunkTokens, MaxContextTokens: c.MaxContextTokens, KVType: dtypes.Float32,
		GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	if err != nil {
		t.Fatal(err)
	}
	defer runner.Close()
	var problems []search.Problem
	for _, p := range countdown.CD4.Sample(countdown.CD4.Split().Train, 4, random.New(1, 0)) {
		problem, err := NewCountdownSearch(countdown.CD4, "", p.String())
		if err != nil {
			t.Fatal(err)
		}
		problems = append(problems, problem)
	}
	settings := search.Countdown()
	blocks := func(problems []search.Problem) (trees []*tree.Tree) {
		begin := func() search.Policy { return search.NewStepper(runner, c, 1, sampler.Default()) }
		err := search.Blocks(context.Background(), settings, "test", begin, problems, 2, func(o search.Outcome) error {
			if o.Failure != nil {
				t.Fatal(o.Failure)
			}
			trees = append(trees, o.Tree)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return trees
	}
	trees := blocks(problems)
	right, wrong, broken := 0, 0, 0
	for _, tr := range trees {
		for _, n := range tr.Nodes {
			right, wrong, broken = right+btoi(n.Correct), wrong+btoi(n.Terminal && !n.Correct && n.Answer != ""), broken+btoi(n.Terminal && n.Answer == "")
		}
	}
	if right == 0 || wrong < 20 || broken > wrong {
		t.Errorf("got %d right ends, %d wrong ones and %d broken steps", right, wrong, broken)
	}
	if again := blocks(problems[2:]); !reflect.DeepEqual(again, trees[2:]) {
		t.Error("the second block has other trees when it is searched alone")
	}
}
