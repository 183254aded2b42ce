package reward

import (
	"strings"

	"astro/training/reward/algebra"
	"astro/training/reward/latex"
)

// unnamed takes apart what an answer is called and what it is: x = 5, f(x) = 2x, (x,y) = (1,2), x in [0,1], n = 1, 2, 3. A chain
// gives its last exact member: x = 2+3 = 5; one without a name must be true: 2+3 = 5. The name is "" when there is none.
func (c *comparer) unnamed(n *latex.Node) (name string, value *latex.Node) {
	switch n.Kind {
	case latex.Rel:
		return c.unnamedChain(n)
	case latex.List, latex.Set:
		return c.unnamedList(n)
	case latex.PlusMinus:
		if left := n.Args[0]; len(n.Args) == 2 && left.Kind == latex.Rel {
			return "", n
		}
	}
	return "", n
}

func (c *comparer) unnamedChain(n *latex.Node) (string, *latex.Node) {
	if len(n.Ops) == 1 && n.Ops[0] == "in" && nameable(n.Args[0]) {
		return algebra.Key(n.Args[0]), n.Args[1]
	}
	end := 0
	for end < len(n.Ops) && n.Ops[end] == "=" {
		end++
	}
	if end < len(n.Ops) && n.Ops[end] != "~" {
		return "", n
	}
	switch {
	case nameable(n.Args[0]):
		return algebra.Key(n.Args[0]), n.Args[max(end, 1)]
	case c.holds(n.Args[:end+1]):
		return "", n.Args[end]
	}
	return "", n
}

// nameable says that a formula can be the name of a value: a symbol, f(x), (x,y), words, a segment AB, a quotient of those.
func nameable(n *latex.Node) bool {
	switch n.Kind {
	case latex.Sym, latex.Text:
		return true
	case latex.Apply:
		return true
	case latex.Tuple:
		for _, a := range n.Args {
			if a.Kind != latex.Sym {
				return false
			}
		}
		return true
	case latex.Mul:
		for _, a := range n.Args {
			if a.Kind != latex.Sym || len(a.Name) != 1 || a.Name[0] < 'A' || a.Name[0] > 'Z' {
				return false
			}
		}
		return true
	case latex.Div, latex.Ratio:
		return nameable(n.Args[0]) && nameable(n.Args[1])
	}
	return false
}

// holds says that all links of a chain have the same constant value. Limits and integrals are not computed; they pass.
func (c *comparer) holds(links []*latex.Node) bool {
	last := quantityOf(links[len(links)-1]).node
	if last.Kind == latex.Opaque {
		return false
	}
	for _, n := range links[:len(links)-1] {
		if n.Kind == latex.Opaque {
			continue
		}
		if !c.judge.Spend(equalCost) || len(algebra.Variables(n)) > 0 || c.quantities(quantityOf(n), quantityOf(links[len(links)-1])) == "" {
			return false
		}
	}
	return true
}

// unnamedList: when all members of a list have the same name, or only the first has one, the list has that name.
func (c *comparer) unnamedList(n *latex.Node) (string, *latex.Node) {
	first := ""
	values := make([]*latex.Node, len(n.Args))
	for i, a := range n.Args {
		name, value := "", a
		if a.Kind == latex.Rel {
			name, value = c.unnamedChain(a)
		}
		switch {
		case i == 0 && name == "":
			return "", n
		case i == 0:
			first = name
		case name != first && name != "" || value.Kind == latex.Rel:
			return "", n
		}
		values[i] = value
	}
	if len(values) == 0 {
		return "", n
	}
	return first, &latex.Node{Kind: n.Kind, Name: n.Name, Args: values}
}

// equations compares L = R with L' = R': the differences are proportional.
func (c *comparer) equations(g, a *latex.Node) Rule {
	x, y := difference(g), difference(a)
	if x == nil || y == nil {
		return ""
	}
	if _, ok := c.judge.Proportional(x, y); ok {
		return RuleEquation
	}
	return ""
}

// difference is L - R of an equation, nil for anything else.
func difference(n *latex.Node) *latex.Node {
	if n.Kind != latex.Rel || len(n.Ops) != 1 || n.Ops[0] != "=" {
		return nil
	}
	return minus(n.Args[0], n.Args[1])
}

func minus(left, right *latex.Node) *latex.Node {
	return &latex.Node{Kind: latex.Add, Args: []*latex.Node{left, {Kind: latex.Neg, Args: []*latex.Node{right}}}}
}

// relations compares when at least one side is an equation or inequality.
func (c *comparer) relations(g, a *latex.Node) Rule {
	switch {
	case approximate(g) != nil:
		if rule := c.plain(g.Args[0], a); rule != "" {
			return rule
		}
		return c.plain(approximate(g), a)
	case g.Kind == latex.Rel && a.Kind == latex.Rel:
		if rule := c.equations(g, a); rule != "" {
			return rule
		}
		if rule := c.inequalities(g, a); rule != "" {
			return rule
		}
		return c.regions(g, a)
	case g.Kind == latex.Rel && inequality(g):
		return c.regions(g, a)
	case a.Kind == latex.Rel && (c.o.SolvedInequality && inequality(a) || a.Ops[0] == "!=" && len(a.Ops) == 1):
		return c.regions(g, a)
	}
	return ""
}

// approximate is the rounded value of a known answer that gives both, nil otherwise.
func approximate(g *latex.Node) *latex.Node {
	if g.Kind == latex.Rel && len(g.Ops) == 1 && g.Ops[0] == "~" {
		return g.Args[1]
	}
	return nil
}

func inequality(n *latex.Node) bool {
	return n.Kind == latex.Rel && strings.ContainsAny(strings.Join(n.Ops, ""), "<>!")
}

// mirrored is the sign of a relation read from right to left.
var mirrored = map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}

// inequalities compares two inequalities of one sign by their differences, longer chains link by link from either end.
func (c *comparer) inequalities(g, a *latex.Node) Rule {
	if len(g.Ops) != len(a.Ops) {
		return ""
	}
	if len(g.Ops) == 1 {
		return c.oneInequality(g, a)
	}
	last := len(a.Ops)
	forward, backward := true, true
	for i := range g.Ops {
		forward = forward && g.Ops[i] == a.Ops[i]
		backward = backward && g.Ops[i] == mirrored[a.Ops[last-1-i]]
	}
	for i := range g.Args {
		forward = forward && c.plain(g.Args[i], a.Args[i]) != ""
		backward = backward && c.plain(g.Args[i], a.Args[last-i]) != ""
	}
	if forward || backward {
		return RuleInequality
	}
	return ""
}

func (c *comparer) oneInequality(g, a *latex.Node) Rule {
	gLess, gSign := lessThanZero(g)
	aLess, aSign := lessThanZero(a)
	if gSign != aSign {
		return ""
	}
	sign, ok := c.judge.Proportional(gLess, aLess)
	if ok && (sign > 0 || sign < 0 && gSign == "!=") {
		return RuleInequality
	}
	return ""
}

// lessThanZero writes an inequality as d < 0, d <= 0 or d != 0.
func lessThanZero(n *latex.Node) (d *latex.Node, sign string) {
	left, right, sign := n.Args[0], n.Args[1], n.Ops[0]
	if strings.HasPrefix(sign, ">") {
		left, right, sign = right, left, mirrored[sign]
	}
	return minus(left, right), sign
}
