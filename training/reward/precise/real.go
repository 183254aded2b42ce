package precise

import (
	"math"
	"math/big"
)

// The functions of this file take and give plain real numbers of Bits+guardBits bits. Their error is below 2^-Bits, relative
// for exp and absolute for the others; what the error of the argument adds is the caller's business.

// expReal is e^x for |x| < 2^24.
func (m *Machine) expReal(x *big.Float) *big.Float {
	k := 0
	if magnitude(x) > -1 {
		q, _ := m.new().Quo(x, log2).Float64()
		k = int(math.Round(q))
	}
	r := m.finer().Mul(log2, m.finer().SetInt64(int64(k)))
	r.Sub(m.finer().Set(x), r)
	const halvings = 12
	r.SetMantExp(r, -halvings)
	sum := m.series(m.fixed(r), 0, 1, 1)
	for range halvings {
		sum.Rsh(sum.Mul(sum, sum), m.places())
	}
	return m.new().SetMantExp(m.float(sum), k)
}

// nearestMultiple is x/unit as the nearest integer, or one beside it.
func nearestMultiple(x, unit *big.Float, precision uint) *big.Int {
	if f, _ := x.Float64(); math.Abs(f) < 1<<30 {
		u, _ := unit.Float64()
		return big.NewInt(int64(math.Round(f / u)))
	}
	quotient := new(big.Float).SetPrec(precision).Quo(x, unit)
	n, _ := quotient.Int(nil)
	return n
}

// places is the number of binary places of the fixed-point integers that the series are summed with.
func (m *Machine) places() uint { return m.Bits + 2*guardBits }

// fixed is x in fixed point.
func (m *Machine) fixed(x *big.Float) *big.Int {
	n, _ := m.finer().SetMantExp(x, int(m.places())).Int(nil)
	return n
}

// float is a fixed-point number as a floating one.
func (m *Machine) float(n *big.Int) *big.Float {
	f := m.new().SetInt(n)
	return f.SetMantExp(f, -int(m.places()))
}

// series is the sum of sign^j r^n/n! over n = first, first+step, ..., where j counts the terms.
func (m *Machine) series(r *big.Int, first, step int64, sign int) *big.Int {
	term := new(big.Int).Lsh(big.NewInt(1), m.places())
	power := r
	if first == 1 {
		term.Set(r)
	}
	if step == 2 {
		power = new(big.Int).Rsh(new(big.Int).Mul(r, r), m.places())
	}
	sum, divisor := new(big.Int).Set(term), new(big.Int)
	for n := first + 1; term.BitLen() > 1; n += step {
		term.Rsh(term.Mul(term, power), m.places())
		below := n
		if step == 2 {
			below = n * (n + 1)
		}
		term.Quo(term, divisor.SetInt64(below))
		if sign < 0 {
			term.Neg(term)
		}
		sum.Add(sum, term)
	}
	return sum
}

// finer has bits for what squarings and reductions lose.
func (m *Machine) finer() *big.Float { return new(big.Float).SetPrec(m.Bits + 2*guardBits) }

// logReal is log x for x > 0, by Halley's rule on exp.
func (m *Machine) logReal(x *big.Float) *big.Float {
	mantissa := m.new()
	k := x.MantExp(mantissa)
	f, _ := mantissa.Float64()
	y := m.new().SetFloat64(math.Log(f))
	for bits := 48; bits < int(m.Bits)+guardBits; bits *= 3 {
		e := m.expReal(y)
		step := m.new().Quo(m.new().Sub(mantissa, e), m.new().Add(mantissa, e))
		y.Add(y, step.SetMantExp(step, 1))
	}
	return y.Add(y, m.new().Mul(log2, m.new().SetInt64(int64(k))))
}

// sinCosReal is sin x and cos x for |x| < 2^maxTrigBits.
func (m *Machine) sinCosReal(x *big.Float) (sin, cos *big.Float) {
	precision := m.Bits + 2*guardBits + uint(max(magnitude(x), 0))
	half := new(big.Float).SetPrec(precision).Set(pi)
	half.SetMantExp(half, -1)
	turns := nearestMultiple(x, half, precision)
	r := new(big.Float).SetPrec(precision).SetInt(turns)
	r.Sub(new(big.Float).SetPrec(precision).Set(x), r.Mul(r, half))
	small := m.fixed(r)
	sin, cos = m.float(m.series(small, 1, 2, -1)), m.float(m.series(small, 0, 2, -1))
	switch quarter := new(big.Int).And(turns, big.NewInt(3)).Int64(); quarter {
	case 1:
		return cos, sin.Neg(sin)
	case 2:
		return sin.Neg(sin), cos.Neg(cos)
	case 3:
		return cos.Neg(cos), sin
	}
	return sin, cos
}

// atanReal is the angle of the tangent x.
func (m *Machine) atanReal(x *big.Float) *big.Float {
	one := m.new().SetInt64(1)
	if magnitude(x) > 0 && m.new().Abs(x).Cmp(one) > 0 {
		rest := m.atanReal(m.new().Quo(one, x))
		half := m.new().Set(pi)
		half.SetMantExp(half, -1)
		if x.Sign() < 0 {
			half.Neg(half)
		}
		return half.Sub(half, rest)
	}
	y := m.new().Set(x)
	const halvings = 4
	for range halvings { // tan(a/2) = tan a / (1 + sqrt(1 + tan^2 a))
		root := m.new().Add(one, m.new().Mul(y, y))
		root.Sqrt(root)
		y.Quo(y, root.Add(root, one))
	}
	sum := m.float(m.arctanSeries(m.fixed(y)))
	return sum.SetMantExp(sum, halvings)
}

// arctanSeries is r - r^3/3 + r^5/5 - ...
func (m *Machine) arctanSeries(r *big.Int) *big.Int {
	square := new(big.Int).Rsh(new(big.Int).Mul(r, r), m.places())
	square.Neg(square)
	sum, power, divisor, term := new(big.Int).Set(r), new(big.Int).Set(r), new(big.Int), new(big.Int)
	for n := int64(3); power.BitLen() > 1; n += 2 {
		power.Rsh(power.Mul(power, square), m.places())
		sum.Add(sum, term.Quo(power, divisor.SetInt64(n)))
	}
	return sum
}

// angle is atan2(y, x) for a number that is not zero.
func (m *Machine) angle(y, x *big.Float) *big.Float {
	if x.Sign() == 0 {
		half := m.new().Set(pi)
		half.SetMantExp(half, -1)
		if y.Sign() < 0 {
			half.Neg(half)
		}
		return half
	}
	a := m.atanReal(m.new().Quo(y, x))
	switch {
	case x.Sign() > 0:
		return a
	case y.Sign() < 0:
		return a.Sub(a, pi)
	}
	return a.Add(a, pi)
}
