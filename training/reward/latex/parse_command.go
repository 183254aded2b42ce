package latex

// command reads the arguments of \frac, \sqrt, \binom, \sum and their like.
func (p *parser) command(name string) *Node {
	switch name {
	case "frac":
		top := p.argument()
		return node(Div, top, p.argument())
	case "sqrt":
		return p.root()
	case "binom":
		top := p.argument()
		return named(Func, "binom", top, p.argument())
	case "sum", "prod":
		return p.series(name)
	}
	return p.opaque(name)
}

// root is \sqrt with an optional degree.
func (p *parser) root() *Node {
	degree := Integer(2)
	if p.peek().is("[") {
		p.at++
		degree = p.expression(0)
		p.expect("]")
	}
	return node(Root, p.radicand(), degree)
}

// radicand: unlike \frac, \sqrt takes a whole number without braces, because that is what models mean by \sqrt12.
func (p *parser) radicand() *Node {
	if t := p.peek(); t.kind == numberToken {
		p.at++
		return p.digit(t.text)
	}
	return p.argument()
}

// series is \sum or \prod with its bounds in any order.
func (p *parser) series(name string) *Node {
	var from, to *Node
	for range 2 {
		switch t := p.peek(); {
		case t.is("_"):
			p.at++
			from = p.argument()
		case t.is("^"):
			p.at++
			to = p.exponent()
		}
	}
	if from == nil || to == nil || from.Kind != Rel || len(from.Ops) != 1 || from.Ops[0] != "=" {
		return p.fail("a %s without bounds", name)
	}
	variable := from.Args[0]
	if variable.Is(Const, "i") {
		variable = named(Sym, "i")
	}
	if variable.Kind != Sym {
		return p.fail("a %s over something that is no variable", name)
	}
	return named(Big, name, variable, from.Args[1], to, p.expression(minusPower))
}

// opaque takes a limit or an integral up to the next relation or separator. Its value is not computed.
func (p *parser) opaque(name string) *Node {
	start, depth := p.at, 0
	for {
		t := p.peek()
		if t.kind == endToken || depth == 0 && (t.kind == relationToken || t.separates() || t.is(";")) {
			break
		}
		switch {
		case t.is("("), t.is("["), t.is("{"):
			depth++
		case t.is(")"), t.is("]"), t.is("}"):
			if depth--; depth < 0 {
				return p.fail("a bracket closes a %s", name)
			}
		}
		p.at++
	}
	return named(Opaque, name+join(p.tokens[start:p.at]))
}

// inverse are the functions that ^{-1} makes.
var inverse = names(``, `sin=arcsin cos=arccos tan=arctan sec=arcsec csc=arccsc cot=arccot sinh=arcsinh cosh=arccosh tanh=arctanh`)

// function reads an exponent, a base and the argument of a named function.
func (p *parser) function(name string) *Node {
	if name == "sqrt" {
		return p.root()
	}
	if name == "cbrt" {
		return node(Root, p.radicand(), Integer(3))
	}
	var exponent, base *Node
	for range 2 {
		switch t := p.peek(); {
		case t.is("^") && exponent == nil:
			p.at++
			exponent = p.exponent()
		case t.is("_") && base == nil:
			p.at++
			base = p.argument()
		}
	}
	args := p.functionArguments()
	if base != nil && name == "log" {
		args = append(args[:1:1], base)
	}
	if exponent == nil {
		return named(Func, name, args...)
	}
	if inverse[name] != "" && exponent.Kind == Neg && exponent.Args[0].Kind == Num && exponent.Args[0].Rat.IsInt() && exponent.Args[0].Rat.Num().IsInt64() &&
		exponent.Args[0].Rat.Num().Int64() == 1 {
		return named(Func, inverse[name], args...)
	}
	return node(Pow, named(Func, name, args...), exponent)
}

// functionArguments are what brackets or braces enclose, or the product of simple factors that follows.
func (p *parser) functionArguments() []*Node {
	switch t := p.peek(); {
	case t.is("("), t.is("["):
		p.at++
		return members(p.bracket(t.text[0]))
	case t.is(`\{`):
		p.at++
		return members(p.set())
	case t.is("{"):
		p.at++
		return members(p.group())
	}
	arg := p.factor()
	for p.err == nil && p.continues() {
		arg = product(arg, p.factor())
	}
	return []*Node{arg}
}

// factor is one operand with its powers and signs behind it.
func (p *parser) factor() *Node {
	if p.peek().is("-") {
		p.at++
		return node(Neg, p.factor())
	}
	if p.depth++; p.depth > MaxDepth {
		return p.overLimit()
	}
	defer func() { p.depth-- }()
	n := p.operand(postfixPower)
	for p.err == nil && p.peek().kind == opToken && powers[p.peek().text] == postfixPower {
		n = p.postfix(n)
	}
	return n
}

// continues says that the argument of a function without brackets goes on: sin 2 pi x.
func (p *parser) continues() bool {
	switch t := p.peek(); t.kind {
	case letterToken, constantToken:
		return true
	case commandToken:
		return t.text == "frac" || t.text == "sqrt"
	case numberToken:
		return false
	}
	return false
}

// environment reads a matrix, or the rows of cases.
func (p *parser) environment(name string) *Node {
	if p.depth++; p.depth > MaxDepth {
		return p.overLimit()
	}
	defer func() { p.depth-- }()
	m := &Node{Kind: Matrix}
	width := 0
	for p.err == nil && p.peek().kind != closeToken {
		m.Args = append(m.Args, p.expression(0))
		width++
		t := p.next()
		if t.is("&") {
			continue
		}
		if m.Cols == 0 {
			m.Cols = width
		}
		if width != m.Cols {
			return p.fail("a row of another length")
		}
		width = 0
		if t.kind == closeToken {
			p.at--
		} else if !t.is(`\\`) {
			return p.fail("%q in a matrix", t.text)
		}
	}
	if end := p.next(); p.err == nil && (end.text != name || m.Cols == 0) {
		return p.fail("an environment that does not end")
	}
	return shaped(name, m)
}

// shaped gives the rows of an environment the meaning of its name.
func shaped(name string, m *Node) *Node {
	switch name {
	case "vmatrix":
		m.Name = "det"
	case "cases", "aligned", "align", "gathered":
		if m.Cols == 1 {
			return named(List, ",", m.Args...)
		}
	}
	return m
}
