package linearize

import (
	"fmt"

	"astro/training/random"
	"astro/training/tree"
)

// Arm names one of the two sets of traces.
type Arm string

// The arms.
const (
	Search Arm = "search" // with failed branches, as Options.K says
	Direct Arm = "direct" // as many from the same Trees, each straight to a right answer
)

// Plan is a walk through a Tree: every node once, each a child of the one before or of an ancestor of that, a right terminal last. With
// Restart it is one whole path after the other, and a node is visited by each path that holds it.
type Plan struct {
	ID      string // unique in its set: tree#arm.epoch.index
	Arm     Arm
	Epoch   int
	Seed    uint64 // for what the Writer draws
	K       int    // wrong terminals on the way = returns
	Restart bool
	Moves   []Move
}

// Advance is the Back of a Move that goes on from the step before.
const Advance = -1

// Move goes to a node.
type Move struct {
	Node   int
	Back   int  // how many steps of the path are kept when the walk returns before this node; 0 = a restart; Advance = it goes on
	Failed bool // the node is not on the way to the right terminal
	Good   bool // the positive verdict follows it
}

// Restarts counts the returns to the beginning.
func (p *Plan) Restarts() int {
	n := 0
	for _, m := range p.Moves {
		if m.Back == 0 {
			n++
		}
	}
	return n
}

// Nodes lists the nodes in the order of the walk.
func (p *Plan) Nodes() []int {
	nodes := make([]int, len(p.Moves))
	for i, m := range p.Moves {
		nodes[i] = m.Node
	}
	return nodes
}

// walk merges the paths to some wrong terminals and the path to a right one, which comes last. Branches are taken depth first, so
// that every return leads to an ancestor of the step before it: merging in any order, as the paper's text allows, would sometimes
// lead to a step that the live path does not hold. Among the orders that are left one is drawn.
func walk(t *tree.Tree, wrong []int, right int, draw *random.Rand) []Move {
	w := &walker{tree: t, draw: draw, children: map[int][]int{}, taken: map[int]bool{}, last: map[int]bool{}}
	for _, terminal := range wrong {
		w.add(terminal, false)
	}
	w.add(right, true)
	w.visit(0, 0)
	return w.moves
}

// walkApart walks the paths to some wrong terminals, each from the beginning, and then the path to a right one.
func walkApart(t *tree.Tree, wrong []int, right int) []Move {
	var moves []Move
	for _, terminal := range append(wrong[:len(wrong):len(wrong)], right) {
		for i, node := range t.Path(terminal) {
			back := Advance
			if i == 0 && len(moves) > 0 {
				back = 0
			}
			moves = append(moves, Move{Node: node, Back: back, Failed: terminal != right})
		}
	}
	return moves
}

// walker is a walk in the making.
type walker struct {
	tree     *tree.Tree
	draw     *random.Rand
	children map[int][]int // those of the chosen paths
	taken    map[int]bool  // nodes on them
	last     map[int]bool  // nodes on the path to the right terminal
	moves    []Move
}

// add takes the path to a terminal in.
func (w *walker) add(terminal int, right bool) {
	for i := terminal; i > 0; i = w.tree.Nodes[i].Parent {
		if parent := w.tree.Nodes[i].Parent; !w.taken[i] {
			w.taken[i] = true
			w.children[parent] = append(w.children[parent], i)
		}
		w.last[i] = w.last[i] || right
	}
}

// visit walks through what is below a node that lies depth steps below the root.
func (w *walker) visit(node, depth int) {
	order := w.children[node]
	w.draw.Shuffle(order)
	for i, child := range order {
		if w.last[child] {
			order[i], order[len(order)-1] = order[len(order)-1], order[i]
		}
	}
	for i, child := range order {
		back := Advance
		if i > 0 {
			back = depth
		}
		w.moves = append(w.moves, Move{Node: child, Back: back, Failed: !w.last[child]})
		w.visit(child, depth+1)
	}
}

// Check says where a Plan breaks its promises; the Tree must be valid. It shares nothing with how Plans are made.
func (p *Plan) Check(t *tree.Tree) error {
	live, seen, answers, returns := []int{}, map[int]bool{}, map[string]bool{}, 0
	for i, m := range p.Moves {
		if p.Restart && m.Back > 0 {
			return fmt.Errorf("move %d: a return to step %d; want restarts only", i, m.Back)
		}
		if p.Restart && m.Back == 0 {
			clear(seen)
		}
		if m.Node < 1 || m.Node >= len(t.Nodes) || seen[m.Node] {
			return fmt.Errorf("move %d: node %d is none, or is visited twice", i, m.Node)
		}
		if m.Back != Advance {
			if m.Back < 0 || m.Back >= len(live) || !t.Nodes[live[len(live)-1]].Terminal {
				return fmt.Errorf("move %d: a return to step %d of %d, or before an end", i, m.Back, len(live))
			}
			returns, live = returns+1, live[:m.Back]
		}
		parent := 0
		if len(live) > 0 {
			parent = live[len(live)-1]
		}
		n := &t.Nodes[m.Node]
		if n.Parent != parent {
			return fmt.Errorf("move %d: node %d is no child of node %d", i, m.Node, parent)
		}
		if n.Terminal && answers[n.Answer] {
			return fmt.Errorf("move %d: the answer %q comes twice", i, n.Answer)
		}
		if n.Terminal {
			answers[n.Answer] = true
		}
		seen[m.Node], live = true, append(live, m.Node)
		if n.Correct != (i == len(p.Moves)-1) {
			return fmt.Errorf("move %d of %d: correct is %v", i, len(p.Moves), n.Correct)
		}
	}
	if len(p.Moves) == 0 || returns != p.K {
		return fmt.Errorf("%d moves with %d returns; want %d", len(p.Moves), returns, p.K)
	}
	return nil
}
