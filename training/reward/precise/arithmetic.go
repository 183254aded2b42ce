package precise

import "math/big"

// Neg is -a.
func (m *Machine) Neg(a Number) (Number, error) {
	if a.Rat != nil {
		return Exact(new(big.Rat).Neg(a.Rat)), m.Spend(1)
	}
	return Number{Re: m.new().Neg(a.Re), Im: m.new().Neg(a.Im), Err: a.Err}, m.Spend(1)
}

// Add is a+b.
func (m *Machine) Add(a, b Number) (Number, error) {
	if a.Rat != nil && b.Rat != nil {
		if err := m.Spend(rationalCost(a.Rat, b.Rat)); err != nil {
			return Number{}, err
		}
		return rational(new(big.Rat).Add(a.Rat, b.Rat))
	}
	if err := m.Spend(2); err != nil {
		return Number{}, err
	}
	a, b = m.Rounded(a), m.Rounded(b)
	return m.made(m.new().Add(a.Re, b.Re), m.new().Add(a.Im, b.Im), max(a.Err, b.Err)+1)
}

// Sub is a-b.
func (m *Machine) Sub(a, b Number) (Number, error) {
	b, err := m.Neg(b)
	if err != nil {
		return Number{}, err
	}
	return m.Add(a, b)
}

// Mul is a*b.
func (m *Machine) Mul(a, b Number) (Number, error) {
	if a.Rat != nil && b.Rat != nil {
		if err := m.Spend(rationalCost(a.Rat, b.Rat)); err != nil {
			return Number{}, err
		}
		return rational(new(big.Rat).Mul(a.Rat, b.Rat))
	}
	if err := m.Spend(4); err != nil {
		return Number{}, err
	}
	if a.IsZero() && a.Rat != nil || b.IsZero() && b.Rat != nil {
		return Int(0), nil
	}
	a, b = m.Rounded(a), m.Rounded(b)
	re := m.new().Mul(a.Re, b.Re)
	im := m.new()
	if a.Im.Sign() != 0 || b.Im.Sign() != 0 {
		re.Sub(re, m.new().Mul(a.Im, b.Im))
		im.Add(m.new().Mul(a.Re, b.Im), m.new().Mul(a.Im, b.Re))
	}
	return m.made(re, im, max(a.size()+b.Err, b.size()+a.Err, a.Err+b.Err)+2)
}

// Inv is 1/a.
func (m *Machine) Inv(a Number) (Number, error) {
	if a.IsZero() {
		return Number{}, ErrUndefined
	}
	if err := m.Spend(6); err != nil {
		return Number{}, err
	}
	if a.Rat != nil {
		return Exact(new(big.Rat).Inv(a.Rat)), nil
	}
	square := m.new().Mul(a.Re, a.Re)
	square.Add(square, m.new().Mul(a.Im, a.Im))
	re := m.new().Quo(a.Re, square)
	im := m.new().Quo(a.Im, square)
	return m.made(re, im.Neg(im), a.Err-magnitude(square)+3)
}

// Div is a/b.
func (m *Machine) Div(a, b Number) (Number, error) {
	if a.Rat != nil && b.Rat != nil && b.Rat.Sign() != 0 {
		if err := m.Spend(rationalCost(a.Rat, b.Rat)); err != nil {
			return Number{}, err
		}
		return rational(new(big.Rat).Quo(a.Rat, b.Rat))
	}
	inverse, err := m.Inv(b)
	if err != nil {
		return Number{}, err
	}
	return m.Mul(a, inverse)
}

// Abs is |a|.
func (m *Machine) Abs(a Number) (Number, error) {
	if a.Rat != nil {
		return Exact(new(big.Rat).Abs(a.Rat)), m.Spend(1)
	}
	if a.IsReal() {
		return Number{Re: m.new().Abs(a.Re), Im: m.new(), Err: a.Err}, m.Spend(1)
	}
	if err := m.Spend(8); err != nil {
		return Number{}, err
	}
	square := m.new().Mul(a.Re, a.Re)
	square.Add(square, m.new().Mul(a.Im, a.Im))
	return m.made(square.Sqrt(square), m.new(), a.Err+1)
}

// Floor is the largest integer that is not above the real number a. A rounded number that cannot be told from an integer is
// taken for it.
func (m *Machine) Floor(a Number) (Number, error) {
	if !a.IsReal() {
		return Number{}, ErrUndefined
	}
	if a.Rat == nil {
		return m.floorRounded(a)
	}
	if err := m.Spend(1 + words(a.Rat)); err != nil {
		return Number{}, err
	}
	q, r := new(big.Int).QuoRem(a.Rat.Num(), a.Rat.Denom(), new(big.Int))
	if r.Sign() < 0 {
		q.Sub(q, big.NewInt(1))
	}
	return Exact(new(big.Rat).SetInt(q)), nil
}

func (m *Machine) floorRounded(a Number) (Number, error) {
	if magnitude(a.Re) > int(m.Bits)-8 || a.Err > -8 {
		return Number{}, ErrOverLimit
	}
	if err := m.Spend(8); err != nil {
		return Number{}, err
	}
	near, _ := m.new().Add(a.Re, big.NewFloat(0.5)).Int(nil)
	if a.Re.Sign() < 0 {
		near, _ = m.new().Sub(a.Re, big.NewFloat(0.5)).Int(nil)
	}
	away := m.new().Sub(a.Re, m.new().SetInt(near))
	if away.Sign() < 0 && magnitude(away) > a.Err {
		near.Sub(near, big.NewInt(1))
	}
	return Exact(new(big.Rat).SetInt(near)), nil
}

// Compare orders two real numbers; 0 when they cannot be told apart.
func (m *Machine) Compare(a, b Number) (int, error) {
	if !a.IsReal() || !b.IsReal() {
		return 0, ErrUndefined
	}
	d, err := m.Sub(a, b)
	return d.Sign(), err
}
