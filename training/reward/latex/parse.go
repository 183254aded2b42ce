package latex

import (
	"fmt"
	"strings"
)

// Reading chooses between the two readings of notation that has two. As a result of Parse it says which notation was met.
type Reading struct {
	SplitThousands bool // 1,234 is a list of two numbers, not one thousand and more
	TightSlash     bool // a/bc is a/(bc), not (a/b)c
}

// Parse reads a formula. The source has gone through Clean. Seen says which ambiguities the source has; the error wraps
// ErrOverLimit when a limit is the reason.
func Parse(src string, reading Reading) (root *Node, seen Reading, err error) {
	tokens, err := lex(src, reading, &seen)
	if err != nil {
		return nil, seen, err
	}
	p := &parser{tokens: tokens, reading: reading, seen: &seen}
	root = p.expression(0)
	if p.err == nil && p.peek().kind != endToken {
		p.fail("%q is not expected", p.peek().text)
	}
	if p.err != nil {
		return nil, seen, p.err
	}
	return root, seen, nil
}

// parser is a Pratt parser: an operator takes what binds stronger than its own power.
type parser struct {
	tokens  []token
	at      int
	depth   int
	bars    int // open |
	reading Reading
	seen    *Reading
	err     error
}

// Binding powers, weakest first.
const (
	semicolonPower = 2
	commaPower     = 4
	relationPower  = 6
	ratioPower     = 7
	setPower       = 8
	sumPower       = 10
	minusPower     = 11
	productPower   = 12
	tightPower     = 13 // a product without a sign, in the tight reading
	postfixPower   = 20
)

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) ahead(n int) token { return p.tokens[min(p.at+n, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != endToken {
		p.at++
	}
	return t
}

// fail keeps the first error and moves to the end, so that every loop ends.
func (p *parser) fail(format string, args ...any) *Node {
	if p.err == nil {
		p.err = fmt.Errorf("%w: "+format, append([]any{errUnknown}, args...)...)
	}
	p.at = len(p.tokens) - 1
	return &Node{Kind: Opaque}
}

func (p *parser) overLimit() *Node {
	if p.err == nil {
		p.err = ErrOverLimit
	}
	return p.fail("")
}

func (t token) is(op string) bool { return t.kind == opToken && t.text == op }

func (p *parser) expect(op string) {
	if !p.next().is(op) {
		p.fail("%s is missing", op)
	}
}

// expression reads an operand and every operator behind it that binds stronger than power.
func (p *parser) expression(power int) *Node {
	if p.depth++; p.depth > MaxDepth {
		return p.overLimit()
	}
	defer func() { p.depth-- }()
	left := p.operand(power)
	for p.err == nil {
		binds := p.power(left)
		if binds <= power {
			break
		}
		left = p.operator(left, binds)
	}
	return left
}

// power of the operator that stands here behind left; 0 = none.
func (p *parser) power(left *Node) int {
	t := p.peek()
	switch t.kind {
	case relationToken:
		return relationPower
	case textToken, currencyToken:
		return postfixPower
	case opToken:
		if power, ok := powers[t.text]; ok {
			return power
		}
	}
	if p.startsAtom() {
		if p.reading.TightSlash {
			return tightPower
		}
		return productPower
	}
	return 0
}

var powers = map[string]int{
	";": semicolonPower, ",": commaPower, "and": commaPower, "or": commaPower, ":": ratioPower, "cup": setPower, "cap": setPower,
	"setminus": setPower, "+": sumPower, "-": sumPower, "pm": sumPower, "mp": sumPower, "*": productPower, "/": productPower, "mod": productPower,
	"^": postfixPower, "_": postfixPower, "!": postfixPower, "%": postfixPower, "deg": postfixPower, "circ": postfixPower, "'": postfixPower,
	"pmod": postfixPower,
}

// startsAtom says that the token begins an operand, so that a product without a sign stands here.
func (p *parser) startsAtom() bool {
	t := p.peek()
	switch t.kind {
	case numberToken, letterToken, functionToken, constantToken, commandToken, markToken, beginToken, baseToken:
		return true
	case opToken:
		switch t.text {
		case "(", "[", "{", "lfloor", "lceil", "langle":
			return true
		case "|":
			return p.bars == 0
		}
	}
	return false
}

func (p *parser) operator(left *Node, binds int) *Node {
	t := p.peek()
	switch {
	case binds == relationPower:
		return p.relation(left)
	case binds == semicolonPower:
		return p.rows(left)
	case binds == commaPower:
		return p.list(left)
	case binds == postfixPower:
		return p.postfix(left)
	case t.kind != opToken || p.startsAtom():
		return p.juxtaposed(left, binds)
	}
	p.at++
	switch t.text {
	case "+":
		return sum(left, p.expression(sumPower))
	case "-":
		return sum(left, node(Neg, p.expression(sumPower)))
	case "pm", "mp":
		return named(PlusMinus, t.text, left, p.expression(sumPower))
	case "*":
		return product(left, p.expression(productPower))
	case "/":
		return p.quotient(left)
	case "mod":
		return named(Func, "mod", left, p.expression(productPower))
	case ":":
		return p.ratio(left)
	}
	return named(SetOp, t.text, left, p.expression(setPower))
}

// sum adds a term. The node of a sum grows in place: nobody else has it yet.
func sum(left, right *Node) *Node { return grown(Add, left, right) }

func product(left, right *Node) *Node { return grown(Mul, left, right) }

func grown(kind Kind, left, right *Node) *Node {
	if left.Kind == kind {
		left.Args = append(left.Args, right)
		return left
	}
	return node(kind, left, right)
}

func (p *parser) quotient(left *Node) *Node {
	right := p.expression(productPower)
	if p.err == nil && p.startsAtom() {
		p.seen.TightSlash = true
	}
	return node(Div, left, right)
}

func (p *parser) ratio(left *Node) *Node {
	args := []*Node{left, p.expression(ratioPower)}
	for p.err == nil && p.peek().is(":") {
		p.at++
		args = append(args, p.expression(ratioPower))
	}
	return node(Ratio, args...)
}

// relation reads a chain: a = b = c, 1 < x <= 2.
func (p *parser) relation(left *Node) *Node {
	n := node(Rel, left)
	for p.err == nil && p.peek().kind == relationToken {
		n.Ops = append(n.Ops, p.next().text)
		n.Args = append(n.Args, p.expression(relationPower))
	}
	return n
}

// separates says that the token stands between members of a list.
func (t token) separates() bool { return t.is(",") || t.is("and") || t.is("or") }

// list reads the members behind the first; signs and words between them may stand together: "2, 3, and 4".
func (p *parser) list(first *Node) *Node {
	n := named(List, ",", first)
	for p.err == nil && p.peek().separates() {
		for p.peek().separates() {
			if t := p.next(); t.text != "," {
				n.Name = t.text
			}
		}
		n.Args = append(n.Args, p.expression(commaPower))
	}
	return n
}

// rows reads what semicolons separate; a row of several members is a tuple.
func (p *parser) rows(first *Node) *Node {
	n := named(List, ";", row(first))
	for p.err == nil && p.peek().is(";") {
		p.at++
		n.Args = append(n.Args, row(p.expression(semicolonPower)))
	}
	return n
}

func row(n *Node) *Node {
	if n.Kind != List {
		return n
	}
	return &Node{Kind: Tuple, Args: n.Args, Open: '(', Close: ')'}
}

// juxtaposed is a product without a sign, or a mixed number.
func (p *parser) juxtaposed(left *Node, binds int) *Node {
	if left.Kind == Num && p.at > 0 && p.tokens[p.at-1].kind == numberToken {
		if mixed := p.mixed(left); mixed != nil {
			return mixed
		}
		if p.peek().kind == numberToken {
			return p.fail("two numbers stand side by side")
		}
	}
	if left.Kind == Text {
		return p.fail("a formula stands behind words")
	}
	return product(left, p.expression(binds))
}

// mixed reads the fraction of a mixed number: an integer directly before a proper fraction of two integers. It looks at the
// tokens first: reading any operand twice would make nested ones take exponential time.
func (p *parser) mixed(whole *Node) *Node {
	if whole.Decimal || !whole.Rat.IsInt() {
		return nil
	}
	start := p.at
	var fraction *Node
	switch t := p.peek(); {
	case t.kind == commandToken && t.text == "frac" && p.plainFraction():
		p.at++
		fraction = node(Div, p.argument(), p.argument())
	case t.kind == numberToken && p.ahead(1).is("/") && p.ahead(2).kind == numberToken && t.space:
		top := p.number(p.next().text)
		if p.err != nil {
			return nil
		}
		p.at++
		fraction = node(Div, top, p.number(p.next().text))
	default:
		return nil
	}
	if p.err == nil && proper(fraction) {
		return node(Add, whole, fraction)
	}
	if p.err == nil {
		p.at = start
	}
	return nil
}

// plainFraction says that the arguments of the \frac that stands here are two numbers.
func (p *parser) plainFraction() bool {
	n, numbers := 1, 0
	for numbers < 2 {
		switch t := p.ahead(n); {
		case t.kind == numberToken && len(t.text) > 1 && numbers == 0:
			return true // both digits in one token
		case t.kind == numberToken:
			n++
		case t.is("{") && p.ahead(n+1).kind == numberToken && p.ahead(n+2).is("}"):
			n += 3
		default:
			return false
		}
		numbers++
	}
	return true
}

func proper(n *Node) bool {
	top, bottom := n.Args[0], n.Args[1]
	return top.Kind == Num && bottom.Kind == Num && !top.Decimal && !bottom.Decimal && top.Rat.Sign() > 0 && top.Rat.Cmp(bottom.Rat) < 0
}

// Source is the text of the formula without spaces, fonts and other typography: equal sources mean the same. When it cannot
// be read, only its spaces are taken away.
func Source(src string) string {
	var seen Reading
	tokens, err := lex(src, Reading{}, &seen)
	if err != nil {
		return strings.Join(strings.Fields(src), " ")
	}
	return join(tokens)
}

// join writes tokens with one space between those that would otherwise run together.
func join(tokens []token) string {
	var b strings.Builder
	for i, t := range tokens {
		if i > 0 && (t.kind == tokens[i-1].kind || t.kind != opToken && tokens[i-1].kind != opToken) {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return strings.TrimSpace(b.String())
}
