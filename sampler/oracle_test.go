package sampler

import (
	"math"
	"slices"
)

// The oracle says what a draw must do, in the plainest way: f64, sorting, one parameter after the other. It shares no code with
// what it judges.

// oracle is the distribution that a row must be drawn from.
type oracle struct {
	probs []float64 // by token; 0 = not kept
	clear bool      // false: rounding may decide what is kept, so nothing can be said
}

func newOracle(logits []float32, row *Row) oracle {
	o := oracle{clear: true}
	p := &row.Params
	final := oracleLogits(logits, row)
	if p.Temperature == 0 {
		o.probs = make([]float64, len(final))
		o.probs[slices.Index(final, slices.Max(final))] = 1
		return o
	}
	for i := range final {
		final[i] /= float64(p.Temperature)
	}
	o.probs = softmax(final)
	o.minP(float64(p.MinP))
	o.topK(p.TopK)
	o.topP(float64(p.TopP))
	return o
}

// oracleLogits applies bias, bans and penalties.
func oracleLogits(logits []float32, row *Row) []float64 {
	p := &row.Params
	final := make([]float64, len(logits))
	for i := range logits {
		token := int32(i)
		v := float64(logits[i]) + float64(p.LogitBias[token])
		if slices.Contains(row.Prompt, token) || slices.Contains(row.Output, token) {
			if v > 0 {
				v /= float64(p.RepetitionPenalty)
			} else {
				v *= float64(p.RepetitionPenalty)
			}
		}
		for n, t := range row.Output {
			if t == token {
				v -= float64(p.FrequencyPenalty)
				if slices.Index(row.Output, t) == n {
					v -= float64(p.PresencePenalty)
				}
			}
		}
		if slices.Contains(row.Banned, token) || row.Allowed != nil && row.Allowed[i/64]&(1<<(i%64)) == 0 {
			v = math.Inf(-1)
		}
		final[i] = v
	}
	return final
}

func softmax(x []float64) []float64 {
	probs, sum := make([]float64, len(x)), 0.0
	for i := range x {
		probs[i] = math.Exp(x[i] - slices.Max(x))
		sum += probs[i]
	}
	for i := range probs {
		probs[i] /= sum
	}
	return probs
}

// keepFrom drops what is less probable than least and lets the rest sum to 1.
func (o *oracle) keepFrom(least float64) {
	sum := 0.0
	for i, p := range o.probs {
		if p < least {
			o.probs[i] = 0
		}
		sum += o.probs[i]
	}
	for i := range o.probs {
		o.probs[i] /= sum
	}
}

func (o *oracle) minP(fraction float64) {
	least := fraction * slices.Max(o.probs)
	for _, p := range o.probs {
		o.clear = o.clear && (p == 0 || least == 0 || math.Abs(math.Log(p/least)) > 1e-4)
	}
	o.keepFrom(least)
}

// sorted lists the probabilities from the largest on.
func (o *oracle) sorted() []float64 {
	s := slices.Clone(o.probs)
	slices.Sort(s)
	slices.Reverse(s)
	return s
}

func (o *oracle) topK(k int) {
	if k > 0 && k < len(o.probs) {
		o.keepFrom(max(o.sorted()[k-1], math.SmallestNonzeroFloat64) * (1 - 1e-12))
	}
}

func (o *oracle) topP(share float64) {
	if share >= 1 {
		return
	}
	sum := 0.0
	for _, p := range o.sorted() {
		sum += p
		o.clear = o.clear && math.Abs(sum-share) > 1e-4
		if sum >= share {
			o.keepFrom(p * (1 - 1e-12))
			return
		}
	}
}

// winner is the token that the noise of the row makes the first, and how far ahead it is of the second, relative.
func (o *oracle) winner(row *Row) (token int32, lead float64) {
	first, second := 0.0, 0.0
	k := row.key()
	for i, p := range o.probs {
		if p == 0 {
			continue
		}
		speed := p / -math.Log1p(-float64(k.uniform(int32(i))))
		if speed > first {
			token, first, second = int32(i), speed, first
		} else if speed > second {
			second = speed
		}
	}
	return token, (first - second) / first
}
