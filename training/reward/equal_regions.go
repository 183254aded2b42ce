package reward

import (
	"astro/training/reward/algebra"
	"astro/training/reward/latex"
)

// regions compares sets of real numbers, however they are written. Sets with symbols in them are compared part by part.
func (c *comparer) regions(g, a *latex.Node) Rule {
	x, xName, xOK := c.regionOf(g)
	y, yName, yOK := c.regionOf(a)
	switch {
	case xOK && yOK && (xName == yName || xName == "" || yName == ""):
		if c.sameRegion(x, y) {
			return RuleRegion
		}
		return ""
	case xOK != yOK || g.Kind != a.Kind || g.Name != a.Name:
		return ""
	case g.Kind == latex.NamedSet:
		return RuleRegion
	case g.Kind == latex.SetOp && g.Name == "setminus":
		return c.inOrder(g.Args, a.Args, RuleRegion)
	case g.Kind == latex.SetOp:
		x, y := operands(g, g.Name), operands(a, g.Name)
		if len(x) == len(y) && c.matched(x, y) != "" {
			return RuleRegion
		}
	}
	return ""
}

// operands of nested unions or intersections.
func operands(n *latex.Node, name string) []*latex.Node {
	if !n.Is(latex.SetOp, name) {
		return []*latex.Node{n}
	}
	return append(operands(n.Args[0], name), operands(n.Args[1], name)...)
}

// regionOf is the set that a formula stands for, and the variable that it speaks of, if any.
func (c *comparer) regionOf(n *latex.Node) (r region, name string, ok bool) {
	if !c.judge.Spend(equalCost) {
		return nil, "", false
	}
	switch n.Kind {
	case latex.Tuple:
		s, ok := c.spanOf(n)
		if !ok {
			return nil, "", false
		}
		return c.merged([]span{s}), "", true
	case latex.Set:
		return c.pointsOf(c.membersOf(n))
	case latex.NamedSet:
		if n.Name == "R" {
			return everything, "", true
		}
		return nil, "", n.Name == "empty"
	case latex.SetOp:
		return c.operation(n)
	case latex.Rel:
		return c.solved(n)
	case latex.List:
		if conditions(n) {
			return c.conditionsOf(n)
		}
		return nil, "", false
	}
	return c.pointsOf(c.membersOf(n))
}

func (c *comparer) spanOf(n *latex.Node) (span, bool) {
	if len(n.Args) != 2 || n.Open == '<' {
		return span{}, false
	}
	lo, ok := c.boundOf(n.Args[0])
	hi, ok2 := c.boundOf(n.Args[1])
	s := span{lo: lo, hi: hi, loIn: n.Open == '[' && lo.inf == 0, hiIn: n.Close == ']' && hi.inf == 0}
	if !ok || !ok2 || c.order(lo, hi) > 0 {
		return span{}, false
	}
	return s, true
}

func (c *comparer) boundOf(n *latex.Node) (bound, bool) {
	if inf := infinity(n); inf != 0 {
		return bound{inf: inf}, true
	}
	v, err := c.judge.Value(n)
	return bound{value: v}, err == nil && v.IsReal()
}

// pointsOf is a finite set of numbers.
func (c *comparer) pointsOf(members []*latex.Node) (region, string, bool) {
	var spans []span
	for _, m := range members {
		b, ok := c.boundOf(m)
		if !ok || b.inf != 0 {
			return nil, "", false
		}
		spans = append(spans, span{lo: b, hi: b, loIn: true, hiIn: true})
	}
	return c.merged(spans), "", true
}

func (c *comparer) operation(n *latex.Node) (region, string, bool) {
	if n.Name == "cup" {
		return c.unionOf(operands(n, "cup"))
	}
	x, _, ok := c.regionOf(n.Args[0])
	y, _, ok2 := c.regionOf(n.Args[1])
	if !ok || !ok2 {
		return nil, "", false
	}
	if n.Name == "setminus" {
		y = c.complement(y)
	}
	return c.intersection(x, y), "", true
}

func (c *comparer) unionOf(parts []*latex.Node) (region, string, bool) {
	var spans []span
	for _, n := range parts {
		r, _, ok := c.regionOf(n)
		if !ok {
			return nil, "", false
		}
		spans = append(spans, r...)
	}
	return c.merged(spans), "", true
}

// solved is the set of solutions of a chain of linear inequalities in one variable.
func (c *comparer) solved(n *latex.Node) (region, string, bool) {
	names := algebra.Variables(n)
	if len(n.Ops) == 1 && n.Ops[0] == "in" {
		r, _, ok := c.regionOf(n.Args[1])
		return r, algebra.Key(n.Args[0]), ok
	}
	if len(names) != 1 {
		return nil, "", false
	}
	result := everything
	for i, op := range n.Ops {
		r, ok := c.solvedLink(n.Args[i], op, n.Args[i+1], names[0])
		if !ok {
			return nil, "", false
		}
		result = c.intersection(result, r)
	}
	return result, names[0], true
}

// solvedLink solves left op right for x.
func (c *comparer) solvedLink(left *latex.Node, op string, right *latex.Node, x string) (region, bool) {
	if infinity(right) > 0 && op == "<" || infinity(left) < 0 && op == "<" {
		return everything, true
	}
	k, rest, ok := c.judge.Linear(minus(left, right), x)
	if !ok {
		return nil, false
	}
	value, err := c.judge.Solve(k, rest)
	if err != nil {
		return nil, false
	}
	if k.Sign() < 0 {
		op = mirrored[op]
	}
	at, in := bound{value: value}, op == "<=" || op == ">="
	point := span{lo: at, hi: at, loIn: true, hiIn: true}
	switch op {
	case "<", "<=":
		return region{{lo: bound{inf: -1}, hi: at, hiIn: in}}, true
	case ">", ">=":
		return region{{lo: at, loIn: in, hi: bound{inf: 1}}}, true
	case "=":
		return region{point}, true
	case "!=":
		return c.complement(region{point}), true
	}
	return nil, false
}

// conditionsOf joins the inequalities of a list: all must hold if that is possible and "or" does not say otherwise.
func (c *comparer) conditionsOf(n *latex.Node) (r region, name string, ok bool) {
	all := everything
	var some []span
	for _, a := range n.Args {
		s, own, ok := c.regionOf(a)
		if !ok || own == "" || name != "" && own != name {
			return nil, "", false
		}
		name = own
		all = c.intersection(all, s)
		some = append(some, s...)
	}
	if n.Name == "or" || len(all) == 0 {
		return c.merged(some), name, true
	}
	return all, name, true
}
