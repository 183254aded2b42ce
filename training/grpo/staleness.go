package grpo

import (
	"fmt"
	"math"
)

// Staleness says what becomes of rollouts that other weights drew than those which learn, be it an older Version or another program.
//
// Without it ratios are to the behaviour policy mu, which drew the rollout: what is far from it is clipped before anything was learned.
// With it they are to the policy before the step, and a token's gain is multiplied by how much likelier that made it than mu:
//
//	w = min(TIS, p_before / mu)
//
// This is decoupled PPO (Hilton et al., arXiv 2110.00641, section 3; AReaL, Fu et al., arXiv 2505.24298, section 5), its weight truncated
// as in verl. The KL part and what the loss is divided by are as without it.
type Staleness struct {
	TIS float64 // largest weight, at least 1; 2 is usual; 0 = off
}

// maxTIS bounds it.
const maxTIS = 1e6

func (s Staleness) validate() error {
	if s.TIS != 0 && !(s.TIS >= 1 && s.TIS <= maxTIS) {
		return fmt.Errorf("importance weights truncated at %g: want 1 to %g, or 0 to go without", s.TIS, float64(maxTIS))
	}
	return nil
}

// weight is that of a token by its log-probabilities, and whether it was truncated.
func (s Staleness) weight(before, behaviour float32) (w float64, capped bool) {
	apart := float64(before) - float64(behaviour)
	w = math.Exp(max(-maxLogRatio, min(maxLogRatio, apart)))
	return min(w, s.TIS), w > s.TIS
}

// anchoring counts what Staleness did to the tokens of a step.
type anchoring struct {
	tokens, capped int
	weights        float64 // their sum
	gap            float64 // largest |log p_before - log mu| where both are of the same Version
	gaps           float64 // their sum
	divergence     float64 // sum of the k3 estimates of KL(mu || before)
	compared       int     // tokens of it
}

// anchor makes the policy before the step what ratios of a share are to, and weighs the advantages; before[i] are the log-probabilities
// of batches[i]'s targets under it, and version is its own.
func (s Staleness) anchor(share share, before [][]float32, version int64, count *anchoring) {
	for _, p := range share.places {
		b, logprobs := share.batches[p.batch], before[p.batch]
		for i := range p.rollout.Tokens {
			at := p.at + i
			mu := b.Columns[behaviour][at]
			w, capped := s.weight(logprobs[at], mu)
			b.Columns[behaviour][at] = logprobs[at]
			b.Columns[advantage][at] *= float32(w)
			count.add(w, capped)
			if p.rollout.Version == version {
				count.compare(float64(logprobs[at]) - float64(mu))
			}
		}
	}
}

func (a *anchoring) add(weight float64, capped bool) {
	a.tokens++
	a.weights += weight
	if capped {
		a.capped++
	}
}

// compare takes log p_before - log mu of a token.
func (a *anchoring) compare(apart float64) {
	gap, d := math.Abs(apart), max(-maxLogRatio, min(maxLogRatio, apart))
	a.gap, a.gaps, a.compared = max(a.gap, gap), a.gaps+gap, a.compared+1
	a.divergence += math.Exp(d) - d - 1
}

// anchor does so with the shares of a step, before its first update.
func (l *Learner) anchor(shares []share, r *Report) error {
	staleness, count := l.config.Objective.Staleness, anchoring{}
	if staleness.TIS == 0 {
		return nil
	}
	for _, s := range shares {
		var before [][]float32
		for _, b := range s.batches {
			logprobs, err := l.trainer.Score(b)
			if err != nil {
				return err
			}
			before = append(before, logprobs)
		}
		staleness.anchor(s, before, l.sampler.Version(), &count)
	}
	n := float64(max(1, count.tokens))
	r.Gap, r.Weight, r.Capped = count.gap, count.weights/n, float64(count.capped)/n
	compared := float64(max(1, count.compared))
	r.MeanGap, r.GapKL, r.Compared = count.gaps/compared, count.divergence/compared, count.compared
	return nil
}
