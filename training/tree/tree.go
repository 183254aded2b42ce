// Package tree is the result of a search: the reasoning steps that were tried for one problem, how good they were, and which ends
// were right. training/search grows Trees, training/linearize reads them; docs/formats/tree.md is what a file of them looks like.
package tree

import (
	"fmt"
	"math"
	"slices"
)

// Tree is one search. It does not change once it is finished.
type Tree struct {
	ID       string  `json:"id"`                 // of the problem, unique in its file
	Problem  string  `json:"problem"`            // as a user would write it
	Gold     string  `json:"gold,omitempty"`     // the right answer, as graders take it; "" where the problem itself says what is right (Countdown)
	Prompt   []int32 `json:"prompt"`             // token ids that every path of steps follows
	Version  int64   `json:"version"`            // of the Policy that searched
	Seed     uint64  `json:"seed"`               // of the whole search; the Tree's own draws follow from it and from ID
	Settings string  `json:"settings,omitempty"` // of the search, as text; a file is only gone on with under the same
	Tokens   int     `json:"tokens"`             // drawn in all, steps and rollouts
	Nodes    []Node  `json:"nodes"`              // Nodes[0] is the root; a parent comes before its children, siblings in the order in which they were proposed
}

// Node is one reasoning step after its parent's.
type Node struct {
	Parent   int     `json:"parent"`             // index in Nodes; -1 for the root
	Tokens   []int32 `json:"tokens,omitempty"`   // of the step as drawn, its separator or the end of sequence included; none for the root
	Text     string  `json:"text,omitempty"`     // the same as text
	Draws    int     `json:"draws,omitempty"`    // of the samples from its parent, those that were this very step; 0 for the root
	Logprob  float64 `json:"logprob,omitempty"`  // mean log-probability of its tokens under the policy
	Prior    float64 `json:"prior,omitempty"`    // probability among its siblings that the policy gives the step, length-normalised
	Visits   int     `json:"visits,omitempty"`   // N
	Q        float64 `json:"q,omitempty"`        // the paper's visit-weighted mean of returns, in [-1, 1] or [0, 1] as graders score
	Return   float64 `json:"return,omitempty"`   // R: mean score of the node's own rollouts, or its score if it is terminal
	Rollouts int     `json:"rollouts,omitempty"` // M of them
	Terminal bool    `json:"terminal,omitempty"` // the step states an answer, or nothing can follow it
	Correct  bool    `json:"correct,omitempty"`  // of a terminal: the grader's verdict
	Answer   string  `json:"answer,omitempty"`   // of a terminal: what it states, in a canonical form; "" = nothing
	Reason   string  `json:"reason,omitempty"`   // of a terminal: the grader's reason
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

// Solved says that some terminal is correct.
func (t *Tree) Solved() bool {
	return slices.ContainsFunc(t.Nodes, func(n Node) bool { return n.Correct })
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
	case n.Draws < 0 || !(n.Logprob <= 0) || math.IsInf(n.Logprob, 0):
		return fmt.Errorf("%d draws and log-probability %g are out of range", n.Draws, n.Logprob)
	case n.Visits < 0 || n.Rollouts < 0 || !(n.Prior >= 0 && n.Prior <= 1) || !(n.Q >= -1 && n.Q <= 1) || !(n.Return >= -1 && n.Return <= 1):
		return fmt.Errorf("visits %d, rollouts %d, prior %g, Q %g, return %g are out of range", n.Visits, n.Rollouts, n.Prior, n.Q, n.Return)
	}
	return nil
}
