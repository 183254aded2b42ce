package precise

import "math/big"

// constantBits is the precision of pi and log 2: that of the second, finer run and what the reduction of an angle needs.
const constantBits = 512 + 2*guardBits + maxTrigBits

var (
	pi   = machin()
	log2 = seriesLog2()
)

func constant() *big.Float { return new(big.Float).SetPrec(constantBits) }

// arctanInverse is atan(1/n) = 1/n - 1/(3n^3) + 1/(5n^5) - ...
func arctanInverse(n int64) *big.Float {
	power := constant().Quo(big.NewFloat(1), constant().SetInt64(n))
	square := constant().SetInt64(n * n)
	sum := constant()
	for k := int64(1); magnitude(power) > -constantBits-8; k += 2 {
		term := constant().Quo(power, constant().SetInt64(k))
		if k%4 == 3 {
			term.Neg(term)
		}
		sum.Add(sum, term)
		power.Quo(power, square)
	}
	return sum
}

// machin is pi = 16 atan(1/5) - 4 atan(1/239).
func machin() *big.Float {
	a := constant().Mul(arctanInverse(5), constant().SetInt64(16))
	b := constant().Mul(arctanInverse(239), constant().SetInt64(4))
	return a.Sub(a, b)
}

// seriesLog2 is log 2 = sum of 1/(k 2^k).
func seriesLog2() *big.Float {
	sum := constant()
	for k := 1; k < constantBits+8; k++ {
		term := constant().Quo(big.NewFloat(1), constant().SetInt64(int64(k)))
		sum.Add(sum, term.SetMantExp(term, -k))
	}
	return sum
}

// Pi is the circle's number.
func (m *Machine) Pi() Number {
	return Number{Re: m.new().Set(pi), Im: m.new(), Err: 3 - int(m.Bits)}
}

// E is the base of the natural logarithm.
func (m *Machine) E() (Number, error) { return m.Exp(Int(1)) }

// I is the imaginary unit.
func (m *Machine) I() Number {
	return Number{Re: m.new(), Im: m.new().SetInt64(1), Err: -int(m.Bits)}
}
