// Package tree is the result of a search: the reasoning steps that were tried for one problem, how good they were, and which ends
// were right. training/search grows Trees, training/linearize reads them; docs/formats/tree.md is what a file of them looks like.
package tree

import "fmt"

// Tree is one search. It does not change once it is finished.
type Tree struct {
	ID      string  // of the problem, unique in its file
	Problem string  // as a user would write it
	Gold    string  // the right answer, as graders take it; "" where the problem itself says what is right (Countdown)
	Prompt  []int32 // token ids that every path of steps follows
	Version int64   // of the Policy that searched
	Seed    uint64
	Nodes   []Node // Nodes[0] is the root; a parent comes before its children, siblings in the order in which they were proposed
	Tokens  int    // drawn in all, steps and rollouts
}

// Node is one reasoning step after its parent's.
type Node struct {
	Parent   int     // index in Nodes; -1 for the root
	Tokens   []int32 // of the step, its separator included; none for the root
	Text     string  // the same as text
	Prior    float64 // probability among its siblings that the policy gives the step, length-normalised
	Visits   int     // N
	Q        float64 // the paper's visit-weighted mean of returns, in [-1, 1] or [0, 1] as graders score
	Return   float64 // R: mean score of the node's own rollouts, or its score if it is terminal
	Rollouts int     // M of them
	Terminal bool    // the step states an answer, or nothing can follow it
	Correct  bool    // of a terminal: the grader's verdict
	Answer   string  // of a terminal: what it states, in a canonical form; "" = nothing
	Reason   string  // of a terminal: the grader's reason
}

// Children lists the children of every node, in order.
func (t *Tree) Children() [][]int {
	children := make([][]int, len(t.Nodes))
	for i := 1; i < len(t.Nodes); i++ {
		p := t.Nodes[i].Parent
		children[p] = append(children[p], i)
	}
	return children
}

// Path is the way from the root to node i, without the root.
func (t *Tree) Path(i int) []int {
	var path []int
	for ; i > 0; i = t.Nodes[i].Parent {
		path = append([]int{i}, path...)
	}
	return path
}

// Validate says where a Tree is not one: a parent that does not come first, a terminal with children, tokens or numbers out of range.
func (t *Tree) Validate() error {
	if t.ID == "" || len(t.Nodes) == 0 || t.Nodes[0].Parent != -1 {
		return fmt.Errorf("tree %q with %d nodes: want an id, and a root first", t.ID, len(t.Nodes))
	}
	for i := range t.Nodes {
		if err := t.validate(i); err != nil {
			return fmt.Errorf("tree %q: node %d: %w", t.ID, i, err)
		}
	}
	return nil
}

func (t *Tree) validate(i int) error {
	n := &t.Nodes[i]
	switch {
	case i > 0 && (n.Parent < 0 || n.Parent >= i):
		return fmt.Errorf("its parent is %d; want an earlier node", n.Parent)
	case i > 0 && t.Nodes[n.Parent].Terminal:
		return fmt.Errorf("its parent %d is terminal", n.Parent)
	case i > 0 && len(n.Tokens) == 0:
		return fmt.Errorf("it has no tokens")
	case n.Correct && !n.Terminal:
		return fmt.Errorf("it is correct but not terminal")
	case n.Visits < 0 || n.Rollouts < 0 || !(n.Prior >= 0 && n.Prior <= 1) || !(n.Q >= -1 && n.Q <= 1) || !(n.Return >= -1 && n.Return <= 1):
		return fmt.Errorf("visits %d, rollouts %d, prior %g, Q %g, return %g are out of range", n.Visits, n.Rollouts, n.Prior, n.Q, n.Return)
	}
	return nil
}
