package search

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"astro/training/tree"
)

// growth is one tree under way. Next says what to draw, Apply takes it, in turn, until Next says nothing.
//
// A round has two turns: steps from the chosen leaves, then rollouts from the new nodes. Nodes are added, and returns backed up, in
// the order in which the leaves were chosen and the samples numbered.
type growth struct {
	config  Config
	problem Problem
	tree    *tree.Tree
	states  []state // beside tree.Nodes

	begun  int   // iterations
	leaves []int // being expanded in this round
	fresh  []int // nodes that this round added, in order
	turn   turn
	asked  int // draws of this turn
	err    *Failure
}

type turn uint8

const (
	choosing turn = iota
	stepping      // Next has asked for steps
	judged        // the steps are in the tree
	rolling       // Next has asked for rollouts
)

func newGrowth(c Config, p Problem, settings string) *growth {
	return &growth{config: c, problem: p, states: []state{{open: 1}},
		tree: &tree.Tree{ID: p.ID, Problem: p.Text, Gold: p.Gold, Prompt: p.Domain.Prompt(), Seed: c.Seed, Settings: settings,
			Nodes: []tree.Node{{Parent: -1}}}}
}

// Next lists what is to be drawn now; none when the tree is finished, or has failed.
func (g *growth) Next() []Draw {
	if g.turn == stepping || g.turn == rolling {
		panic("BUG: got Next; want Apply")
	}
	for g.err == nil {
		if g.turn == judged {
			if draws := g.rollouts(); len(draws) > 0 {
				g.turn, g.asked = rolling, len(draws)
				return draws
			}
			g.settle(nil)
			continue
		}
		if draws := g.expansions(); len(draws) > 0 {
			g.turn, g.asked = stepping, len(draws)
			return draws
		}
		break
	}
	return nil
}

// Apply takes the answers to Next, in its order. A draw that failed fails the tree.
func (g *growth) Apply(drawn []Drawn) {
	if len(drawn) != g.asked {
		panic(fmt.Sprintf("BUG: got %d answers from a Policy; want %d", len(drawn), g.asked))
	}
	for i := range drawn {
		if err := g.check(&drawn[i]); err != nil {
			g.fail(err.Reason, err.Err)
			return
		}
	}
	switch g.turn {
	case stepping:
		g.turn = judged
		for i, leaf := range g.leaves {
			g.expand(leaf, drawn[i].Samples)
		}
	case rolling:
		g.settle(drawn)
	default:
		panic("BUG: got Apply; want Next")
	}
}

// check refuses what no tree may hold, and pins the version of the first draw.
func (g *growth) check(d *Drawn) *Failure {
	if d.Err != nil {
		return failure(d.Err)
	}
	if len(d.Samples) == 0 {
		return &Failure{FailedPolicy, errors.New("the policy drew no samples")}
	}
	for _, s := range d.Samples {
		if len(s.Tokens) == 0 || s.Drawn < len(s.Tokens) || math.IsNaN(s.Logprob) || math.IsInf(s.Logprob, 0) {
			return &Failure{FailedPolicy, fmt.Errorf("the policy drew %d tokens, %d of them kept, with log-probability %g", s.Drawn, len(s.Tokens), s.Logprob)}
		}
		g.tree.Tokens += s.Drawn
	}
	if g.tree.Version == 0 {
		g.tree.Version = d.Version
	}
	if d.Version != g.tree.Version {
		return &Failure{FailedPolicy, fmt.Errorf("version %d of the policy took the place of %d while the tree grew", d.Version, g.tree.Version)}
	}
	return nil
}

// failure is an error of a Policy as a Failure, which it may be already.
func failure(err error) *Failure {
	if f := (*Failure)(nil); errors.As(err, &f) {
		return f
	}
	return &Failure{FailedPolicy, err}
}

func (g *growth) fail(reason string, err error) {
	if g.err == nil {
		g.err = &Failure{reason, err}
	}
	g.turn = choosing
}

// Result is the finished tree, or why there is none.
func (g *growth) Result() (*tree.Tree, *Failure) {
	if g.err != nil {
		return nil, g.err
	}
	if err := g.tree.Validate(); err != nil {
		return nil, &Failure{FailedTree, err}
	}
	return g.tree, nil
}

// expansions chooses the leaves of a round and asks for their children.
func (g *growth) expansions() (draws []Draw) {
	g.leaves = g.leaves[:0]
	spent := g.config.BudgetTokens > 0 && g.tree.Tokens >= g.config.BudgetTokens
	for len(g.leaves) < g.config.Leaves && g.begun < g.config.Iterations && !spent {
		leaf := g.choose()
		if leaf < 0 {
			break
		}
		g.open(leaf, -1)
		g.mark(leaf, 1)
		g.leaves = append(g.leaves, leaf)
		g.begun++
		answer := g.answer(leaf)
		draws = append(draws, g.draw(answer, g.config.Children, g.problem.Domain.Step(answer), leaf, drawSteps))
	}
	return draws
}

