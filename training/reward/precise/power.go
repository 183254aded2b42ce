package precise

import "math/big"

// Sqrt is the principal square root.
func (m *Machine) Sqrt(a Number) (Number, error) { return m.Root(a, 2) }

// Root is the n-th root, n >= 2: the real one of a real number where there is one, else the principal one.
func (m *Machine) Root(a Number, n int) (Number, error) {
	if n < 2 || n > 1000 {
		return Number{}, ErrOverLimit
	}
	if err := m.Spend(functionCost); err != nil {
		return Number{}, err
	}
	if a.IsZero() {
		return m.rootOfZero(a, n)
	}
	negative := a.IsReal() && a.Sign() < 0
	if negative && n%2 == 1 {
		a, _ = m.Neg(a)
		root, err := m.Root(a, n)
		if err != nil {
			return Number{}, err
		}
		return m.Neg(root)
	}
	if a.Rat != nil {
		if root, ok := m.exactRoot(new(big.Rat).Abs(a.Rat), n); ok && (!negative || n == 2) {
			return m.timesUnit(root, negative)
		}
	}
	if n == 2 && a.IsReal() {
		return m.realSqrt(m.Rounded(a), negative)
	}
	return m.byLogarithm(a, Exact(big.NewRat(1, int64(n))))
}

// rootOfZero keeps the uncertainty of a number that may be zero: the root of 2^e is 2^(e/n).
func (m *Machine) rootOfZero(a Number, n int) (Number, error) {
	if a.Rat != nil {
		return a, nil
	}
	return Number{Re: m.new(), Im: m.new(), Err: a.Err/n + 1}, nil
}

// timesUnit is a, or a*i.
func (m *Machine) timesUnit(a *big.Rat, imaginary bool) (Number, error) {
	if !imaginary {
		return Exact(a), nil
	}
	im := m.new().SetRat(a)
	return m.made(m.new(), im, magnitude(im)-int(m.Bits))
}

func (m *Machine) realSqrt(a Number, negative bool) (Number, error) {
	root := m.new().Sqrt(m.new().Abs(a.Re))
	err := a.Err - magnitude(root) + 2
	if negative {
		return m.made(m.new(), root, err)
	}
	return m.made(root, m.new(), err)
}

// exactRoot is the n-th root of a positive rational that is an n-th power.
func (m *Machine) exactRoot(a *big.Rat, n int) (*big.Rat, bool) {
	num, ok := intRoot(a.Num(), n)
	if !ok {
		return nil, false
	}
	den, ok := intRoot(a.Denom(), n)
	if !ok {
		return nil, false
	}
	return new(big.Rat).SetFrac(num, den), true
}

// intRoot is the n-th root of a perfect power below 2^2048. Larger numbers are not tried.
func intRoot(a *big.Int, n int) (*big.Int, bool) {
	if a.BitLen() > 2048 {
		return nil, false
	}
	if n == 2 {
		root := new(big.Int).Sqrt(a)
		return root, new(big.Int).Mul(root, root).Cmp(a) == 0
	}
	if a.IsInt64() && a.Int64() == 1 {
		return a, true
	}
	if n > a.BitLen() {
		return nil, false
	}
	root := newtonRoot(a, n)
	return root, new(big.Int).Exp(root, big.NewInt(int64(n)), nil).Cmp(a) == 0
}

// newtonRoot is the integer part of the n-th root of a > 0.
func newtonRoot(a *big.Int, n int) *big.Int {
	x := new(big.Int).Lsh(big.NewInt(1), uint(a.BitLen()/n+1))
	degree, less := big.NewInt(int64(n)), big.NewInt(int64(n-1))
	for {
		y := new(big.Int).Quo(a, new(big.Int).Exp(x, less, nil))
		y.Add(y, new(big.Int).Mul(x, less)).Quo(y, degree)
		if y.Cmp(x) >= 0 {
			return x
		}
		x = y
	}
}

// Pow is a^b. A rational power with an odd denominator of a negative real number is the real one.
func (m *Machine) Pow(a, b Number) (Number, error) {
	if b.Rat == nil {
		return m.generalPower(a, b)
	}
	if b.Rat.IsInt() {
		if !b.Rat.Num().IsInt64() {
			return m.hugePower(a, b)
		}
		return m.intPower(a, b.Rat.Num().Int64())
	}
	n := b.Rat.Denom()
	if n.BitLen() > 9 || b.Rat.Num().BitLen() > 31 {
		return m.generalPower(a, b)
	}
	root, err := m.Root(a, int(n.Int64()))
	if err != nil {
		return Number{}, err
	}
	return m.intPower(root, b.Rat.Num().Int64())
}

