package precise

import "math/big"

// begin takes the price of a function and gives its argument in rounded form.
func (m *Machine) begin(a Number) (Number, error) {
	if err := m.Spend(functionCost); err != nil {
		return Number{}, err
	}
	return m.Rounded(a), nil
}

// Exp is e^a.
func (m *Machine) Exp(a Number) (Number, error) {
	if a.Rat != nil && a.Rat.Sign() == 0 {
		return Int(1), nil
	}
	a, err := m.begin(a)
	if err != nil {
		return Number{}, err
	}
	if magnitude(a.Re) > 23 || magnitude(a.Im) > maxTrigBits || a.Err > 0 {
		return Number{}, ErrOverLimit
	}
	re := m.expReal(a.Re)
	if magnitude(re) < -maxExponent {
		return Number{}, ErrOverLimit
	}
	size := magnitude(re)
	im := m.new()
	if a.Im.Sign() != 0 {
		sin, cos := m.sinCosReal(a.Im)
		im.Mul(re, sin)
		re.Mul(re, cos)
	}
	return m.made(re, im, max(size+a.Err+2, size-int(m.Bits)+2))
}

// Log is the principal natural logarithm.
func (m *Machine) Log(a Number) (Number, error) {
	if a.Rat != nil && a.Rat.IsInt() && a.Rat.Num().IsInt64() && a.Rat.Num().Int64() == 1 {
		return Int(0), nil
	}
	if a.IsZero() {
		return Number{}, ErrUndefined
	}
	a, err := m.begin(a)
	if err != nil {
		return Number{}, err
	}
	low := max(magnitude(a.Re), magnitude(a.Im)) - 1
	err2 := max(a.Err-low+2, 4-int(m.Bits))
	if a.IsReal() && a.Re.Sign() > 0 {
		return m.made(m.logReal(a.Re), m.new(), err2)
	}
	if a.IsReal() {
		return m.made(m.logReal(m.new().Abs(a.Re)), m.new().Set(pi), err2)
	}
	square := m.new().Mul(a.Re, a.Re)
	square.Add(square, m.new().Mul(a.Im, a.Im))
	re := m.logReal(square)
	return m.made(re.SetMantExp(re, -1), m.angle(a.Im, a.Re), err2)
}

// Sin is the sine.
func (m *Machine) Sin(a Number) (Number, error) {
	s, _, err := m.sinCos(a)
	return s, err
}

// Cos is the cosine.
func (m *Machine) Cos(a Number) (Number, error) {
	_, c, err := m.sinCos(a)
	return c, err
}

// Tan is the tangent.
func (m *Machine) Tan(a Number) (Number, error) {
	s, c, err := m.sinCos(a)
	if err != nil {
		return Number{}, err
	}
	return m.Div(s, c)
}

func (m *Machine) sinCos(a Number) (sin, cos Number, err error) {
	if a.Rat != nil && a.Rat.Sign() == 0 {
		return Int(0), Int(1), nil
	}
	if a, err = m.begin(a); err != nil {
		return
	}
	if magnitude(a.Re) > maxTrigBits || a.Err > 0 {
		return sin, cos, ErrOverLimit
	}
	if !a.IsReal() {
		return m.sinCosComplex(a)
	}
	s, c := m.sinCosReal(a.Re)
	bound := max(a.Err+1, 2-int(m.Bits))
	if sin, err = m.made(s, m.new(), bound); err != nil {
		return
	}
	cos, err = m.made(c, m.new(), bound)
	return
}

// sinCosComplex: e^(ia) and e^(-ia), half their difference over i and half their sum.
func (m *Machine) sinCosComplex(a Number) (sin, cos Number, err error) {
	turned := Number{Re: m.new().Neg(a.Im), Im: m.new().Set(a.Re), Err: a.Err}
	plus, err := m.Exp(turned)
	if err != nil {
		return
	}
	minus, err := m.Inv(plus)
	if err != nil {
		return
	}
	if sin, err = m.halfDifference(plus, minus); err != nil {
		return
	}
	sin = Number{Re: sin.Im, Im: m.new().Neg(sin.Re), Err: sin.Err}
	cos, err = m.halfSum(plus, minus)
	return
}

