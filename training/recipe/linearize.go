package recipe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"astro/training/countdown"
	"astro/training/linearize"
	"astro/training/random"
	"astro/training/reward"
	"astro/training/tree"
)

// CountdownTraces is how trees of the numbers game become traces: in the very words of the base model's documents, with the verifier
// in the place of self-evaluation. A wrong terminal is one whose derivation is legal to its end and misses the target; steps that
// are not legal are never shown. Every trace is given the numbers in an order of its own and is replayed by the verifier.
func CountdownTraces(d countdown.Domain) linearize.Domain {
	ends := func(hit bool) linearize.Filter {
		return func(_ context.Context, t *tree.Tree, terminal int) (bool, error) {
			p, err := reward.ParseCountdown(t.Problem)
			if err != nil {
				return false, err
			}
			game, err := readGame(d, p.Numbers, t, t.Path(terminal))
			if err != nil || len(game) != len(p.Numbers)-1 {
				return false, nil
			}
			return (game[len(game)-1].C == p.Target) == hit, nil
		}
	}
	return linearize.Domain{Write: replayed(d, linearize.Template(countdownPhrases(d))), Quality: ends(true), Wrong: ends(false)}
}

// replayed lets only those traces through that the verifier finds right from the first word to the last.
func replayed(d countdown.Domain, write linearize.Writer) linearize.Writer {
	return func(ctx context.Context, o *linearize.Options, t *tree.Tree, p *linearize.Plan) (linearize.Trace, error) {
		trace, err := write(ctx, o, t, p)
		if err != nil {
			return trace, err
		}
		problem, err := problemOf(trace.Tokens[:trace.Prompt])
		if err != nil {
			return trace, err
		}
		r := d.Verify(problem, trace.Tokens[trace.Prompt:])
		if !r.Correct || r.LegalSteps != r.Steps || r.RightVerdicts != p.K+1 || r.RightReturns != p.K || r.Returns != p.K || r.Distinct != p.K+1 {
			return trace, &linearize.Failure{Reason: linearize.Refused, Err: fmt.Errorf("%s: %+v", words(trace.Tokens), r)}
		}
		return trace, nil
	}
}

// problemOf reads a prompt back.
func problemOf(prompt []int32) (countdown.Problem, error) {
	return reward.ParseCountdown(words(prompt[1:]))
}

// words is tokens as text; the ends of a text are not shown.
func words(tokens []int32) string {
	var text []string
	for _, id := range tokens {
		if id != countdown.BOS && id != countdown.EOS {
			text = append(text, countdown.Text(id))
		}
	}
	return strings.Join(text, " ")
}

// countdownPhrases writes steps anew from their moves, so that what is restated follows the order of the given numbers, as in the
// documents of the base model.
func countdownPhrases(d countdown.Domain) linearize.Language {
	return func(t *tree.Tree, seed uint64) (linearize.Phrases, error) {
		p, err := reward.ParseCountdown(t.Problem)
		if err != nil {
			return linearize.Phrases{}, err
		}
		const stream = 11 // of this use of the seed
		p.Numbers = random.New(seed, stream).Shuffled(p.Numbers)
		g := gameWriter{domain: d, problem: p, tree: t}
		return linearize.Phrases{Prompt: countdown.Prompt(p), Reflect: []int32{countdown.ButWait}, Good: []int32{countdown.LooksOK},
			Bad: []int32{countdown.NotSure}, End: []int32{countdown.EOS}, Step: g.step, Return: g.goBack, Answer: g.answer, Text: words}, nil
	}
}

// gameWriter says paths of one Tree, its numbers in the order of problem.
type gameWriter struct {
	domain  countdown.Domain
	problem countdown.Problem
	tree    *tree.Tree
}

// step is the moves of the last node of a path; a node that only states an answer has none.
func (g gameWriter) step(path []int) ([]int32, error) {
	before, err := readGame(g.domain, g.problem.Numbers, g.tree, path[:len(path)-1])
	if err != nil {
		return nil, err
	}
	game, err := readGame(g.domain, g.problem.Numbers, g.tree, path)
	if err != nil {
		return nil, err
	}
	return countdown.Steps(stateAfter(g.problem.Numbers, before), game[len(before):]), nil
}