// rollouts asks for answers from the nodes of the round that do not end one.
func (g *growth) rollouts() (draws []Draw) {
	for _, i := range g.fresh {
		if !g.tree.Nodes[i].Terminal {
			answer := g.answer(i)
			draws = append(draws, g.draw(answer, g.config.Rollouts, g.problem.Domain.Rollout(answer), i, drawRollouts))
		}
	}
	return draws
}

func (g *growth) draw(answer []int32, n int, limit Limit, node int, kind uint64) Draw {
	return Draw{Prompt: slices.Concat(g.tree.Prompt, answer), N: n, Limit: limit, Version: g.tree.Version,
		Seed: drawSeed(g.config.Seed, g.tree.ID, node, kind)}
}

// answer is the tokens of the steps to a node.
func (g *growth) answer(node int) []int32 {
	var tokens []int32
	for _, i := range g.tree.Path(node) {
		tokens = append(tokens, g.tree.Nodes[i].Tokens...)
	}
	return tokens
}

// expand adds the children of a leaf. Samples that are the same step become one child: its prior is that of one, for the step's own
// log-probability says already that it is likely, and its rollouts are not drawn twice.
func (g *growth) expand(leaf int, samples []Sample) {
	var distinct []Sample
	var draws []int
	for _, s := range samples {
		at := slices.IndexFunc(distinct, func(d Sample) bool { return slices.Equal(d.Tokens, s.Tokens) })
		if at < 0 {
			at = len(distinct)
			distinct, draws = append(distinct, s), append(draws, 0)
		}
		draws[at]++
	}
	means := make([]float64, len(distinct))
	for i, s := range distinct {
		means[i] = min(0, s.Logprob/float64(len(s.Tokens)))
	}
	answer, prior := g.answer(leaf), priors(means)
	for i, s := range distinct {
		g.add(leaf, answer, s, tree.Node{Parent: leaf, Tokens: s.Tokens, Draws: draws[i], Logprob: means[i], Prior: prior[i]})
	}
}

// add judges a step and makes it a node.
func (g *growth) add(leaf int, answer []int32, s Sample, n tree.Node) {
	n.Text = strings.ToValidUTF8(g.problem.Domain.Text(s.Tokens), "\uFFFD")
	whole := slices.Concat(answer, s.Tokens)
	v, err := g.judge(whole, len(answer), s.End)
	if err != nil {
		g.fail(FailedGrader, err)
		return
	}
	if n.Terminal = v.Terminal; v.Terminal {
		n.Correct, n.Return, n.Answer, n.Reason = v.Correct, v.Score, v.Answer, v.Reason
	}
	i := len(g.tree.Nodes)
	g.tree.Nodes = append(g.tree.Nodes, n)
	g.states = append(g.states, state{depth: g.states[leaf].depth + 1})
	g.states[leaf].children = append(g.states[leaf].children, i)
	g.fresh = append(g.fresh, i)
	if !n.Terminal && g.states[i].depth < g.config.MaxDepth {
		g.open(i, 1)
	}
}

// judge asks the Domain about a step.
func (g *growth) judge(answer []int32, at int, end End) (v Verdict, err error) {
	if end == EndSequence {
		v, err = g.problem.Domain.Grade(answer)
		v.Terminal = true
	} else {
		v, err = g.problem.Domain.Judge(answer, at, end)
	}
	if full := g.config.ContextTokens; err == nil && !v.Terminal && full > 0 && len(g.tree.Prompt)+len(answer) >= full {
		v = Verdict{Terminal: true, Reason: "context_full"}
	}
	return v, scored(v, err)
}

// scored refuses a score that is none.
func scored(v Verdict, err error) error {
	if err == nil && !(v.Score >= 0 && v.Score <= 1) {
		return fmt.Errorf("the grader gave a score of %g; want 0 to 1", v.Score)
	}
	return err
}

// settle ends a round: returns are known, and go up in the order of the nodes. drawn are the rollouts of the nodes that want some.
func (g *growth) settle(drawn []Drawn) {
	for _, i := range g.fresh {
		n := &g.tree.Nodes[i]
		if !n.Terminal {
			sum, err := g.score(g.answer(i), drawn[0].Samples)
			if err != nil {
				g.fail(FailedGrader, err)
				return
			}
			n.Rollouts, n.Return = len(drawn[0].Samples), sum/float64(len(drawn[0].Samples))
			drawn = drawn[1:]
		}
		g.backup(i, n.Return)
	}
	for _, leaf := range g.leaves {
		g.mark(leaf, -1)
	}
	g.leaves, g.fresh, g.turn = g.leaves[:0], g.fresh[:0], choosing
}

// score sums the scores of rollouts.
func (g *growth) score(answer []int32, rollouts []Sample) (sum float64, err error) {
	for _, s := range rollouts {
		v, err := g.problem.Domain.Grade(slices.Concat(answer, s.Tokens))
		if err := scored(v, err); err != nil {
			return 0, err
		}
		sum += v.Score
	}
	return sum, nil
}
