package reward

import "astro/training/reward/latex"

// kindNames are the types of golds that their outermost node tells.
var kindNames = map[latex.Kind]string{
	latex.List: "list", latex.Set: "set", latex.PlusMinus: "list", latex.SetOp: "set_expression", latex.NamedSet: "set_expression", latex.Matrix: "matrix",
	latex.BaseNum: "base", latex.Ratio: "ratio", latex.Text: "text", latex.Percent: "percent", latex.Degree: "degrees", latex.Unit: "unit",
}

// goldType names what a known answer is, for statistics.
func goldType(g side) string {
	if len(g.readings) == 0 {
		return "unreadable"
	}
	n := g.readings[0]
	if name := kindNames[n.Kind]; name != "" {
		return name
	}
	switch n.Kind {
	case latex.Tuple:
		if len(n.Args) == 2 && (n.Open == '[' || n.Close == ']' || infinity(n.Args[0]) != 0 || infinity(n.Args[1]) != 0) {
			return "interval"
		}
		return "tuple"
	case latex.Rel:
		if inequality(n) {
			return "inequality"
		}
		return "equation"
	case latex.Sym:
		return "symbol"
	case latex.Num:
		if n.Decimal {
			return "decimal"
		}
		return "integer"
	}
	return expressionType(n)
}

// expressionType tells fractions, constants and expressions with variables apart.
func expressionType(n *latex.Node) string {
	constant, rational := true, true
	n.Walk(func(m *latex.Node) bool {
		switch m.Kind {
		case latex.Sym, latex.Apply:
			constant = false
		case latex.Num, latex.Neg, latex.Div, latex.Add:
		default:
			rational = false
		}
		return true
	})
	switch {
	case !constant:
		return "expression"
	case n.Kind == latex.Neg && n.Args[0].Kind == latex.Num:
		return "integer"
	case rational:
		return "fraction"
	}
	return "constant"
}
