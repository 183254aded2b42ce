package sampler

import "math"

// A draw is a race: token i arrives after a time E(i)/mass(i), where mass is exp(logit/temperature) up to a factor and E is
// exponentially distributed noise; the first one is drawn, which is a sample of the softmax. (It is the Gumbel trick of
// arXiv 1411.0030 without its outer logarithm.) The noise of a token is a hash of (seed, position, token id): the same request draws
// the same tokens alone and in a crowd, on the host and on a device.
//
// Both forms do the same operations in f32 from the logits to the distances and from the hash to the uniform numbers, bit for bit.
// Their exp and log differ in the last bits, and sums in their order: another token can win only where two times, or a sum and the
// limit of top-p, agree to within 1e-6 of their size. That is about one draw in a million.

// key is the part of that hash that all tokens of a row share.
type key struct{ a, b uint32 }

func (r *Row) key() key { return r.keyAt(r.Position()) }

// keyAt is the key of another position.
func (r *Row) keyAt(position int) key {
	k := splitMix(r.Params.Seed + splitMix(uint64(position)))
	return key{uint32(k), uint32(k >> 32)}
}

func (k key) columns() (a, b int32) { return int32(k.a), int32(k.b) }

// splitMix is a bijective mixing of 64 bits (Steele, Lea & Flood 2014).
func splitMix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// Constants of the hash per token; 32-bit, because that is what every device multiplies.
const (
	tokenFactor = 0x9E3779B1
	mixFactor1  = 0x7FEB352D
	mixFactor2  = 0x846CA68B
)

// mix is a bijective mixing of 32 bits with low bias (Wellons, "lowbias32").
func mix(x uint32) uint32 {
	x = (x ^ x>>16) * mixFactor1
	x = (x ^ x>>15) * mixFactor2
	return x ^ x>>16
}

// uniform is the token's number in (0, 1).
func (k key) uniform(token int32) float32 { return unit(mix(mix(uint32(token)*tokenFactor+k.a) ^ k.b)) }

// unit maps a hash into (0, 1). It is finest near 0, where the winners are: of a vocabulary of 100 000 tokens a few are below 1e-4,
// and they must not be equal or rounded away.
func unit(h uint32) float32 { return min((float32(h)+0.5)*(1.0/(1<<32)), largestUnit) }

// largestUnit is the last f32 before 1.
const largestUnit = 1 - 1.0/(1<<24)

// exponential turns a uniform number into exponentially distributed noise; it is never less than the number.
func exponential(u float32) float32 { return -float32(math.Log1p(-float64(u))) }
