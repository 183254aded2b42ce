// Package algebra says whether two formulas have the same value: exactly where both are rational, else by their values at
// fixed points with known errors.
package algebra

import (
	"errors"
	"math/big"

	"astro/training/reward/latex"
	"astro/training/reward/precise"
)

// errNotNumber: the node is no number: a set, a relation, words.
var errNotNumber = errors.New("not a number")

// maxTerms bounds a sum or product.
const maxTerms = 10_000

// evaluator computes one formula at one point.
type evaluator struct {
	machine *precise.Machine
	vars    map[string]precise.Number
	logTen  bool // log without a base is to the base ten
}

// value of n, or precise.ErrUndefined, precise.ErrOverLimit or errNotNumber.
func (e *evaluator) value(n *latex.Node) (precise.Number, error) {
	if err := e.machine.Spend(1); err != nil {
		return precise.Number{}, err
	}
	switch n.Kind {
	case latex.Num:
		return precise.Exact(n.Rat), nil
	case latex.Sym, latex.Apply:
		return e.variable(Key(n))
	case latex.Const:
		return e.constant(n.Name)
	case latex.Add:
		return e.fold(n.Args, e.machine.Add)
	case latex.Mul:
		return e.fold(n.Args, e.machine.Mul)
	case latex.Neg:
		return e.one(n, e.machine.Neg)
	case latex.Div:
		return e.two(n, e.machine.Div)
	case latex.Pow:
		return e.power(n)
	case latex.Root:
		return e.root(n)
	case latex.Percent:
		return e.scaled(n, precise.Exact(big.NewRat(1, 100)))
	case latex.Degree:
		factor, err := e.machine.Mul(e.machine.Pi(), precise.Exact(big.NewRat(1, 180)))
		if err != nil {
			return precise.Number{}, err
		}
		return e.scaled(n, factor)
	case latex.Func:
		return e.function(n)
	case latex.Big:
		return e.series(n)
	}
	return precise.Number{}, errNotNumber
}

// variable looks a name up. A variable of a sum may be called i.
func (e *evaluator) variable(name string) (precise.Number, error) {
	if v, ok := e.vars[name]; ok {
		return v, nil
	}
	return precise.Number{}, errNotNumber
}

func (e *evaluator) constant(name string) (precise.Number, error) {
	switch name {
	case "pi":
		return e.machine.Pi(), nil
	case "e":
		return e.machine.E()
	case "i":
		if v, ok := e.vars["i"]; ok {
			return v, nil
		}
		return e.machine.I(), nil
	case "inf":
		return precise.Number{}, precise.ErrUndefined
	}
	return precise.Number{}, errNotNumber
}

func (e *evaluator) fold(args []*latex.Node, op func(a, b precise.Number) (precise.Number, error)) (precise.Number, error) {
	result, err := e.value(args[0])
	for _, a := range args[1:] {
		if err != nil {
			return precise.Number{}, err
		}
		var v precise.Number
		if v, err = e.value(a); err == nil {
			result, err = op(result, v)
		}
	}
	return result, err
}

func (e *evaluator) one(n *latex.Node, op func(precise.Number) (precise.Number, error)) (precise.Number, error) {
	v, err := e.value(n.Args[0])
	if err != nil {
		return precise.Number{}, err
	}
	return op(v)
}

func (e *evaluator) two(n *latex.Node, op func(a, b precise.Number) (precise.Number, error)) (precise.Number, error) {
	a, err := e.value(n.Args[0])
	if err != nil {
		return precise.Number{}, err
	}
	b, err := e.value(n.Args[1])
	if err != nil {
		return precise.Number{}, err
	}
	return op(a, b)
}

func (e *evaluator) scaled(n *latex.Node, factor precise.Number) (precise.Number, error) {
	return e.one(n, func(v precise.Number) (precise.Number, error) { return e.machine.Mul(v, factor) })
}

// power: e^x is the exponential function, not a power of a rounded number.
func (e *evaluator) power(n *latex.Node) (precise.Number, error) {
	if n.Args[0].Is(latex.Const, "e") {
		exponent, err := e.value(n.Args[1])
		if err != nil {
			return precise.Number{}, err
		}
		return e.machine.Exp(exponent)
	}
	return e.two(n, e.machine.Pow)
}

func (e *evaluator) root(n *latex.Node) (precise.Number, error) {
	return e.two(n, func(x, degree precise.Number) (precise.Number, error) {
		if d, ok := degree.Small(); ok && d >= 2 {
			return e.machine.Root(x, d)
		}
		inverse, err := e.machine.Inv(degree)
		if err != nil {
			return precise.Number{}, err
		}
		return e.machine.Pow(x, inverse)
	})
}

// series adds or multiplies the body over the integers from the first bound to the last.
func (e *evaluator) series(n *latex.Node) (precise.Number, error) {
	first, err := e.bound(n.Args[1])
	if err != nil {
		return precise.Number{}, err
	}
	last, err := e.bound(n.Args[2])
	if err != nil {
		return precise.Number{}, err
	}
	if last-first >= maxTerms {
		return precise.Number{}, precise.ErrOverLimit
	}
	result, op := precise.Int(0), e.machine.Add
	if n.Name == "prod" {
		result, op = precise.Int(1), e.machine.Mul
	}
	inner := &evaluator{machine: e.machine, vars: map[string]precise.Number{}, logTen: e.logTen}
	for name, v := range e.vars {
		inner.vars[name] = v
	}
	for k := first; k <= last; k++ {
		inner.vars[n.Args[0].Name] = precise.Int(int64(k))
		term, err := inner.value(n.Args[3])
		if err != nil {
			return precise.Number{}, err
		}
		if result, err = op(result, term); err != nil {
			return precise.Number{}, err
		}
	}
	return result, nil
}

func (e *evaluator) bound(n *latex.Node) (int, error) {
	v, err := e.value(n)
	if err != nil {
		return 0, err
	}
	k, ok := v.Small()
	if !ok {
		return 0, precise.ErrUndefined
	}
	return k, nil
}