func (m *Machine) halfSum(a, b Number) (Number, error) {
	sum, err := m.Add(a, b)
	if err != nil {
		return Number{}, err
	}
	return m.Mul(sum, Exact(big.NewRat(1, 2)))
}

func (m *Machine) halfDifference(a, b Number) (Number, error) {
	b, err := m.Neg(b)
	if err != nil {
		return Number{}, err
	}
	return m.halfSum(a, b)
}

// Sinh is the hyperbolic sine.
func (m *Machine) Sinh(a Number) (Number, error) {
	if a.IsZero() && a.Rat != nil {
		return a, nil
	}
	s, _, err := m.hyperbolic(a)
	return s, err
}

// Cosh is the hyperbolic cosine.
func (m *Machine) Cosh(a Number) (Number, error) {
	_, c, err := m.hyperbolic(a)
	return c, err
}

// Tanh is the hyperbolic tangent.
func (m *Machine) Tanh(a Number) (Number, error) {
	s, c, err := m.hyperbolic(a)
	if err != nil {
		return Number{}, err
	}
	return m.Div(s, c)
}

func (m *Machine) hyperbolic(a Number) (sinh, cosh Number, err error) {
	plus, err := m.Exp(a)
	if err != nil {
		return
	}
	minus, err := m.Inv(plus)
	if err != nil {
		return
	}
	if sinh, err = m.halfDifference(plus, minus); err != nil {
		return
	}
	cosh, err = m.halfSum(plus, minus)
	return
}

// Atan is the principal inverse tangent.
func (m *Machine) Atan(a Number) (Number, error) {
	if a.Rat != nil && a.Rat.Sign() == 0 {
		return a, nil
	}
	a, err := m.begin(a)
	if err != nil {
		return Number{}, err
	}
	if a.IsReal() {
		return m.made(m.atanReal(a.Re), m.new(), max(a.Err+1, 2-int(m.Bits)))
	}
	return m.complexAtan(a)
}

// complexAtan is (log(1+ia) - log(1-ia)) / 2i.
func (m *Machine) complexAtan(a Number) (Number, error) {
	turned := Number{Re: m.new().Neg(a.Im), Im: m.new().Set(a.Re), Err: a.Err}
	plus, err := m.Add(Int(1), turned)
	if err != nil {
		return Number{}, err
	}
	minus, err := m.Sub(Int(1), turned)
	if err != nil {
		return Number{}, err
	}
	if plus, err = m.Log(plus); err != nil {
		return Number{}, err
	}
	if minus, err = m.Log(minus); err != nil {
		return Number{}, err
	}
	half, err := m.halfDifference(plus, minus)
	if err != nil {
		return Number{}, err
	}
	half = m.Rounded(half)
	return Number{Re: half.Im, Im: m.new().Neg(half.Re), Err: half.Err}, nil
}

// Asin is the principal inverse sine, -i log(ia + sqrt(1-a^2)).
func (m *Machine) Asin(a Number) (Number, error) {
	if a.Rat != nil && a.Rat.Sign() == 0 {
		return a, nil
	}
	square, err := m.Mul(a, a)
	if err != nil {
		return Number{}, err
	}
	rest, err := m.Sub(Int(1), square)
	if err != nil {
		return Number{}, err
	}
	root, err := m.Sqrt(rest)
	if err != nil {
		return Number{}, err
	}
	turned, err := m.Mul(a, m.I())
	if err != nil {
		return Number{}, err
	}
	sum, err := m.Add(turned, root)
	if err != nil {
		return Number{}, err
	}
	l, err := m.Log(sum)
	if err != nil {
		return Number{}, err
	}
	l = m.Rounded(l)
	return Number{Re: l.Im, Im: m.new().Neg(l.Re), Err: l.Err}, nil
}

// Acos is the principal inverse cosine, pi/2 - asin a.
func (m *Machine) Acos(a Number) (Number, error) {
	s, err := m.Asin(a)
	if err != nil {
		return Number{}, err
	}
	half := m.Pi()
	half.Re.SetMantExp(half.Re, -1)
	return m.Sub(half, s)
}
