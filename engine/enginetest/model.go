package enginetest

import (
	"cmp"
	"math"
	"slices"

	"astro/engine"
	"astro/sampler"
)

// hash is what the fake model computes from a context: it depends on the version and on every token before it, in order,
// as keys and values do.
type hash uint64

// begin is the hash of an empty context.
func begin(version int64) hash { return hash(mix(uint64(version) ^ 0x5851f42d4c957f2d)) }

// after is the hash of the context with one more token.
func (h hash) after(token int32) hash { return hash(mix(uint64(h)*31 + uint64(token) + 1)) }

// mix is the finaliser of splitmix64 (Steele et al. 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit maps 64 bits to a number strictly between 0 and 1.
func unit(z uint64) float64 { return (float64(z>>11) + 0.5) / (1 << 53) }

// logits [vocab] are pseudo-random in (-6, 6): enough for the context to matter beside the noise of a draw.
func (h hash) logits(vocab int) []float64 {
	l := make([]float64, vocab)
	for v := range l {
		l[v] = 12*unit(mix(uint64(h)^mix(uint64(v)))) - 6
	}
	return l
}

// logSoftmax normalises a copy of logits.
func logSoftmax(logits []float64) []float64 {
	top, sum := slices.Max(logits), 0.0
	for _, x := range logits {
		sum += math.Exp(x - top)
	}
	out := make([]float64, len(logits))
	for v, x := range logits {
		out[v] = x - top - math.Log(sum)
	}
	return out
}

// draw chooses a token by the Gumbel-max rule with counter-based noise. Of Params it knows temperature, logit bias and seed;
// the rest is the sampler package's to test.
func draw(row *sampler.Row, h hash, vocab int) sampler.Choice {
	raw := h.logits(vocab)
	scaled := slices.Clone(raw)
	for id, bias := range row.Params.LogitBias {
		scaled[id] += float64(bias)
	}
	for _, id := range row.Banned {
		scaled[id] = math.Inf(-1)
	}
	for id := range scaled {
		if row.Allowed != nil && row.Allowed[id/64]>>(id%64)&1 == 0 {
			scaled[id] = math.Inf(-1)
		}
	}
	if t := float64(row.Params.Temperature); t > 0 {
		for v := range scaled {
			scaled[v] /= t
		}
	}
	best, bestValue := 0, math.Inf(-1)
	for v, x := range scaled {
		if row.Params.Temperature > 0 {
			x -= math.Log(-math.Log(unit(mix(mix(row.Params.Seed+uint64(row.Position())) + uint64(v)))))
		}
		if x > bestValue {
			best, bestValue = v, x
		}
	}
	return choice(row, int32(best), raw, scaled)
}

func choice(row *sampler.Row, token int32, raw, scaled []float64) sampler.Choice {
	logprobs := logSoftmax(raw)
	c := sampler.Choice{Top: top(logprobs, row.TopN)}
	c.Token, c.Logprob = token, float32(logprobs[token])
	if row.Params.Temperature > 0 {
		c.Sampled = float32(logSoftmax(scaled)[token])
	}
	return c
}

// top lists the n most probable tokens, best first.
func top(logprobs []float64, n int) []sampler.TokenLogprob {
	all := make([]sampler.TokenLogprob, len(logprobs))
	for v, l := range logprobs {
		all[v] = sampler.TokenLogprob{Token: int32(v), Logprob: float32(l)}
	}
	slices.SortStableFunc(all, func(a, b sampler.TokenLogprob) int { return cmp.Compare(b.Logprob, a.Logprob) })
	return slices.Clone(all[:min(n, len(all))])
}

// score is the log-probability of target after a context.
func score(h hash, target int32, vocab, topN int) engine.TokenScore {
	if target < 0 {
		return engine.TokenScore{TokenLogprob: sampler.TokenLogprob{Token: -1}}
	}
	logprobs := logSoftmax(h.logits(vocab))
	s := engine.TokenScore{Top: top(logprobs, topN)}
	s.Token, s.Logprob = target, float32(logprobs[target])
	return s
}
