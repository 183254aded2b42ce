package latex

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// operand reads what stands at the beginning of an expression; a sign takes what binds stronger than power.
func (p *parser) operand(power int) *Node {
	t := p.next()
	switch t.kind {
	case numberToken:
		return p.number(t.text)
	case letterToken:
		return p.letter(t.text)
	case constantToken:
		return named(Const, t.text)
	case functionToken:
		return p.function(t.text)
	case textToken:
		return p.text(t.text)
	case markToken:
		return named(Sym, t.text)
	case setToken:
		return named(NamedSet, t.text)
	case baseToken:
		return named(Text, t.text)
	case currencyToken:
		return p.currency(t.text, power)
	case commandToken:
		return p.command(t.text)
	case beginToken:
		return p.environment(t.text)
	case relationToken:
		if t.text == "=" || t.text == "~" {
			return p.expression(power)
		}
	case opToken:
		return p.opening(t.text, power)
	}
	return p.fail("%q is not expected", t.text)
}

func (p *parser) opening(op string, power int) *Node {
	switch op {
	case "-":
		return node(Neg, p.expression(max(power, minusPower)))
	case "+":
		return p.expression(max(power, minusPower))
	case "pm", "mp":
		return named(PlusMinus, op, p.expression(max(power, minusPower)))
	case "(", "[":
		return p.bracket(op[0])
	case "{":
		return p.group()
	case `\{`:
		return p.set()
	case "|":
		return p.bar()
	case "lfloor":
		return p.enclosed("floor", "rfloor")
	case "lceil":
		return p.enclosed("ceil", "rceil")
	case "langle":
		return p.angled()
	case "dots":
		return named(Const, "dots")
	}
	return p.fail("%q is not expected", op)
}

// number makes a number of a token; \overline{3} behind it repeats for ever.
func (p *parser) number(text string) *Node {
	mantissa, exponent, scientific := strings.Cut(text, "e")
	if scientific {
		if e, err := strconv.Atoi(exponent); err != nil || e > MaxDigits || e < -MaxDigits {
			return p.overLimit()
		}
	}
	whole, fraction, decimal := strings.Cut(mantissa, ".")
	if repeated, ok := strings.CutPrefix(p.peek().text, "overline "); ok && p.peek().kind == markToken && decimal && allDigits(repeated) {
		p.at++
		return &Node{Kind: Num, Rat: repeating(whole, fraction, repeated)}
	}
	rat, ok := new(big.Rat).SetString(strings.TrimSuffix(text, "."))
	if !ok {
		return p.fail("the number %q", text)
	}
	n := &Node{Kind: Num, Rat: rat, Decimal: decimal && fraction != "" || scientific}
	n.Digits = len(strings.TrimLeft(whole+fraction, "0"))
	n.Places = len(fraction)
	if scientific {
		e, _ := strconv.Atoi(exponent)
		n.Places -= e
	}
	return p.timesPowerOfTen(n)
}

func allDigits(s string) bool {
	return s != "" && len(s) <= 100 && strings.Trim(s, "0123456789") == ""
}

// repeating is the rational whole.fraction(repeated).
func repeating(whole, fraction, repeated string) *big.Rat {
	head, _ := new(big.Int).SetString("0"+whole+fraction, 10)
	tail, _ := new(big.Int).SetString(repeated, 10)
	ten := big.NewInt(10)
	period := new(big.Int).Exp(ten, big.NewInt(int64(len(repeated))), nil)
	period.Sub(period, big.NewInt(1))
	rat := new(big.Rat).SetFrac(tail, period)
	rat.Add(rat, new(big.Rat).SetInt(head))
	shift := new(big.Int).Exp(ten, big.NewInt(int64(len(fraction))), nil)
	return rat.Quo(rat, new(big.Rat).SetInt(shift))
}

// timesPowerOfTen folds 2.5 \times 10^{-3} into one decimal.
func (p *parser) timesPowerOfTen(n *Node) *Node {
	if !n.Decimal || !p.peek().is("*") || p.ahead(1).kind != numberToken || p.ahead(1).text != "10" || !p.ahead(2).is("^") {
		return n
	}
	at := 3
	braced, minus := p.ahead(at).is("{"), false
	if braced {
		at++
	}
	if minus = p.ahead(at).is("-"); minus {
		at++
	}
	e, err := strconv.Atoi(p.ahead(at).text)
	if err != nil || p.ahead(at).kind != numberToken || e > 1000 || braced && !p.ahead(at+1).is("}") {
		return n
	}
	if braced {
		at++
	}
	p.at += at + 1
	power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(e)), nil))
	if minus {
		power.Inv(power)
		e = -e
	}
	return &Node{Kind: Num, Rat: power.Mul(power, n.Rat), Decimal: true, Digits: n.Digits, Places: n.Places - e}
}

