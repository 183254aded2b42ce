// Package precise computes with numbers whose error is known: exact rationals as long as they stay rational, complex
// numbers of a few hundred bits with a bound on their error after that. A number of operations is counted before each of
// them, so that a computation ends with ErrOverLimit instead of taking long.
package precise

import (
	"errors"
	"math"
	"math/big"
)

// ErrUndefined is the result of an operation that has no value: a division by zero, log 0.
var ErrUndefined = errors.New("undefined")

// ErrOverLimit is the result of a computation that would need more than its budget, or numbers above MaxBits.
var ErrOverLimit = errors.New("over the limit")

// MaxBits bounds the bits of an exact number.
const MaxBits = 200_000

const (
	guardBits    = 64      // bits that an elementary function works with beyond the wanted ones
	maxExponent  = 1 << 24 // largest binary exponent of a rounded number
	maxTrigBits  = 128     // sin x needs pi to this many more bits for |x| < 2^maxTrigBits
	exactZero    = math.MinInt32
	functionCost = 192 // one elementary function, in units of a multiplication
)

// Number is an exact rational (Rat not nil), or a complex number of which each part is known up to 2^Err.
type Number struct {
	Rat    *big.Rat
	Re, Im *big.Float
	Err    int
}

// Machine computes with Bits bits and stops when Budget, in units of about one multiplication, is spent. It is for one
// goroutine.
type Machine struct {
	Bits   uint
	Budget int
}

// Spend takes units from the budget, or says that there are too few.
func (m *Machine) Spend(units int) error {
	if units < 0 || units > m.Budget {
		m.Budget = 0
		return ErrOverLimit
	}
	m.Budget -= units
	return nil
}

// Exact is the number r.
func Exact(r *big.Rat) Number { return Number{Rat: r} }

// Int is the number n.
func Int(n int64) Number { return Number{Rat: big.NewRat(n, 1)} }

// IsInt says that n is an exact integer.
func (n Number) IsInt() bool { return n.Rat != nil && n.Rat.IsInt() }

// Small is the value of an exact integer below 2^31 in size.
func (n Number) Small() (int, bool) {
	if !n.IsInt() || n.Rat.Num().BitLen() > 31 {
		return 0, false
	}
	return int(n.Rat.Num().Int64()), true
}

// words is the size of a rational in machine words.
func words(r *big.Rat) int { return (r.Num().BitLen()+r.Denom().BitLen())/64 + 1 }

// rationalCost is the price of an operation on two rationals: a multiplication for integers, else a greatest common divisor.
func rationalCost(a, b *big.Rat) int {
	x, y := words(a), words(b)
	if a.IsInt() && b.IsInt() {
		return 1 + x*y/32
	}
	return 4 + (x+y)*(x+y)/8
}

// rational checks the size of a result.
func rational(r *big.Rat) (Number, error) {
	if r.Num().BitLen() > MaxBits || r.Denom().BitLen() > MaxBits {
		return Number{}, ErrOverLimit
	}
	return Exact(r), nil
}

// Rounded is n as a complex number of the machine's bits.
func (m *Machine) Rounded(n Number) Number {
	if n.Rat == nil {
		return n
	}
	re := m.new().SetRat(n.Rat)
	return Number{Re: re, Im: m.new(), Err: magnitude(re) - int(m.Bits) + 1}
}

func (m *Machine) new() *big.Float { return new(big.Float).SetPrec(m.Bits + guardBits) }

// magnitude is the e of the smallest 2^e above |x|.
func magnitude(x *big.Float) int {
	if x.Sign() == 0 {
		return exactZero
	}
	return x.MantExp(nil)
}

// size is magnitude for a complex number.
func (n Number) size() int { return max(magnitude(n.Re), magnitude(n.Im)) + 1 }

// IsReal says that nothing contradicts that the imaginary part is zero.
func (n Number) IsReal() bool { return n.Rat != nil || magnitude(n.Im) <= n.Err }

// IsZero says that nothing contradicts that n is zero.
func (n Number) IsZero() bool {
	if n.Rat != nil {
		return n.Rat.Sign() == 0
	}
	return magnitude(n.Re) <= n.Err && magnitude(n.Im) <= n.Err
}

// Sign of a real number; 0 when it cannot be told from zero.
func (n Number) Sign() int {
	if n.Rat != nil {
		return n.Rat.Sign()
	}
	if n.IsZero() {
		return 0
	}
	return n.Re.Sign()
}

// Loose says that the error is so large that equality means little: above 2^-180 of the size, for a number that is not zero.
func (n Number) Loose() bool { return n.Rat == nil && !n.IsZero() && n.Err > n.size()-180 }

// made checks the exponents of a rounded result and adds the error of one rounding.
func (m *Machine) made(re, im *big.Float, err int) (Number, error) {
	n := Number{Re: re, Im: im}
	size := max(magnitude(re), magnitude(im))
	if size > maxExponent {
		return Number{}, ErrOverLimit
	}
	n.Err = max(err, size-int(m.Bits)) + 1
	return n, nil
}
