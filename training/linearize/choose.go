package linearize

import (
	"context"
	"fmt"
	"slices"

	"astro/training/random"
	"astro/training/tree"
)

// Filter decides about a terminal. It must not depend on anything but its arguments (or must remember what it said), and an error
// means that it could not decide: the terminal is left out, and that is counted.
type Filter func(ctx context.Context, t *tree.Tree, terminal int) (bool, error)

// Reason says why a Tree or a trace was left out; metrics count by it.
type Reason string

// Reasons to leave out a Tree.
const (
	InvalidTree Reason = "invalid_tree" // Validate refuses it
	NoCorrect   Reason = "no_correct_terminal"
	NoneGood    Reason = "no_correct_terminal_passed_the_filter"
	NoWrong     Reason = "no_usable_wrong_terminal"
	NoTrace     Reason = "no_trace_could_be_written"
)

// Reasons to leave out one trace or terminal.
const (
	FilterFailed Reason = "filter_could_not_decide" // about one terminal
	SameTrace    Reason = "same_trace_again"        // the Tree has fewer different ones than are wanted, or none with a wrong terminal
	FewerWrong   Reason = "fewer_wrong_than_k"      // not left out: the trace is made with as many as the Tree has
	TooLong      Reason = "too_long"
	WriterFailed Reason = "writer_failed"
	BadReply     Reason = "model_said_nothing_usable"
	Refused      Reason = "verifier_refused"
	Unmatched    Reason = "without_its_pair" // its counterpart in the other arm could not be written
)

// terminals are what a Tree offers.
type terminals struct {
	tree  *tree.Tree
	right []int // C': correct, and of quality
	wrong []int // W: incorrect, with an answer that can be refuted
	first []int // first step of the path to each node; 0 for the root
	depth []int // steps from the root
}

// collect sorts the terminals of a valid Tree; wrong and quality may be nil. Reasons are counted in r; an empty right or wrong is
// the caller's to judge.
func collect(ctx context.Context, t *tree.Tree, quality, usable Filter, r *Report) (c terminals, correct int) {
	c = terminals{tree: t, first: make([]int, len(t.Nodes)), depth: make([]int, len(t.Nodes))}
	for i := 1; i < len(t.Nodes); i++ {
		n := &t.Nodes[i]
		c.first[i], c.depth[i] = i, c.depth[n.Parent]+1
		if n.Parent > 0 {
			c.first[i] = c.first[n.Parent]
		}
		switch {
		case n.Correct:
			correct++
			if passes(ctx, quality, t, i, r) {
				c.right = append(c.right, i)
			}
		case n.Terminal && n.Answer != "" && passes(ctx, usable, t, i, r):
			c.wrong = append(c.wrong, i)
		}
	}
	return c, correct
}

// passes asks a Filter; nil lets everything through.
func passes(ctx context.Context, f Filter, t *tree.Tree, terminal int, r *Report) bool {
	if f == nil {
		return true
	}
	yes, err := f(ctx, t, terminal)
	if err != nil {
		r.drop(FilterFailed, fmt.Errorf("tree %q, node %d: %w", t.ID, terminal, err))
	}
	return yes && err == nil
}

// draw picks up to k wrong terminals with pairwise different answers, none that of the right one.
func (c *terminals) draw(right, k int, local float64, draw *random.Rand) []int {
	pool := slices.Clone(c.wrong)
	draw.Shuffle(pool)
	answers := map[string]bool{c.tree.Nodes[right].Answer: true}
	begun := map[int]bool{c.first[right]: true} // first steps of what is chosen: sharing one makes the return between them local
	var chosen []int
	for len(chosen) < k {
		want := local >= 0 && draw.Chance(local)
		usable := func(i int) bool { return !answers[c.tree.Nodes[i].Answer] }
		at := slices.IndexFunc(pool, func(i int) bool { return usable(i) && (local < 0 || begun[c.first[i]] == want) })
		if at < 0 {
			at = slices.IndexFunc(pool, usable)
		}
		if at < 0 {
			break
		}
		pick := pool[at]
		chosen = append(chosen, pick)
		answers[c.tree.Nodes[pick].Answer], begun[c.first[pick]] = true, true
	}
	return chosen
}
