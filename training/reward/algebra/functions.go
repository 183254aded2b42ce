package algebra

import (
	"math/big"

	"astro/training/reward/latex"
	"astro/training/reward/precise"
)

// function computes a named function.
func (e *evaluator) function(n *latex.Node) (precise.Number, error) {
	switch n.Name {
	case "gcd", "lcm":
		return e.divisor(n)
	case "max", "min":
		return e.extreme(n)
	case "mod":
		return e.pair(n, e.mod)
	case "binom":
		return e.pair(n, e.machine.Binomial)
	case "log":
		return e.logarithm(n)
	}
	if len(n.Args) != 1 {
		return precise.Number{}, errNotNumber
	}
	if n.Args[0].Kind == latex.Matrix {
		return precise.Number{}, errNotNumber
	}
	v, err := e.value(n.Args[0])
	if err != nil {
		return precise.Number{}, err
	}
	return e.apply(n.Name, v)
}

func (e *evaluator) pair(n *latex.Node, op func(a, b precise.Number) (precise.Number, error)) (precise.Number, error) {
	if len(n.Args) != 2 {
		return precise.Number{}, errNotNumber
	}
	return e.two(n, op)
}

// apply computes a function of one number.
func (e *evaluator) apply(name string, v precise.Number) (precise.Number, error) {
	m := e.machine
	direct := map[string]func(precise.Number) (precise.Number, error){
		"sin": m.Sin, "cos": m.Cos, "tan": m.Tan, "sinh": m.Sinh, "cosh": m.Cosh, "tanh": m.Tanh, "arcsin": m.Asin, "arccos": m.Acos, "arctan": m.Atan,
		"ln": m.Log, "exp": m.Exp, "abs": m.Abs, "floor": m.Floor, "factorial": m.Factorial,
	}
	if f := direct[name]; f != nil {
		return f(v)
	}
	reciprocal := map[string]func(precise.Number) (precise.Number, error){
		"sec": m.Cos, "csc": m.Sin, "sech": m.Cosh, "csch": m.Sinh, "coth": m.Tanh,
	}
	if f := reciprocal[name]; f != nil {
		return e.then(f, m.Inv)(v)
	}
	ofReciprocal := map[string]func(precise.Number) (precise.Number, error){"arcsec": m.Acos, "arccsc": m.Asin}
	if f := ofReciprocal[name]; f != nil {
		return e.then(m.Inv, f)(v)
	}
	return e.applyRest(name, v)
}

func (e *evaluator) applyRest(name string, v precise.Number) (precise.Number, error) {
	m := e.machine
	switch name {
	case "cot":
		s, err := m.Sin(v)
		if err != nil {
			return precise.Number{}, err
		}
		c, err := m.Cos(v)
		if err != nil {
			return precise.Number{}, err
		}
		return m.Div(c, s)
	case "arccot":
		a, err := m.Atan(v)
		if err != nil {
			return precise.Number{}, err
		}
		half, err := m.Mul(m.Pi(), precise.Exact(big.NewRat(1, 2)))
		if err != nil {
			return precise.Number{}, err
		}
		return m.Sub(half, a)
	case "ceil":
		return e.then(m.Neg, e.then(m.Floor, m.Neg))(v)
	case "sign":
		if !v.IsReal() {
			return precise.Number{}, precise.ErrUndefined
		}
		return precise.Int(int64(v.Sign())), nil
	case "lg":
		return e.logTo(v, precise.Int(10))
	case "arcsinh", "arccosh", "arctanh":
		return e.inverseHyperbolic(name, v)
	}
	return precise.Number{}, errNotNumber
}

type operation = func(precise.Number) (precise.Number, error)

// then is g after f.
func (e *evaluator) then(f, g operation) operation {
	return func(v precise.Number) (precise.Number, error) {
		w, err := f(v)
		if err != nil {
			return precise.Number{}, err
		}
		return g(w)
	}
}

// inverseHyperbolic by logarithms.
func (e *evaluator) inverseHyperbolic(name string, v precise.Number) (precise.Number, error) {
	x := &latex.Node{Kind: latex.Sym, Name: "x"}
	text := map[string]string{
		"arcsinh": `\ln(x+\sqrt{x^2+1})`, "arccosh": `\ln(x+\sqrt{x^2-1})`, "arctanh": `\frac{1}{2}\ln(\frac{1+x}{1-x})`,
	}[name]
	n, _, err := latex.Parse(text, latex.Reading{})
	if err != nil {
		panic("BUG: got " + err.Error() + "; want the formula of " + name)
	}
	inner := &evaluator{machine: e.machine, vars: map[string]precise.Number{x.Name: v}}
	return inner.value(n)
}

// logarithm to the base that is given, or to the one that log has in this reading.
func (e *evaluator) logarithm(n *latex.Node) (precise.Number, error) {
	v, err := e.value(n.Args[0])
	if err != nil {
		return precise.Number{}, err
	}
	switch {
	case len(n.Args) == 2:
		base, err := e.value(n.Args[1])
		if err != nil {
			return precise.Number{}, err
		}
		return e.logTo(v, base)
	case e.logTen:
		return e.logTo(v, precise.Int(10))
	}
	return e.machine.Log(v)
}

