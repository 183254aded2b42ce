package latex

import (
	"strconv"
	"strings"
)

// postfix reads what stands behind a value and belongs to it.
func (p *parser) postfix(left *Node) *Node {
	t := p.next()
	switch {
	case t.kind == textToken:
		return p.unit(left, t.text)
	case t.kind == currencyToken:
		return &Node{Kind: Unit, Name: t.text, Known: true, Args: []*Node{left}}
	}
	switch t.text {
	case "^":
		return p.raised(left)
	case "_":
		return p.subscript(left)
	case "!":
		return named(Func, "factorial", left)
	case "%":
		return node(Percent, left)
	case "deg", "circ":
		return p.degrees(left)
	case "pmod":
		return &Node{Kind: Unit, Name: "mod " + p.subscriptText(), Known: true, Args: []*Node{left}}
	case "'":
		if left.Kind == Sym {
			return named(Sym, left.Name+"'")
		}
	}
	return p.fail("%q is not expected", t.text)
}

// raised is a power, a degree sign, a prime, or the exponent of a unit.
func (p *parser) raised(left *Node) *Node {
	if p.degreeSign() {
		return p.degrees(left)
	}
	if p.peek().is("'") && left.Kind == Sym {
		return p.postfix(left)
	}
	exponent := p.exponent()
	if left.Kind == Unit && exponent.Kind == Num && exponent.Rat.IsInt() {
		return &Node{Kind: Unit, Name: left.Name + "^" + exponent.Rat.RatString(), Known: left.Known, Args: left.Args}
	}
	if left.Kind == Sym && p.peek().is("_") {
		p.at++
		left = p.subscript(left)
	}
	return node(Pow, left, exponent)
}

// degreeSign reads \circ or {\circ}.
func (p *parser) degreeSign() bool {
	sign := func(t token) bool { return t.is("circ") || t.is("deg") }
	switch {
	case sign(p.peek()):
		p.at++
	case p.peek().is("{") && sign(p.ahead(1)) && p.ahead(2).is("}"):
		p.at += 3
	default:
		return false
	}
	return true
}

// degrees of angle, or of temperature with its letter.
func (p *parser) degrees(left *Node) *Node {
	if t := p.peek(); t.kind == letterToken && (t.text == "C" || t.text == "F") || t.kind == textToken && (t.text == "C" || t.text == "F") {
		p.at++
	}
	return node(Degree, left)
}

// exponent reads what a ^ raises to: a group, or a sign and one operand without products.
func (p *parser) exponent() *Node {
	switch t := p.peek(); {
	case t.is("-"):
		p.at++
		return node(Neg, p.exponent())
	case t.is("+"):
		p.at++
		return p.exponent()
	case t.kind == endToken:
		return p.fail("an exponent is missing")
	}
	if p.depth++; p.depth > MaxDepth {
		return p.overLimit()
	}
	defer func() { p.depth-- }()
	n := p.operand(postfixPower)
	for p.peek().is("!") || p.peek().is("^") && n.Kind != Set {
		n = p.postfix(n) // 2^3^2 is 2^(3^2)
	}
	return n
}

// argument reads the argument of \frac and its like: a group, one digit, or one operand.
func (p *parser) argument() *Node {
	t := p.peek()
	if t.kind == numberToken && len(t.text) > 1 && isDigit(t.text[0]) {
		p.tokens = append(p.tokens[:p.at:p.at], append([]token{{numberToken, t.text[:1], t.space}, {numberToken, t.text[1:], false}}, p.tokens[p.at+1:]...)...)
		p.at++
		return p.digit(t.text[:1])
	}
	if t.kind == numberToken {
		p.at++
		return p.digit(t.text)
	}
	if p.depth++; p.depth > MaxDepth {
		return p.overLimit()
	}
	defer func() { p.depth-- }()
	return p.operand(postfixPower)
}

// digit is a number without what may stand behind it.
func (p *parser) digit(text string) *Node {
	rest := p.tokens
	at := p.at
	p.tokens, p.at = []token{{kind: endToken}}, 0
	n := p.number(text)
	if p.err == nil {
		p.tokens, p.at = rest, at
	}
	return n
}

// subscript is part of a symbol's name, or the base of digits.
func (p *parser) subscript(left *Node) *Node {
	text := p.subscriptText()
	switch {
	case left.Kind == Sym:
		return named(Sym, left.Name+"_"+text)
	case left.Kind == Const && (left.Name == "e" || left.Name == "i"):
		return named(Sym, left.Name+"_"+text)
	case left.Kind == Num && !left.Rat.IsInt() && !left.Decimal:
		return p.fail("a subscript behind a fraction")
	case left.Kind == Num || left.Kind == Text:
		if base, ok := baseOf(text); ok {
			return p.based(left, base)
		}
	}
	return p.fail("a subscript is not expected here")
}

// subscriptText is the subscript as text.
func (p *parser) subscriptText() string {
	if !p.peek().is("{") {
		return p.next().text
	}
	p.at++
	start, depth := p.at, 1
	for {
		switch t := p.next(); {
		case t.kind == endToken:
			p.fail("a brace is not closed")
			return ""
		case t.is("{"):
			depth++
		case t.is("}"):
			if depth--; depth == 0 {
				return join(p.tokens[start : p.at-1])
			}
		}
	}
}

var baseWords = map[string]int{"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12, "sixteen": 16}

func baseOf(text string) (int, bool) {
	if base, ok := baseWords[strings.ToLower(text)]; ok {
		return base, true
	}
	base, err := strconv.Atoi(text)
	return base, err == nil && 2 <= base && base <= 36
}

// based are the digits of a number, which the token before the subscript has in writing, in a base.
func (p *parser) based(left *Node, base int) *Node {
	digits := left.Name
	if left.Kind == Num {
		digits = p.writtenDigits(left)
	}
	digits = strings.ToUpper(strings.TrimSpace(digits))
	for i := range len(digits) {
		d := strings.IndexByte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", digits[i])
		if digits[i] != '.' && (d < 0 || d >= base) {
			return p.fail("the digit %q in base %d", digits[i], base)
		}
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	digits = strings.TrimLeft(whole, "0")
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		digits += "." + fraction
	}
	return &Node{Kind: BaseNum, Name: digits, Cols: base}
}

// writtenDigits is the decimal form of a number, which is how the digits were written.
func (p *parser) writtenDigits(n *Node) string {
	if n.Rat.IsInt() {
		return n.Rat.Num().String()
	}
	return n.Rat.FloatString(max(n.Places, 0))
}

// unit is a value with words behind it. Words that are no unit are kept, as unknown: they may take the value back.
func (p *parser) unit(left *Node, words string) *Node {
	if left.Kind == Text {
		return named(Text, left.Name+" "+words)
	}
	for p.peek().kind == textToken {
		words += " " + p.next().text
	}
	lower := strings.ToLower(strings.TrimRight(words, "."))
	switch {
	case percentWords[lower] != "":
		return node(Percent, left)
	case degreeWords[lower] != "":
		return node(Degree, left)
	}
	name, known := unitName(words)
	if left.Kind == Unit {
		return &Node{Kind: Unit, Name: left.Name + " " + name, Known: known && left.Known, Args: left.Args}
	}
	return &Node{Kind: Unit, Name: name, Known: known, Args: []*Node{left}}
}
