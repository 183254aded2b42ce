package reward

import (
	"math/big"

	"astro/training/reward/algebra"
	"astro/training/reward/latex"
)

// quantity is a value and what stands behind it.
type quantity struct {
	node            *latex.Node
	unit            string
	known           bool // the unit is in the list of units
	percent, degree bool
}

// quantityOf takes a unit, a percent sign or a degree sign from the end of a formula.
func quantityOf(n *latex.Node) quantity {
	switch n.Kind {
	case latex.Unit:
		q := quantityOf(n.Args[0])
		if q.unit != "" && q.unit != n.Name {
			return quantity{node: n}
		}
		q.unit, q.known = n.Name, n.Known
		if q.unit == "" {
			q.unit = "?"
		}
		return q
	case latex.Percent:
		q := quantityOf(n.Args[0])
		q.percent = true
		return q
	case latex.Degree:
		q := quantityOf(n.Args[0])
		q.degree = true
		return q
	case latex.Neg, latex.Mul, latex.Div, latex.Add:
		return lifted(n)
	}
	return quantity{node: n}
}

// lifted takes the unit of the last operand for that of the whole formula: 480 + 480 sqrt 3 feet.
func lifted(n *latex.Node) quantity {
	last := len(n.Args) - 1
	q := quantityOf(n.Args[last])
	if q.unit == "" && !q.percent && !q.degree || n.Kind == latex.Add && (q.percent || q.degree) {
		return quantity{node: n}
	}
	copied := *n
	copied.Args = append(n.Args[:last:last], q.node)
	q.node = &copied
	return q
}

// quantities compares two values with their units. Percent and degree signs may be missing on one side; with them a value
// may also stand for its hundredth, or its angle in radians.
func (c *comparer) quantities(g, a quantity) Rule {
	if !unitsAgree(g, a) {
		return ""
	}
	x, y := []*latex.Node{g.node}, []*latex.Node{a.node}
	if g.percent != a.percent {
		x, y = withHundredth(x, g.percent), withHundredth(y, a.percent)
	}
	if g.degree != a.degree {
		x, y = withRadians(x, g.degree), withRadians(y, a.degree)
	}
	for _, n := range x {
		for _, m := range y {
			if rule := c.values(n, m); rule != "" {
				return rule
			}
		}
	}
	return ""
}

// sign is the percent or degree sign, or the unit.
func (q quantity) sign() string {
	switch {
	case q.percent:
		return "%"
	case q.degree:
		return "degree"
	}
	return q.unit
}

// unitsAgree: a unit may be missing on one side; two must be the same. Words behind the known answer that are no unit are
// replaced by a unit.
func unitsAgree(g, a quantity) bool {
	switch {
	case g.percent || g.degree || a.percent || a.degree:
		return g.sign() == a.sign() || g.sign() == "" || a.sign() == ""
	case a.unit == "" || a.unit == g.unit:
		return true
	case g.unit == "":
		return a.known
	}
	return !g.known && a.known
}

func withHundredth(all []*latex.Node, percent bool) []*latex.Node {
	if !percent {
		return all
	}
	return append(all, &latex.Node{Kind: latex.Percent, Args: all[:1:1]})
}

func withRadians(all []*latex.Node, degree bool) []*latex.Node {
	if !degree {
		return all
	}
	return append(all, &latex.Node{Kind: latex.Degree, Args: all[:1:1]})
}

// infinity is the sign of an infinite number, 0 for others.
func infinity(n *latex.Node) int {
	switch {
	case n.Is(latex.Const, "inf"):
		return 1
	case n.Kind == latex.Neg:
		return -infinity(n.Args[0])
	}
	return 0
}

// values compares two numbers or expressions.
func (c *comparer) values(g, a *latex.Node) Rule {
	switch {
	case infinity(g) != 0 || infinity(a) != 0:
		if infinity(g) == infinity(a) {
			return RuleInfinity
		}
		return ""
	case uncomputed(g) && uncomputed(a):
		if algebra.Key(g) == algebra.Key(a) {
			return RuleSameText
		}
		return ""
	}
	if rule := c.judge.Same(g, a); rule != "" {
		return Rule(rule)
	}
	if c.rounded(g, a, true) || c.rounded(a, g, false) {
		return RuleRounded
	}
	return ""
}

// uncomputed says that a part of the formula has a value that is not computed, or stands for something left out: a limit, an
// integral, an infinite sum, dots. Two such are equal when they are written in the same way.
func uncomputed(n *latex.Node) bool {
	return !n.Walk(func(m *latex.Node) bool {
		return m.Kind != latex.Opaque && !m.Is(latex.Const, "dots") && !(m.Kind == latex.Big && (infinity(m.Args[1]) != 0 || infinity(m.Args[2]) != 0))
	})
}

