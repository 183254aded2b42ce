package reward

import (
	"slices"

	"astro/training/reward/algebra"
	"astro/training/reward/latex"
)

// collection says that a formula stands for several values: a list, a set, plus-minus.
func collection(n *latex.Node) bool {
	return n.Kind == latex.List || n.Kind == latex.Set || plusMinus(n) != nil
}

// plusMinus finds the plus-minus of a formula, outside of lists and relations.
func plusMinus(n *latex.Node) *latex.Node {
	var found *latex.Node
	n.Walk(func(m *latex.Node) bool {
		switch m.Kind {
		case latex.PlusMinus:
			found = m
		case latex.List, latex.Set, latex.Tuple, latex.Rel, latex.Matrix:
			return false
		}
		return found == nil
	})
	return found
}

// collections compares lists without regard to order. Two sets are compared as sets, and so are lists of points; everything
// else with repetitions.
func (c *comparer) collections(g, a *latex.Node) Rule {
	if conditions(g) || conditions(a) || setExpression(g) || setExpression(a) {
		return c.regions(g, a)
	}
	x, y := c.membersOf(g), c.membersOf(a)
	if g.Kind == latex.Set && a.Kind == latex.Set || allTuples(x) && allTuples(y) {
		x, y = c.distinct(x), c.distinct(y)
	}
	switch {
	case len(x) != len(y):
		return c.namedTuple(g, y)
	case c.namesOf(x) && c.bare(y), c.bare(x) && c.namesOf(y):
		return c.inOrder(x, y, RuleList)
	}
	return c.matched(x, y)
}

// setExpression says that the formula is a set that is not written by its members.
func setExpression(n *latex.Node) bool { return n.Kind == latex.SetOp || n.Kind == latex.NamedSet }

// conditions says that a list has inequalities among its members: x < 1 or x > 7.
func conditions(n *latex.Node) bool {
	return n.Kind == latex.List && slices.ContainsFunc(n.Args, inequality)
}

// allTuples says that every member is a point.
func allTuples(all []*latex.Node) bool {
	return !slices.ContainsFunc(all, func(n *latex.Node) bool { return n.Kind != latex.Tuple })
}

// membersOf are the members of a list, or the one value; a member with plus-minus counts twice.
func (c *comparer) membersOf(n *latex.Node) []*latex.Node {
	if n.Kind != latex.List && n.Kind != latex.Set {
		return signs(n)
	}
	var all []*latex.Node
	for _, a := range n.Args {
		if _, value := c.unnamed(a); value != a && collection(value) {
			a = value
		}
		if a.Kind == latex.List || a.Kind == latex.Set && len(n.Args) > 1 && n.Kind == latex.List {
			all = append(all, c.membersOf(a)...)
			continue
		}
		all = append(all, signs(a)...)
	}
	return all
}

// signs are both values of a formula with plus-minus; all its signs turn together.
func signs(n *latex.Node) []*latex.Node {
	if plusMinus(n) == nil {
		return []*latex.Node{n}
	}
	return []*latex.Node{withSign(n, "pm"), withSign(n, "mp")}
}

// withSign replaces each plus-minus by plus where its name is upper, else by minus.
func withSign(n *latex.Node, upper string) *latex.Node {
	copied := *n
	copied.Args = make([]*latex.Node, len(n.Args))
	for i, a := range n.Args {
		copied.Args[i] = withSign(a, upper)
	}
	if n.Kind != latex.PlusMinus {
		return &copied
	}
	last := len(copied.Args) - 1
	if n.Name != upper {
		copied.Args[last] = &latex.Node{Kind: latex.Neg, Args: []*latex.Node{copied.Args[last]}}
	}
	if last == 0 {
		return copied.Args[0]
	}
	copied.Kind, copied.Name = latex.Add, ""
	return &copied
}

// distinct drops members that are equal to an earlier one.
func (c *comparer) distinct(all []*latex.Node) []*latex.Node {
	var kept []*latex.Node
	for _, n := range all {
		if !slices.ContainsFunc(kept, func(m *latex.Node) bool { return c.equal(m, n) != "" }) {
			kept = append(kept, n)
		}
	}
	return kept
}

// matched pairs the members; equality is an equivalence, so that the first match is as good as any.
func (c *comparer) matched(x, y []*latex.Node) Rule {
	used := make([]bool, len(y))
	for i, n := range x {
		found := false
		for k := range y {
			j := (i + k) % len(y)
			if !used[j] && c.equal(n, y[j]) != "" {
				used[j], found = true, true
				break
			}
			if c.judge.Over() {
				return ""
			}
		}
		if !found {
			return ""
		}
	}
	return RuleList
}

func (c *comparer) inOrder(x, y []*latex.Node, rule Rule) Rule {
	if len(x) != len(y) {
		return ""
	}
	for i := range x {
		if c.equal(x[i], y[i]) == "" {
			return ""
		}
	}
	return rule
}

// namesOf says that every member has a name of its own: a = 1, b = 2.
func (c *comparer) namesOf(all []*latex.Node) bool {
	seen := map[string]bool{}
	for _, n := range all {
		name, _ := c.unnamed(n)
		if name == "" || seen[name] {
			return false
		}
		seen[name] = true
	}
	return len(all) > 1
}

// bare says that no member has a name.
func (c *comparer) bare(all []*latex.Node) bool {
	return !slices.ContainsFunc(all, func(n *latex.Node) bool { return n.Kind == latex.Rel })
}

// namedTuple compares the tuple (1,2) with x = 1, y = 2, whose names stand in alphabetical order.
func (c *comparer) namedTuple(g *latex.Node, y []*latex.Node) Rule {
	if g.Kind != latex.Tuple || len(g.Args) != len(y) || !c.namesOf(y) {
		return ""
	}
	slices.SortStableFunc(y, func(a, b *latex.Node) int {
		if algebra.Key(a.Args[0]) < algebra.Key(b.Args[0]) {
			return -1
		}
		return 1
	})
	return c.inOrder(g.Args, y, RuleTuple)
}

// tuples compares in order. Of two members the brackets count, because they may be the ends of an interval.
func (c *comparer) tuples(g, a *latex.Node) Rule {
	x, y := asTuple(g), asTuple(a)
	switch {
	case x == nil || y == nil || len(x.Args) != len(y.Args):
		return ""
	case len(x.Args) == 2 && g.Kind == a.Kind && (end(x.Open) != end(y.Open) || end(x.Close) != end(y.Close)):
		return ""
	}
	return c.inOrder(x.Args, y.Args, RuleTuple)
}

// asTuple takes a column for a tuple.
func asTuple(n *latex.Node) *latex.Node {
	switch {
	case n.Kind == latex.Tuple:
		return n
	case n.Kind == latex.Matrix && n.Cols == 1 && len(n.Args) > 1:
		return &latex.Node{Kind: latex.Tuple, Args: n.Args, Open: '(', Close: ')'}
	}
	return nil
}

// end of an interval: closed or not.
func end(bracket byte) bool { return bracket == '[' || bracket == ']' }

func (c *comparer) matrices(g, a *latex.Node) Rule {
	if g.Kind != a.Kind || g.Cols != a.Cols || g.Name != a.Name {
		return ""
	}
	return c.inOrder(g.Args, a.Args, RuleMatrix)
}