// letter is a symbol, a constant, or a function applied: f(x).
func (p *parser) letter(name string) *Node {
	if name == "e" || name == "i" {
		if !p.peek().is("_") {
			return named(Const, name)
		}
	}
	n := named(Sym, name)
	for p.peek().is("'") || p.peek().is("_") {
		n = p.postfix(n)
	}
	if p.peek().is("(") && strings.Contains("fghFGH", name) && !p.peek().space {
		p.at++
		return named(Apply, n.Name, members(p.bracket('('))...)
	}
	return n
}

// members are the members of a tuple, or the one thing that brackets enclose.
func members(n *Node) []*Node {
	if n.Kind == Tuple || n.Kind == Set {
		return n.Args
	}
	return []*Node{n}
}

// text is words, a number written as a word, or digits of another base.
func (p *parser) text(words string) *Node {
	for p.peek().kind == textToken {
		words += " " + p.next().text
	}
	n := named(Text, words)
	if at := slices.Index(numberWords, strings.ToLower(words)); at >= 0 && p.at == 1 && p.peek().kind == endToken {
		return Integer(int64(at))
	}
	return n
}

// currency is a sign before its amount.
func (p *parser) currency(name string, power int) *Node {
	amount := p.expression(max(power, minusPower))
	return &Node{Kind: Unit, Name: name, Known: true, Args: []*Node{amount}}
}

// group is what braces enclose; several members make a set.
func (p *parser) group() *Node {
	bars := p.bars
	p.bars = 0
	n := p.expression(0)
	p.bars = bars
	p.expect("}")
	if n.Kind == List {
		return node(Set, n.Args...)
	}
	return n
}

func (p *parser) set() *Node {
	if p.peek().is(`\}`) {
		p.at++
		return node(Set)
	}
	if condition := p.setBuilder(); condition != nil {
		return condition
	}
	bars := p.bars
	p.bars = 0
	n := p.expression(0)
	p.bars = bars
	p.expect(`\}`)
	if n.Kind == List {
		return node(Set, n.Args...)
	}
	return node(Set, n)
}

// setBuilder reads what follows { in {x : x > 2} or {x in R | x > 2}: the condition alone says which set it is. nil = another
// set stands here.
func (p *parser) setBuilder() *Node {
	n := 1
	if p.peek().kind != letterToken {
		return nil
	}
	if in := p.ahead(1); in.kind == relationToken && in.text == "in" && p.ahead(2).kind == setToken {
		n = 3
	}
	if t := p.ahead(n); !t.is("|") && !t.is(":") {
		return nil
	}
	p.at += n + 1
	condition := p.expression(0)
	p.expect(`\}`)
	return condition
}

// bracket is a tuple, an interval, or what brackets group.
func (p *parser) bracket(open byte) *Node {
	bars := p.bars
	p.bars = 0
	n := p.expression(0)
	p.bars = bars
	t := p.next()
	if !t.is(")") && !t.is("]") {
		return p.fail("a bracket is not closed")
	}
	if n.Kind == List && (n.Name == "," || n.Name == ";") {
		return &Node{Kind: Tuple, Args: flattened(n), Open: open, Close: t.text[0]}
	}
	if (open == '(') != t.is(")") {
		return p.fail("brackets do not match")
	}
	return n
}

// flattened are the members of the rows of a bracket: (1,1;2,2) is a tuple of four.
func flattened(n *Node) []*Node {
	if n.Name != ";" {
		return n.Args
	}
	var all []*Node
	for _, a := range n.Args {
		all = append(all, members(a)...)
	}
	return all
}

func (p *parser) angled() *Node {
	n := p.expression(0)
	p.expect("rangle")
	return &Node{Kind: Tuple, Args: members(row(n)), Open: '<', Close: '>'}
}

func (p *parser) bar() *Node {
	p.bars++
	n := p.expression(0)
	p.bars--
	p.expect("|")
	return named(Func, "abs", n)
}

func (p *parser) enclosed(name, end string) *Node {
	bars := p.bars
	p.bars = 0
	n := p.expression(0)
	p.bars = bars
	p.expect(end)
	return named(Func, name, n)
}
