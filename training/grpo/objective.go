package grpo

import (
	"fmt"

	"astro/training/trainer"

	. "github.com/gomlx/gomlx/core/graph"
)

// Objective is the loss of one token, with ratio = p / p_behaviour of its probability now and when it was drawn and its advantage A:
//
//	-min(ratio A, clip(ratio, 1 - ClipLow, 1 + ClipHigh) A) + KL (exp(d) - d - 1),  d = log p_reference - log p
//
// The first part is PPO's (Schulman et al., arXiv 1707.06347, eq. 7), with bounds of its own on each side so that unlikely tokens can
// rise (DAPO's clip-higher, arXiv 2503.14476, eq. 10). The second is the estimate k3 of the KL divergence to a reference (Schulman
// 2020; arXiv 2402.03300, eq. 4).
type Objective struct {
	ClipLow  float64 // in (0, 1]
	ClipHigh float64 // above 0
	DualClip float64 // largest ratio that counts where A < 0 (Ye et al., arXiv 1912.09729, eq. 5), above 1; 0 = none
	KL       float64 // weight of the KL part; 0 = there is none, and no reference is needed
}

// DefaultObjective clips as DAPO does, without a reference.
func DefaultObjective() Objective { return Objective{ClipLow: .2, ClipHigh: .28} }

// Validate says what is wrong with it, or nil.
func (o Objective) Validate() error {
	switch {
	case !(o.ClipLow > 0 && o.ClipLow <= 1) || !(o.ClipHigh > 0 && o.ClipHigh <= 1e6):
		return fmt.Errorf("ratios clipped by %g and %g: want more than 0, and at most 1 below", o.ClipLow, o.ClipHigh)
	case o.DualClip != 0 && !(o.DualClip > 1 && o.DualClip <= 1e6):
		return fmt.Errorf("a dual clip of %g: want more than 1, or 0 for none", o.DualClip)
	case !(o.KL >= 0 && o.KL <= 1e6):
		return fmt.Errorf("a KL weight of %g: want at least 0", o.KL)
	}
	return nil
}

// Columns of the Loss, by their place.
const (
	behaviour = iota // log-probability of the token when it was drawn
	advantage        // of its sequence
	reference        // log-probability under the reference; only with KL
)

// Stats of the Loss, by their place.
const (
	statEntropy   = iota // mean, in nats
	statClipped          // share of tokens whose ratio was cut, and which therefore have no gradient
	statKL               // mean k3 estimate of KL(behaviour || now)
	statRatio            // largest ratio
	statGap              // largest |log ratio|
	statReference        // mean k3 estimate of KL(now || reference); only with KL
)

// maxLogRatio bounds log-ratios before they are exponentiated, so that no single token makes a step infinite.
const maxLogRatio = 20

// Loss is the Objective as the trainer takes it.
func (o Objective) Loss() trainer.Loss {
	l := trainer.Loss{Name: "grpo", Columns: []string{"behaviour", "advantage"}, Build: o.build,
		Stats: []trainer.Stat{{Name: "entropy"}, {Name: "clipped"}, {Name: "kl"}, {Name: "ratio", Max: true}, {Name: "gap", Max: true}}}
	if o.KL > 0 {
		l.Name = "grpo_kl"
		l.Columns = append(l.Columns, "reference")
		l.Stats = append(l.Stats, trainer.Stat{Name: "reference_kl"})
	}
	return l
}

func (o Objective) build(t trainer.Tokens) (terms *Node, stats []*Node) {
	terms, stats = o.terms(t.Logprob, t.Columns)
	return terms, append([]*Node{t.Entropy()}, stats...)
}

// terms are the loss of each token, and the stats behind the entropy.
func (o Objective) terms(logprob *Node, columns []*Node) (terms *Node, stats []*Node) {
	logRatio := bounded(Sub(logprob, columns[behaviour]))
	ratio := Exp(logRatio)
	used := o.used(ratio, columns[advantage])
	terms = Neg(Mul(used, columns[advantage]))
	clipped := ConvertDType(NotEqual(used, ratio), ratio.DType())
	stats = []*Node{clipped, k3(logRatio), ratio, Abs(logRatio)}
	if o.KL > 0 {
		apart := bounded(Sub(columns[reference], logprob))
		terms = Add(terms, MulScalar(k3(apart), o.KL))
		stats = append(stats, k3(apart))
	}
	return terms, stats
}

// used is the ratio that counts: where A is not negative, min(ratio A, clip(ratio) A) is min(ratio, 1 + ClipHigh) A, and where it is
// negative, max(ratio, 1 - ClipLow) A, up to DualClip. Said so, it has one gradient even where both arguments are equal, as they all
// are when nothing has been learned yet.
func (o Objective) used(ratio, advantage *Node) *Node {
	up := MinScalar(ratio, 1+o.ClipHigh)
	down := MaxScalar(ratio, 1-o.ClipLow)
	if o.DualClip > 0 {
		down = MinScalar(down, o.DualClip)
	}
	return Where(GreaterOrEqual(advantage, ZerosLike(advantage)), up, down)
}

// k3 is exp(d) - d - 1, which is never negative.
func k3(d *Node) *Node { return AddScalar(Sub(Exp(d), d), -1) }

func bounded(logRatio *Node) *Node { return MaxScalar(MinScalar(logRatio, maxLogRatio), -maxLogRatio) }