// Digits of a decimal above which it stands for the exact value that it rounds or cuts, and places of a known answer above
// which it stands for the fraction that it rounds.
const exactDigits, fractionPlaces = 12, 6

// rounded says that the decimal d is what is written for the exact value n.
func (c *comparer) rounded(d, n *latex.Node, ofGold bool) bool {
	sign := 1
	for d.Kind == latex.Neg {
		d, sign = d.Args[0], -sign
	}
	if d.Kind != latex.Num || !d.Decimal || d.Places < 1 || d.Places > latex.MaxDigits || decimal(n) {
		return false
	}
	long := d.Digits >= exactDigits
	if !long && !(ofGold && (c.o.RoundedGold || d.Places >= fractionPlaces && d.Digits >= fractionPlaces)) {
		return false
	}
	v, err := c.judge.Value(n)
	if err != nil || !v.IsReal() {
		return false
	}
	if !long && !c.o.RoundedGold && (v.Rat == nil || !determines(d.Places, v.Rat)) {
		return false
	}
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Places)), nil))
	written := new(big.Rat).Set(d.Rat)
	if sign < 0 {
		written.Neg(written)
	}
	exact := v.Rat
	if exact == nil {
		exact, _ = v.Re.Rat(nil)
	}
	off := new(big.Rat).Sub(exact, written)
	off.Mul(off, scale)
	half, one := big.NewRat(1, 2), big.NewRat(1, 1)
	cut := off.Sign()*written.Sign() >= 0 && long
	off.Abs(off)
	return off.Cmp(half) <= 0 || cut && off.Cmp(one) < 0
}

// decimal says that the formula is nothing but a decimal.
func decimal(n *latex.Node) bool {
	for n.Kind == latex.Neg {
		n = n.Args[0]
	}
	return n.Kind == latex.Num && n.Decimal
}

// determines says that no other fraction with so small a denominator rounds to the same places.
func determines(places int, r *big.Rat) bool {
	square := new(big.Int).Mul(r.Denom(), r.Denom())
	square.Lsh(square, 1)
	return r.Denom().BitLen() <= 128 && square.Cmp(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)) < 0
}

// bases compares digits and base. Base ten is a number like any other.
func (c *comparer) bases(g, a *latex.Node) Rule {
	for _, n := range []**latex.Node{&g, &a} {
		if (*n).Kind == latex.BaseNum && (*n).Cols == 10 {
			if r, ok := new(big.Rat).SetString("0" + (*n).Name); ok {
				*n = &latex.Node{Kind: latex.Num, Rat: r}
			}
		}
	}
	switch {
	case g.Kind == latex.BaseNum && a.Kind == latex.BaseNum:
		if g.Name == a.Name && g.Cols == a.Cols {
			return RuleBase
		}
		return ""
	case either(g, a, latex.BaseNum):
		return ""
	}
	return c.quantities(quantityOf(g), quantityOf(a))
}

// ratios compares a : b : c up to a common factor; a ratio of two is also its quotient.
func (c *comparer) ratios(g, a *latex.Node) Rule {
	if g.Kind != a.Kind {
		x, y := quotientOf(g), quotientOf(a)
		if x != nil && y != nil && c.quantities(quantityOf(x), quantityOf(y)) != "" {
			return RuleRatio
		}
		return ""
	}
	if c.timeLike(g) || c.timeLike(a) {
		return c.inOrder(g.Args, a.Args, RuleRatio)
	}
	if len(g.Args) != len(a.Args) {
		return ""
	}
	for i := range g.Args[1:] {
		left := &latex.Node{Kind: latex.Mul, Args: []*latex.Node{g.Args[0], a.Args[i+1]}}
		right := &latex.Node{Kind: latex.Mul, Args: []*latex.Node{a.Args[0], g.Args[i+1]}}
		if c.judge.Same(left, right) == "" {
			return ""
		}
	}
	return RuleRatio
}

// timeLike says that a ratio may be a time of day, or has a member zero: only the same members are equal to it.
func (c *comparer) timeLike(n *latex.Node) bool {
	minutes := true
	for i, m := range n.Args {
		v, err := c.judge.Value(m)
		if err == nil && v.IsZero() {
			return true
		}
		k, ok := v.Small()
		minutes = minutes && err == nil && ok && k >= 0 && (i == 0 && k <= 24 || i > 0 && 10 <= k && k < 60)
	}
	return minutes
}

// quotientOf a ratio of two, or a fraction; nil for others.
func quotientOf(n *latex.Node) *latex.Node {
	switch {
	case n.Kind == latex.Ratio && len(n.Args) == 2:
		return &latex.Node{Kind: latex.Div, Args: n.Args}
	case n.Kind == latex.Div:
		return n
	}
	return nil
}
