package linearize

import (
	"hash/fnv"
	"math/bits"
)

// stream is a counter-based generator: draw i is a fixed function of what it was keyed with and of i, on every machine.
type stream struct{ key, count uint64 }

// newStream starts the stream of a seed, a name (of a Tree) and numbers (epoch, index, ...). Other arguments give a stream that has
// nothing to do with it, so that a trace does not depend on what else is in a file.
func newStream(seed uint64, name string, numbers ...uint64) *stream {
	h := fnv.New64a()
	h.Write([]byte(name))
	key := mix(mix(seed) ^ h.Sum64())
	for _, n := range numbers {
		key = mix(key ^ (n+1)*0xD1342543DE82EF95)
	}
	return &stream{key: key}
}

// uint64 draws 64 uniform bits.
func (s *stream) uint64() uint64 {
	s.count++
	return mix(s.key + s.count*0x9E3779B97F4A7C15)
}

// intn draws from 0 to n-1; n is positive.
func (s *stream) intn(n int) int {
	high, _ := bits.Mul64(s.uint64(), uint64(n))
	return int(high)
}

// chance is true with probability p.
func (s *stream) chance(p float64) bool { return float64(s.uint64()>>11)/(1<<53) < p }

// shuffle puts the numbers in random order, in place.
func (s *stream) shuffle(numbers []int) {
	for i := len(numbers) - 1; i > 0; i-- {
		j := s.intn(i + 1)
		numbers[i], numbers[j] = numbers[j], numbers[i]
	}
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
