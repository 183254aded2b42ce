package chat

import (
	"fmt"
	"slices"
	"strconv"
)

// expression reads `a if test else b` and all that binds tighter.
func (p *parser) expression() (expression, error) {
	if p.depth++; p.depth > maxParseDepth {
		return nil, errTooDeep
	}
	defer func() { p.depth-- }()
	e, err := p.or()
	for err == nil && p.accept(name, "if") {
		var test expression
		if test, err = p.or(); err != nil {
			break
		}
		var other expression = constant{undefined{"the value of an if without else"}}
		if p.accept(name, "else") {
			other, err = p.expression()
		}
		e = &ternary{test, e, other}
	}
	return e, err
}

func (p *parser) or() (expression, error) {
	return p.chain(p.and, func(a, b expression) expression { return &logic{a, b, true} }, name, "or")
}

func (p *parser) and() (expression, error) {
	return p.chain(p.not, func(a, b expression) expression { return &logic{a, b, false} }, name, "and")
}

// chain reads operands with left-associative operators between them. Its operands nest to the left without recursion in the
// parser, so their number is bounded too: evaluation recurses.
func (p *parser) chain(operand func() (expression, error), join func(a, b expression) expression, k kind, op string) (expression, error) {
	e, err := operand()
	for n := 0; err == nil && p.accept(k, op); n++ {
		if n > maxParseDepth {
			return nil, errTooDeep
		}
		var right expression
		if right, err = operand(); err == nil {
			e = join(e, right)
		}
	}
	return e, err
}

func (p *parser) not() (expression, error) {
	negate := 0
	for p.accept(name, "not") {
		negate++
	}
	e, err := p.compare()
	if negate > 0 {
		e = &not{e}
	}
	if negate > 1 && negate%2 == 0 {
		e = &not{e}
	}
	return e, err
}

func (p *parser) compare() (expression, error) {
	first, err := p.arithmetic(0)
	c := &comparison{first: first}
	for err == nil {
		op := p.comparison()
		if op == "" {
			break
		}
		var right expression
		right, err = p.arithmetic(0)
		c.ops, c.rest = append(c.ops, op), append(c.rest, right)
	}
	if len(c.ops) == 0 {
		return first, err
	}
	return c, err
}

// comparison takes a comparison operator, or nothing.
func (p *parser) comparison() string {
	t := p.peek()
	switch {
	case t.kind == operator && slices.Contains([]string{"==", "!=", "<", ">", "<=", ">="}, t.text), t.kind == name && t.text == "in":
		p.pos++
		return t.text
	case t.kind == name && t.text == "not" && p.tokens[p.pos+1].kind == name && p.tokens[p.pos+1].text == "in":
		p.pos += 2
		return "not in"
	}
	return ""
}

// precedence of the arithmetic operators, loosest first.
var precedence = [][]string{{"+", "-"}, {"~"}, {"*", "/", "//", "%"}}

func (p *parser) arithmetic(level int) (expression, error) {
	if level == len(precedence) {
		return p.unary(true)
	}
	e, err := p.arithmetic(level + 1)
	for n := 0; err == nil && p.peek().kind == operator && slices.Contains(precedence[level], p.peek().text); n++ {
		if n > maxParseDepth {
			return nil, errTooDeep
		}
		op := p.take().text
		var right expression
		if right, err = p.arithmetic(level + 1); err == nil {
			e = &binary{op, e, right}
		}
	}
	return e, err
}

// unary reads a sign, a primary and what is attached to it; filters and tests bind looser than a sign.
func (p *parser) unary(filters bool) (e expression, err error) {
	if p.depth++; p.depth > maxParseDepth {
		return nil, errTooDeep
	}
	defer func() { p.depth-- }()
	switch {
	case p.accept(operator, "-"):
		if e, err = p.unary(false); err == nil {
			e = &negative{e}
		}
	case p.accept(operator, "+"):
		e, err = p.unary(false)
	default:
		e, err = p.primary()
	}
	return p.attached(e, err, filters)
}

// attached reads .name, [index], (arguments), and with filters |name and `is name` too.
func (p *parser) attached(e expression, err error, filters bool) (expression, error) {
	for n := 0; err == nil; n++ {
		if n > maxParseDepth {
			return nil, errTooDeep
		}
		switch {
		case p.accept(operator, "."):
			e, err = p.attribute(e)
		case p.accept(operator, "["):
			e, err = p.subscript(e)
		case p.accept(operator, "("):
			c := &call{on: e}
			c.arguments, err = p.callArguments()
			e = c
		case filters && p.accept(operator, "|"):
			e, err = p.filter(e)
		case filters && p.accept(name, "is"):
			e, err = p.test(e)
		default:
			return e, nil
		}
	}
	return nil, err
}

func (p *parser) attribute(of expression) (expression, error) {
	switch t := p.take(); t.kind {
	case name:
		return &attribute{of, t.text}, nil
	case integer:
		return &index{of, integerConstant(t.text)}, nil
	default:
		return nil, fmt.Errorf("got %s after a dot; want a name", t)
	}
}

func integerConstant(digits string) expression {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return &failing{fmt.Errorf("the number %.30s is too large", digits)}
	}
	return constant{n}
}

