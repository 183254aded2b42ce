package linearize

import (
	"fmt"
	"slices"

	"astro/training/tree"
)

// Trace is a text to learn from, with where it comes from. Those of a domain with fixed phrases have tokens; those of a text domain
// have a text, and tokens if there was a tokenizer.
type Trace struct {
	ID       string // unique in its file
	Tree     string // id of the Tree
	Problem  string // as a user would write it
	Arm      Arm
	Epoch    int
	K        int   // wrong terminals on the way = returns
	Restarts int   // of them to the beginning
	Nodes    []int // of the Tree, in the order in which the text walks through them
	Answer   string

	Prompt  int       // the first tokens, which are given
	Tokens  []int32   // prompt and completion, the end of sequence included
	Weights []float32 // of each token as something to predict; as long as Tokens

	Text   string   // the completion
	Masked [][2]int // byte ranges [from, to) of Text that have no weight in the loss
}

// newTrace is a Trace of a Plan without its text.
func newTrace(t *tree.Tree, p *Plan) Trace {
	nodes := p.Nodes()
	return Trace{ID: p.ID, Tree: t.ID, Problem: t.Problem, Arm: p.Arm, Epoch: p.Epoch, K: p.K, Restarts: p.Restarts(), Nodes: nodes,
		Answer: t.Nodes[nodes[len(nodes)-1]].Answer}
}

// Validate says what is wrong with a Trace, or nil.
func (t *Trace) Validate() error {
	switch {
	case t.ID == "" || t.Tree == "" || t.Arm != Search && t.Arm != Direct:
		return fmt.Errorf("trace %q of tree %q in arm %q: want an id, a tree, and the arm search or direct", t.ID, t.Tree, t.Arm)
	case t.Epoch < 0 || t.Restarts < 0 || t.Restarts > t.K || t.Arm == Direct && t.K > 0:
		return fmt.Errorf("trace %q: epoch %d, k %d, restarts %d are out of range", t.ID, t.Epoch, t.K, t.Restarts)
	case len(t.Nodes) == 0 || slices.Min(t.Nodes) < 1:
		return fmt.Errorf("trace %q: %d nodes; want some, all after the root", t.ID, len(t.Nodes))
	case len(t.Tokens) != len(t.Weights) || t.Prompt < 0 || t.Prompt > len(t.Tokens):
		return fmt.Errorf("trace %q: %d tokens, %d weights, a prompt of %d", t.ID, len(t.Tokens), len(t.Weights), t.Prompt)
	case len(t.Tokens) == 0 && t.Text == "":
		return fmt.Errorf("trace %q has neither tokens nor a text", t.ID)
	}
	for _, id := range t.Tokens {
		if id < 0 {
			return fmt.Errorf("trace %q: the token id %d is negative", t.ID, id)
		}
	}
	for _, w := range t.Weights {
		if !(w >= 0 && w <= 1) {
			return fmt.Errorf("trace %q: the weight %g is not in [0, 1]", t.ID, w)
		}
	}
	end := 0
	for _, m := range t.Masked {
		if m[0] < end || m[1] <= m[0] || m[1] > len(t.Text) {
			return fmt.Errorf("trace %q: the masked range %v is out of order, or outside %d bytes", t.ID, m, len(t.Text))
		}
		end = m[1]
	}
	return nil
}