// hugePower: only 0, 1 and -1 have powers with exponents beyond 64 bits.
func (m *Machine) hugePower(a, b Number) (Number, error) {
	if a.Rat == nil || !a.Rat.IsInt() || a.Rat.Num().BitLen() > 1 {
		return Number{}, ErrOverLimit
	}
	switch {
	case a.Rat.Sign() == 0 && b.Rat.Sign() < 0:
		return Number{}, ErrUndefined
	case a.Rat.Sign() < 0 && b.Rat.Num().Bit(0) == 0:
		return Int(1), nil
	}
	return a, nil
}

func (m *Machine) intPower(a Number, n int64) (Number, error) {
	if n < 0 {
		inverse, err := m.Inv(a)
		if err != nil {
			return Number{}, err
		}
		if n == -n {
			return Number{}, ErrOverLimit
		}
		return m.intPower(inverse, -n)
	}
	if a.Rat != nil {
		return m.exactPower(a.Rat, n)
	}
	result, square := Int(1), a
	var err error
	for ; n > 0 && err == nil; n >>= 1 {
		if n&1 == 1 {
			result, err = m.Mul(result, square)
		}
		if n > 1 && err == nil {
			square, err = m.Mul(square, square)
		}
	}
	return result, err
}

// exactPower refuses a power of more than MaxBits bits before it begins.
func (m *Machine) exactPower(a *big.Rat, n int64) (Number, error) {
	bits := int64(max(a.Num().BitLen(), a.Denom().BitLen()))
	if bits <= 1 || n <= 1 {
		return m.trivialPower(a, n)
	}
	if n > MaxBits || bits*n > MaxBits {
		return Number{}, ErrOverLimit
	}
	size := int(bits*n)/64 + 1
	if err := m.Spend(4 + size*size/32); err != nil {
		return Number{}, err
	}
	e := big.NewInt(n)
	num, den := new(big.Int).Exp(a.Num(), e, nil), new(big.Int).Exp(a.Denom(), e, nil)
	return Exact(new(big.Rat).SetFrac(num, den)), nil
}

// trivialPower is a power with exponent 0 or 1, or of -1, 0 or 1. 0^0 is 1, as in polynomials and series.
func (m *Machine) trivialPower(a *big.Rat, n int64) (Number, error) {
	switch {
	case n == 0:
		return Int(1), m.Spend(1)
	case a.Sign() < 0 && n%2 == 0:
		return Exact(new(big.Rat).Neg(a)), m.Spend(1)
	}
	return Exact(a), m.Spend(1)
}

// generalPower is exp(b log a).
func (m *Machine) generalPower(a, b Number) (Number, error) {
	if a.IsZero() {
		if a.Rat != nil && b.IsReal() && b.Sign() > 0 {
			return Int(0), nil
		}
		return Number{}, ErrUndefined
	}
	return m.byLogarithm(a, b)
}

func (m *Machine) byLogarithm(a, b Number) (Number, error) {
	l, err := m.Log(a)
	if err != nil {
		return Number{}, err
	}
	p, err := m.Mul(l, b)
	if err != nil {
		return Number{}, err
	}
	return m.Exp(p)
}

// Factorial is n! of an exact integer 0 <= n <= 3000.
func (m *Machine) Factorial(a Number) (Number, error) {
	n, ok := a.Small()
	switch {
	case a.Rat != nil && (a.Rat.Sign() < 0 || !a.Rat.IsInt()):
		return Number{}, ErrUndefined
	case !ok || n > 3000:
		return Number{}, ErrOverLimit
	}
	if err := m.Spend(4 + n*n/2000); err != nil {
		return Number{}, err
	}
	return Exact(new(big.Rat).SetInt(new(big.Int).MulRange(1, int64(n)))), nil
}

// Binomial is n over k for an exact integer n up to 10,000 in size, or, for any exact n, k up to 1,000.
func (m *Machine) Binomial(a, b Number) (Number, error) {
	k, ok := b.Small()
	switch {
	case b.Rat != nil && (!b.Rat.IsInt() || b.Rat.Sign() < 0):
		return Number{}, ErrUndefined
	case a.Rat == nil || !ok:
		return Number{}, ErrOverLimit
	}
	n, whole := a.Small()
	if whole && 0 <= n && n <= 10_000 {
		if k > n {
			return Int(0), nil
		}
		k = min(k, n-k)
		if err := m.Spend(4 + k*(k/16+1)/4); err != nil {
			return Number{}, err
		}
		return Exact(new(big.Rat).SetInt(new(big.Int).Binomial(int64(n), int64(k)))), nil
	}
	return m.fallingBinomial(a, k)
}

func (m *Machine) fallingBinomial(a Number, k int) (Number, error) {
	if k > 1000 {
		return Number{}, ErrOverLimit
	}
	result := Int(1)
	var err error
	for i := 0; i < k && err == nil; i++ {
		factor := new(big.Rat).Sub(a.Rat, big.NewRat(int64(i), 1))
		factor.Quo(factor, big.NewRat(int64(i+1), 1))
		result, err = m.Mul(result, Exact(factor))
	}
	return result, err
}
