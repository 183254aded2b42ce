// Package random draws from counter-based streams: data, traces and the order of examples depend on seeds alone.
package random

import (
	"hash/fnv"
	"math/bits"
)

// Rand is a counter-based generator: draw i of a stream is a fixed function of (seed, stream, i), so that data are the same on
// every machine and a stream can be continued from its count alone. It is splitmix64's output function over a keyed counter.
type Rand struct {
	key   uint64
	count uint64 // draws so far
}

// New starts a stream. Different streams of one seed are independent.
func New(seed, stream uint64) *Rand {
	return &Rand{key: mix(mix(seed) ^ stream*0xD1342543DE82EF95)}
}

// Named starts the stream of a seed, a name (of a Tree) and numbers (epoch, index, ...). Other arguments give a stream that has
// nothing to do with it, so that what is drawn does not depend on what else is in a file.
func Named(seed uint64, name string, numbers ...uint64) *Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	key := mix(mix(seed) ^ h.Sum64())
	for _, n := range numbers {
		key = mix(key ^ (n+1)*0xD1342543DE82EF95)
	}
	return &Rand{key: key}
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

// Shuffle puts the numbers in random order, in place.
func (r *Rand) Shuffle(numbers []int) {
	for i := len(numbers) - 1; i > 0; i-- {
		j := r.Intn(i + 1)
		numbers[i], numbers[j] = numbers[j], numbers[i]
	}
}

// Shuffled returns the numbers in random order; the argument stays as it is.
func (r *Rand) Shuffled(numbers []int) []int {
	s := append([]int(nil), numbers...)
	r.Shuffle(s)
	return s
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
