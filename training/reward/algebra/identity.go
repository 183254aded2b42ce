package algebra

import (
	"errors"
	"math/big"

	"astro/training/reward/latex"
	"astro/training/reward/precise"
)

// Precisions of the two runs that must agree, and how many points decide.
const (
	coarseBits  = 256
	fineBits    = 512
	validPoints = 4
)

// Rule says how two formulas were found to be equal; "" = they were not.
type Rule string

// Rules.
const (
	Rational Rule = "rational" // both are rational: exact
	Numeric  Rule = "numeric"  // constants, equal to hundreds of bits
	Identity Rule = "identity" // equal at every point that was tried
)

// Judge compares formulas within one budget.
type Judge struct {
	budget int
	spent  int
	over   bool
}

// NewJudge makes a judge that may spend so many operations, each about one multiplication of 256 bits.
func NewJudge(budget int) *Judge { return &Judge{budget: budget} }

// Spent is the number of operations so far; it never exceeds the budget.
func (j *Judge) Spent() int { return j.spent }

// Spend takes units for work outside of arithmetic; false = the budget is spent.
func (j *Judge) Spend(units int) bool {
	if j.spent+units > j.budget {
		j.spent, j.over = j.budget, true
		return false
	}
	j.spent += units
	return true
}

// Over says that some comparison was given up for its cost.
func (j *Judge) Over() bool { return j.over }

// machine lends out what is left of the budget; settle takes it back.
func (j *Judge) machine(bits uint) *precise.Machine {
	return &precise.Machine{Bits: bits, Budget: j.budget - j.spent}
}

func (j *Judge) settle(m *precise.Machine) { j.spent = j.budget - m.Budget }

// points are neither integers nor small only, and have both signs.
var points = []*big.Rat{
	big.NewRat(7, 5), big.NewRat(-11, 8), big.NewRat(13, 17), big.NewRat(-19, 7), big.NewRat(23, 9), big.NewRat(-29, 31), big.NewRat(37, 6), big.NewRat(-41, 13),
}

// Same says whether a and b have the same value for all values of their variables.
func (j *Judge) Same(a, b *latex.Node) Rule {
	v := &variables{names: map[string]bool{}, integer: map[string]bool{}}
	v.collect(a, nil)
	v.collect(b, nil)
	if v.bad || len(v.names) > maxVariables {
		j.over = j.over || !v.bad
		return ""
	}
	rule := j.same(a, b, v, false)
	if rule == "" && v.log {
		rule = j.same(a, b, v, true)
	}
	return rule
}

func (j *Judge) same(a, b *latex.Node, v *variables, logTen bool) Rule {
	t := &trial{judge: j, a: a, b: b, vars: v, names: sortedKeys(v.names), logTen: logTen}
	if len(t.names) == 0 {
		return t.constants()
	}
	return t.identity()
}

// trial is one comparison under way.
type trial struct {
	judge  *Judge
	a, b   *latex.Node
	vars   *variables
	names  []string
	logTen bool
}

// outcome of a comparison at one point.
type outcome uint8

const (
	differ     outcome = iota
	exact              // equal rationals
	close              // equal as far as the error allows
	undefined          // both without a value, or outside of the domain of real numbers
	unresolved         // too costly, or too inexact to tell
)

func (t *trial) constants() Rule {
	switch t.compare(coarseBits, nil) {
	case exact:
		return Rational
	case close:
		if t.compare(fineBits, nil) == close {
			return Numeric
		}
	}
	return ""
}

// identity asks for equality at the points, at last at such where all variables are positive.
func (t *trial) identity() Rule {
	valid, confirmed := 0, false
	for p := range 2 * len(points) {
		if p >= len(points) && valid >= validPoints {
			break
		}
		at := t.point(p%len(points), p >= len(points))
		switch t.compare(coarseBits, at) {
		case differ:
			return ""
		case exact:
			valid++
		case close:
			if !confirmed && t.compare(fineBits, at) != close {
				return ""
			}
			confirmed = true
			valid++
		}
	}
	if valid < validPoints {
		return ""
	}
	return Identity
}

// point gives each variable its own of the points, turned further from variable to variable; integers 2 to 9 to those that
// count.
func (t *trial) point(p int, positive bool) map[string]precise.Number {
	at := map[string]precise.Number{}
	for k, name := range t.names {
		r := points[(p+3*k)%len(points)]
		if positive {
			r = new(big.Rat).Abs(r)
		}
		at[name] = precise.Exact(r)
		if t.vars.integer[name] {
			at[name] = precise.Int(int64(2 + (p+3*k)%8))
		}
	}
	return at
}

func (t *trial) compare(bits uint, at map[string]precise.Number) outcome {
	m := t.judge.machine(bits)
	defer t.judge.settle(m)
	e := &evaluator{machine: m, vars: at, logTen: t.logTen}
	x, errX := e.value(t.a)
	if errX != nil && !errors.Is(errX, precise.ErrUndefined) {
		return t.failed(errX)
	}
	y, errY := e.value(t.b)
	if errY != nil && !errors.Is(errY, precise.ErrUndefined) {
		return t.failed(errY)
	}
	if errX != nil || errY != nil {
		if errX != nil && errY != nil {
			return undefined
		}
		return differ
	}
	return t.verdict(m, x, y)
}

func (t *trial) failed(err error) outcome {
	if errors.Is(err, precise.ErrOverLimit) {
		t.judge.over = true
		return unresolved
	}
	return differ
}

func (t *trial) verdict(m *precise.Machine, x, y precise.Number) outcome {
	if x.Rat != nil && y.Rat != nil {
		if x.Rat.Cmp(y.Rat) == 0 {
			return exact
		}
		return differ
	}
	d, err := m.Sub(x, y)
	switch {
	case err != nil:
		return t.failed(err)
	case d.IsZero() && (x.Loose() || y.Loose()):
		return unresolved
	case d.IsZero():
		return close
	case len(t.names) > 0 && !t.vars.complex && !x.IsReal() && !y.IsReal():
		return undefined
	}
	return differ
}

// Value is the value of a formula without variables, rounded to 256 bits where it is not rational.
func (j *Judge) Value(n *latex.Node) (precise.Number, error) {
	m := j.machine(coarseBits)
	defer j.settle(m)
	v, err := (&evaluator{machine: m}).value(n)
	if errors.Is(err, precise.ErrOverLimit) {
		j.over = true
	}
	return v, err
}

// Compare orders two real values; 0 when they cannot be told apart.
func (j *Judge) Compare(a, b precise.Number) (int, error) {
	m := j.machine(coarseBits)
	defer j.settle(m)
	return m.Compare(a, b)
}

// Undefined says that n has no variables and no value: a division by zero.
func (j *Judge) Undefined(n *latex.Node) bool {
	_, err := j.Value(n)
	return errors.Is(err, precise.ErrUndefined)
}

// Variables are the names of the free variables of n in alphabetical order.
func Variables(n *latex.Node) []string {
	v := &variables{names: map[string]bool{}, integer: map[string]bool{}}
	v.collect(n, nil)
	return sortedKeys(v.names)
}