func (e *evaluator) logTo(v, base precise.Number) (precise.Number, error) {
	top, err := e.machine.Log(v)
	if err != nil {
		return precise.Number{}, err
	}
	bottom, err := e.machine.Log(base)
	if err != nil {
		return precise.Number{}, err
	}
	return e.machine.Div(top, bottom)
}

// mod is a - b floor(a/b).
func (e *evaluator) mod(a, b precise.Number) (precise.Number, error) {
	q, err := e.machine.Div(a, b)
	if err != nil {
		return precise.Number{}, err
	}
	if q, err = e.machine.Floor(q); err != nil {
		return precise.Number{}, err
	}
	if q, err = e.machine.Mul(q, b); err != nil {
		return precise.Number{}, err
	}
	return e.machine.Sub(a, q)
}

// extreme is the largest or smallest of some real numbers.
func (e *evaluator) extreme(n *latex.Node) (precise.Number, error) {
	best, err := e.value(n.Args[0])
	if err != nil {
		return precise.Number{}, err
	}
	for _, a := range n.Args[1:] {
		v, err := e.value(a)
		if err != nil {
			return precise.Number{}, err
		}
		order, err := e.machine.Compare(v, best)
		if err != nil {
			return precise.Number{}, err
		}
		if order > 0 == (n.Name == "max") && order != 0 {
			best = v
		}
	}
	return best, nil
}

// divisor is the greatest common divisor or least common multiple of rationals, or of monomials as polynomials.
func (e *evaluator) divisor(n *latex.Node) (precise.Number, error) {
	if symbolic(n) {
		return e.monomialDivisor(n)
	}
	var result *big.Rat
	for _, a := range n.Args {
		v, err := e.value(a)
		if err != nil {
			return precise.Number{}, err
		}
		if v.Rat == nil || v.Rat.Sign() == 0 || v.Rat.Num().BitLen()+v.Rat.Denom().BitLen() > 4096 {
			return precise.Number{}, errNotNumber
		}
		if err := e.machine.Spend(64); err != nil {
			return precise.Number{}, err
		}
		r := new(big.Rat).Abs(v.Rat)
		switch {
		case result == nil:
			result = r
		case n.Name == "gcd":
			result = gcd(result, r)
		default:
			product := new(big.Rat).Mul(result, r)
			result = product.Quo(product, gcd(result, r))
		}
	}
	if result == nil || result.Num().BitLen() > precise.MaxBits {
		return precise.Number{}, errNotNumber
	}
	return precise.Exact(result), nil
}

// gcd of two positive rationals: the largest number of which both are multiples.
func gcd(a, b *big.Rat) *big.Rat {
	x := new(big.Int).Mul(a.Num(), b.Denom())
	y := new(big.Int).Mul(b.Num(), a.Denom())
	return new(big.Rat).SetFrac(new(big.Int).GCD(nil, nil, x, y), new(big.Int).Mul(a.Denom(), b.Denom()))
}

func symbolic(n *latex.Node) bool {
	return !n.Walk(func(m *latex.Node) bool { return m.Kind != latex.Sym })
}

// monomialDivisor takes the smallest (gcd) or largest (lcm) power of each variable; numbers are units.
func (e *evaluator) monomialDivisor(n *latex.Node) (precise.Number, error) {
	powers := map[string]int{}
	for i, a := range n.Args {
		own := map[string]int{}
		if !monomial(a, own) {
			return precise.Number{}, errNotNumber
		}
		for name := range own {
			if _, ok := powers[name]; !ok && (i == 0 || n.Name == "lcm") {
				powers[name] = own[name]
			}
		}
		for name := range powers {
			if n.Name == "gcd" {
				powers[name] = min(powers[name], own[name])
			} else {
				powers[name] = max(powers[name], own[name])
			}
		}
	}
	result := precise.Int(1)
	for _, name := range sortedKeys(powers) {
		v, err := e.variable(name)
		if err != nil {
			return precise.Number{}, err
		}
		if v, err = e.machine.Pow(v, precise.Int(int64(powers[name]))); err != nil {
			return precise.Number{}, err
		}
		if result, err = e.machine.Mul(result, v); err != nil {
			return precise.Number{}, err
		}
	}
	return result, nil
}

// monomial adds the powers of a product of variables and numbers to powers.
func monomial(n *latex.Node, powers map[string]int) bool {
	switch n.Kind {
	case latex.Num:
		return true
	case latex.Sym:
		powers[n.Name]++
		return true
	case latex.Neg:
		return monomial(n.Args[0], powers)
	case latex.Mul:
		for _, a := range n.Args {
			if !monomial(a, powers) {
				return false
			}
		}
		return true
	case latex.Div:
		return !symbolic(n.Args[1]) && monomial(n.Args[0], powers)
	case latex.Pow:
		k := n.Args[1]
		if n.Args[0].Kind == latex.Sym && k.Kind == latex.Num && k.Rat.IsInt() && k.Rat.Sign() > 0 && k.Rat.Num().BitLen() < 8 {
			powers[n.Args[0].Name] += int(k.Rat.Num().Int64())
			return true
		}
	}
	return false
}