// goBack says the return to the end of a path and the problem that is left there.
func (g gameWriter) goBack(path []int) ([]int32, error) {
	game, err := readGame(g.domain, g.problem.Numbers, g.tree, path)
	if err != nil {
		return nil, err
	}
	if len(game) > len(reward.WordsGoBack) {
		return nil, fmt.Errorf("there is no word for a return to %d steps", len(game))
	}
	return countdown.Return(len(game), countdown.Problem{Numbers: stateAfter(g.problem.Numbers, game), Target: g.problem.Target}), nil
}

func (g gameWriter) answer(path []int) ([]int32, error) {
	game, err := readGame(g.domain, g.problem.Numbers, g.tree, path)
	if err != nil {
		return nil, err
	}
	state := stateAfter(g.problem.Numbers, game)
	if len(state) != 1 {
		return nil, fmt.Errorf("the derivation ends with %v", state)
	}
	return []int32{countdown.Answer, countdown.Number(state[0])}, nil
}

// stateAfter is the numbers that are left after legal moves.
func stateAfter(numbers []int, game []countdown.Move) []int {
	for _, m := range game {
		numbers = countdown.Next(numbers, m)
	}
	return numbers
}

// readGame reads the moves of a path from its tokens. What is restated is read over; a verdict ends the derivation. An error says
// that a move is not legal or that the tokens are none.
func readGame(d countdown.Domain, numbers []int, t *tree.Tree, path []int) ([]countdown.Move, error) {
	var game []countdown.Move
	var tokens []int32
	for _, i := range path {
		tokens = append(tokens, t.Nodes[i].Tokens...)
	}
	if end := slices.IndexFunc(tokens, func(id int32) bool { return id == countdown.ButWait || id == countdown.EOS }); end >= 0 {
		tokens = tokens[:end]
	}
	for state := numbers; len(tokens) > 0; {
		m, rest, err := readMove(d, tokens)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(d.Moves(state), m) {
			return nil, fmt.Errorf("the step %d %c %d = %d is not legal in %v", m.A, m.Op, m.B, m.C, state)
		}
		state, game = countdown.Next(state, m), append(game, m)
		tokens = rest[min(len(rest), restatedTokens(state)):]
	}
	return game, nil
}

// restatedTokens is the length of `| rest`, or of `;`.
func restatedTokens(state []int) int {
	if len(state) == 1 {
		return 1
	}
	return 1 + len(state)
}

// readMove reads `a op b = c`.
func readMove(d countdown.Domain, tokens []int32) (m countdown.Move, rest []int32, err error) {
	if len(tokens) < 5 {
		return m, nil, errors.New("a step is cut off")
	}
	number := func(i int) int {
		if id := tokens[i]; id >= countdown.Number(1) && int(id) < d.VocabSize() {
			return int(id-countdown.Number(1)) + 1
		}
		return 0
	}
	m = countdown.Move{A: number(0), B: number(2), C: number(4)}
	if op := tokens[1]; op >= countdown.Plus && op <= countdown.Over {
		m.Op = "+-*/"[op-countdown.Plus]
	}
	if m.A == 0 || m.B == 0 || m.C == 0 || m.Op == 0 || tokens[3] != countdown.Equals {
		return m, nil, fmt.Errorf("%q is no step", words(tokens[:5]))
	}
	return m, tokens[5:], nil
}

// Effort is what a completion of the numbers game tries, right or wrong.
type Effort struct {
	Returns     linearize.Returns // backtracks, as their sentences are counted
	Reflections int
	Attempts    int // finished legal derivations
	Distinct    int // different ones among them
}

// CountdownReturns counts the backtracks of a completion by its tokens.
func CountdownReturns(completion []int32) int {
	if end := slices.Index(completion, countdown.EOS); end >= 0 {
		completion = completion[:end]
	}
	return linearize.CountReturns(words(completion)).Total()
}

// CountdownEffort counts the backtracks of a completion by its tokens, and its distinct legal attempts by the verifier's replay.
func CountdownEffort(d countdown.Domain, p countdown.Problem, completion []int32) Effort {
	if end := slices.Index(completion, countdown.EOS); end >= 0 {
		completion = completion[:end]
	}
	text, r := words(completion), d.Verify(p, completion)
	return Effort{linearize.CountReturns(text), linearize.CountReflections(text), r.Attempts, r.Distinct}
}
