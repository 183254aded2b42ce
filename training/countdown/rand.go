package countdown

import "math/bits"

// Rand is a counter-based generator: draw i of a stream is a fixed function of (seed, stream, i), so that data are the same on
// every machine and a stream can be continued from its count alone. It is splitmix64's output function over a keyed counter.
type Rand struct {
	key   uint64
	count uint64 // draws so far
}

// NewRand starts a stream. Different streams of one seed are independent.
func NewRand(seed, stream uint64) *Rand {
	return &Rand{key: mix(mix(seed) ^ stream*0xD1342543DE82EF95)}
}

// Uint64 draws 64 uniform bits.
func (r *Rand) Uint64() uint64 {
	r.count++
	return mix(r.key + r.count*0x9E3779B97F4A7C15)
}

// Intn draws from 0 to n-1 (the bias is below n/2^64). n must be positive.
func (r *Rand) Intn(n int) int {
	if n <= 0 {
		panic("BUG: Intn wants a positive n")
	}
	high, _ := bits.Mul64(r.Uint64(), uint64(n))
	return int(high)
}

// Chance is true with probability p.
func (r *Rand) Chance(p float64) bool { return float64(r.Uint64()>>11)/(1<<53) < p }

// Weighted draws an index with probability proportional to its weight.
func (r *Rand) Weighted(weights []float64) int {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	x := float64(r.Uint64()>>11) / (1 << 53) * sum
	for i, w := range weights {
		if x -= w; x < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// Shuffled returns the numbers in random order; the argument stays as it is.
func (r *Rand) Shuffled(numbers []int) []int {
	s := append([]int(nil), numbers...)
	for i := len(s) - 1; i > 0; i-- {
		j := r.Intn(i + 1)
		s[i], s[j] = s[j], s[i]
	}
	return s
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