// subscript reads `[i]` or `[a:b:c]`.
func (p *parser) subscript(of expression) (expression, error) {
	s := &slice{of: of}
	bounds := []*expression{&s.from, &s.to, &s.step}
	colons := 0
	for !p.accept(operator, "]") {
		if p.accept(operator, ":") {
			if colons++; colons > 2 {
				return nil, fmt.Errorf("a slice has at most two colons")
			}
			continue
		}
		if *bounds[colons] != nil {
			return nil, fmt.Errorf("got %s; want ]", p.peek())
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		*bounds[colons] = e
	}
	if colons > 0 {
		return s, nil
	}
	if s.from == nil {
		return nil, fmt.Errorf("[] without an index")
	}
	return &index{of, s.from}, nil
}

// callArguments reads up to the closing bracket.
func (p *parser) callArguments() (a argumentList, err error) {
	for !p.accept(operator, ")") {
		if len(a.positional)+len(a.named) > 0 {
			if err := p.expect(operator, ","); err != nil {
				return a, err
			}
			if p.accept(operator, ")") {
				return a, nil
			}
		}
		key := ""
		if t := p.peek(); t.kind == name && p.tokens[p.pos+1].kind == operator && p.tokens[p.pos+1].text == "=" {
			key = t.text
			p.pos += 2
		}
		e, err := p.expression()
		switch {
		case err != nil:
			return a, err
		case key != "":
			a.named = append(a.named, namedExpression{key, e})
		case len(a.named) > 0:
			return a, fmt.Errorf("an argument without a name follows one with a name")
		default:
			a.positional = append(a.positional, e)
		}
	}
	return a, nil
}

func (p *parser) filter(of expression) (expression, error) {
	t := p.take()
	if t.kind != name || filters[t.text] == nil && p.ifs == 0 {
		return nil, fmt.Errorf("unknown filter %s", t)
	}
	f := &filtered{on: of, name: t.text}
	var err error
	if p.accept(operator, "(") {
		f.arguments, err = p.callArguments()
	}
	return f, err
}

// test reads what follows `is`. A test without brackets takes one primary as its argument.
func (p *parser) test(of expression) (expression, error) {
	negated := p.accept(name, "not")
	t := p.take()
	if tests[t.text] == nil && p.ifs == 0 || t.kind != name && t.kind != operator {
		return nil, fmt.Errorf("unknown test %s", t)
	}
	e := &tested{on: of, name: t.text, negated: negated}
	var err error
	switch next := p.peek(); {
	case p.accept(operator, "("):
		e.arguments, err = p.callArguments()
	case next.kind == quoted, next.kind == integer, next.kind == float, next.kind == operator && (next.text == "[" || next.text == "{"),
		next.kind == name && !slices.Contains([]string{"else", "or", "and", "is", "if", "in", "not", "recursive"}, next.text):
		var argument expression
		argument, err = p.primary()
		argument, err = p.attached(argument, err, false)
		e.arguments.positional = []expression{argument}
	case p.is(name, "is"):
		return nil, fmt.Errorf("a test of a test: only brackets make one")
	}
	return e, err
}

// primary reads a literal, a name or brackets.
func (p *parser) primary() (expression, error) {
	switch t := p.take(); t.kind {
	case name:
		return p.nameOrConstant(t.text)
	case integer:
		return integerConstant(t.text), nil
	case float:
		f, err := strconv.ParseFloat(t.text, 64)
		return constant{f}, err
	case quoted:
		s := t.text
		for p.peek().kind == quoted {
			s += p.take().text
		}
		return constant{literal(s)}, nil
	case operator:
		switch t.text {
		case "(":
			return p.parenthesised()
		case "[":
			items, _, err := p.items("]")
			return &listOf{items}, err
		case "{":
			return p.mapping()
		}
		return nil, fmt.Errorf("unexpected %s", t)
	default:
		return nil, fmt.Errorf("unexpected %s; want an expression", t)
	}
}

func (p *parser) nameOrConstant(word string) (expression, error) {
	switch word {
	case "true", "True":
		return constant{true}, nil
	case "false", "False":
		return constant{false}, nil
	case "none", "None":
		return constant{nil}, nil
	case "and", "or", "not", "in", "is", "if", "else":
		return nil, fmt.Errorf("unexpected %s; want an expression", word)
	case "varargs", "kwargs", "caller":
		if p.macro != nil && !p.macro.has(word) {
			return nil, fmt.Errorf("%s in a macro is not supported in chat templates", word)
		}
	}
	return &variable{word}, nil
}

// parenthesised reads (e) or a tuple, which is a list here.
func (p *parser) parenthesised() (expression, error) {
	items, commas, err := p.items(")")
	if err == nil && len(items) == 1 && commas == 0 {
		return items[0], nil
	}
	return &listOf{items}, err
}

// items reads expressions with commas between them, up to the closing bracket.
func (p *parser) items(closing string) (items []expression, commas int, err error) {
	for !p.accept(operator, closing) {
		if len(items) > 0 {
			if err := p.expect(operator, ","); err != nil {
				return nil, 0, err
			}
			if commas++; p.accept(operator, closing) {
				break
			}
		}
		e, err := p.expression()
		if err != nil {
			return nil, 0, err
		}
		items = append(items, e)
	}
	return items, commas, nil
}

func (p *parser) mapping() (expression, error) {
	d := &mappingOf{}
	for !p.accept(operator, "}") {
		if len(d.keys) > 0 {
			if err := p.expect(operator, ","); err != nil {
				return nil, err
			}
			if p.accept(operator, "}") {
				break
			}
		}
		key, err := p.expression()
		if err == nil {
			err = p.expect(operator, ":")
		}
		if err != nil {
			return nil, err
		}
		v, err := p.expression()
		if err != nil {
			return nil, err
		}
		d.keys, d.values = append(d.keys, key), append(d.values, v)
	}
	return d, nil
}
