package search

import "math"

// state is what selection knows of a node beside tree.Node.
type state struct {
	children []int
	depth    int
	open     int // nodes in its subtree, itself included, that may be expanded and are not being
	virtual  int // expansions under way in its subtree
}

// choose goes down from the root to a node that may be expanded, by PUCT; -1 = there is none. Subtrees with nothing left to expand
// are passed by: a terminal has been scored, and scoring it again would teach nothing.
func (g *growth) choose() int {
	if g.states[0].open == 0 {
		return -1
	}
	i := 0
	for len(g.states[i].children) > 0 {
		i = g.bestChild(i)
	}
	return i
}

// bestChild has the highest PUCT value of the children with something left to expand; of equals the first.
func (g *growth) bestChild(parent int) int {
	best, bestValue := -1, math.Inf(-1)
	for _, c := range g.states[parent].children {
		if v := g.puct(parent, c); g.states[c].open > 0 && v > bestValue {
			best, bestValue = c, v
		}
	}
	if best < 0 {
		panic("BUG: got an open node without an open child; want one")
	}
	return best
}

// puct is Q + c * P * sqrt(N(parent)) / (1 + N). Expansions under way count as visits that returned the lowest score (virtual loss),
// so that leaves chosen together spread out.
func (g *growth) puct(parent, child int) float64 {
	p, c := &g.tree.Nodes[parent], &g.tree.Nodes[child]
	visits := float64(c.Visits + g.states[child].virtual)
	q := 0.0
	if visits > 0 {
		q = c.Q * float64(c.Visits) / visits
	}
	return q + g.config.CPUCT*c.Prior*math.Sqrt(float64(p.Visits+g.states[parent].virtual))/(1+visits)
}

// backup adds one return to a node and to all above it. For each node Q stays the mean of its own return and of its children's Q
// weighted by their visits, which is the paper's formula: (sum Q_i N_i + R) / (sum N_i + 1).
func (g *growth) backup(node int, r float64) {
	for i := node; i >= 0; i = g.tree.Nodes[i].Parent {
		n := &g.tree.Nodes[i]
		n.Visits++
		n.Q += (r - n.Q) / float64(n.Visits)
	}
}

// mark notes that expansions begin (1) or end (-1) at a node.
func (g *growth) mark(node, expansions int) {
	for i := node; i >= 0; i = g.tree.Nodes[i].Parent {
		g.states[i].virtual += expansions
	}
}

// open adds to the number of nodes that may be expanded.
func (g *growth) open(node, n int) {
	for i := node; i >= 0; i = g.tree.Nodes[i].Parent {
		g.states[i].open += n
	}
}

// priors turns mean log-probabilities of siblings into their probabilities among each other.
func priors(logprobs []float64) []float64 {
	top := math.Inf(-1)
	for _, l := range logprobs {
		top = max(top, l)
	}
	out, sum := make([]float64, len(logprobs)), 0.0
	for i, l := range logprobs {
		out[i] = math.Exp(l - top)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}
