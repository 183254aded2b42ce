package grpo

import (
	"fmt"

	"astro/training/trainer"

	. "github.com/gomlx/gomlx/core/graph"
)

// Objective is the loss of one token, with ratio = p / p_behaviour of its probability now and when it was drawn and its advantage A:
//
//	-gain + KL (exp(d) - d - 1),  d = log p_reference - log p
//
// What is gained is the Kind's. The other part is the estimate k3 of the KL divergence to a reference (Schulman 2020; Shao et al., arXiv
// 2402.03300, eq. 4).
type Objective struct {
	Kind      Kind      `json:",omitempty"` // "" is KindClip
	ClipLow   float64   // in (0, 1]; 1 = ratios are not clipped below
	ClipHigh  float64   // above 0
	DualClip  float64   // largest ratio that counts where A < 0 (Ye et al., arXiv 1912.09729, eq. 5), above 1; 0 = none; of KindClip alone
	KL        float64   // weight of the KL part; 0 = there is none, and no reference is needed
	Staleness Staleness `json:",omitzero"`
}

// Kind says what a token gains.
type Kind string

// The kinds.
const (
	// KindClip: min(ratio A, clip(ratio, 1 - ClipLow, 1 + ClipHigh) A), PPO's (Schulman et al., arXiv 1707.06347, eq. 7), with bounds of
	// its own on each side so that unlikely tokens can rise (DAPO's clip-higher, Yu et al., arXiv 2503.14476, eq. 10).
	KindClip Kind = "clip"
	// KindGSPO: min(s A, clip(s, 1 - ClipLow, 1 + ClipHigh) A), where s = exp(mean of log ratio over the tokens of the answer) is the same
	// for all of them, so that an answer is clipped as a whole (Zheng et al., GSPO, arXiv 2507.18071, eq. 5 and 7; with NormSequences it is
	// their loss). s is nearer to 1 than single ratios are: they clip by 3e-4 and 4e-4.
	KindGSPO Kind = "gspo"
	// KindCISPO: clip(ratio, 1 - ClipLow, 1 + ClipHigh) A log p, where no gradient flows through the ratio, so that what is clipped teaches
	// too (MiniMax-M1's CISPO, arXiv 2506.13585, eq. 4 and 5; with NormTokens it is their loss). They do not clip below.
	KindCISPO Kind = "cispo"
)

// kind names what "" stands for.
func (o Objective) kind() Kind {
	if o.Kind == "" {
		return KindClip
	}
	return o.Kind
}

// DefaultObjective clips as DAPO does, without a reference.
func DefaultObjective() Objective { return Objective{ClipLow: .2, ClipHigh: .28} }

// Validate says what is wrong with it, or nil.
func (o Objective) Validate() error {
	switch k := o.kind(); {
	case k != KindClip && k != KindGSPO && k != KindCISPO:
		return fmt.Errorf("a loss of the kind %q: want clip, gspo or cispo", o.Kind)
	case !(o.ClipLow > 0 && o.ClipLow <= 1) || !(o.ClipHigh > 0 && o.ClipHigh <= 1e6):
		return fmt.Errorf("ratios clipped by %g and %g: want more than 0, and at most 1 below", o.ClipLow, o.ClipHigh)
	case o.DualClip != 0 && !(o.DualClip > 1 && o.DualClip <= 1e6):
		return fmt.Errorf("a dual clip of %g: want more than 1, or 0 for none", o.DualClip)
	case o.DualClip != 0 && k != KindClip:
		return fmt.Errorf("a dual clip of %g with a loss of the kind %s: want 0, for it belongs to the kind clip", o.DualClip, k)
	case !(o.KL >= 0 && o.KL <= 1e6):
		return fmt.Errorf("a KL weight of %g: want at least 0", o.KL)
	}
	return o.Staleness.validate()
}

// Columns of the Loss, by their place.
const (
	behaviour = iota // log-probability of the token when it was drawn; with Staleness, under the weights before the step
	advantage        // of its sequence; with Staleness, times the token's weight
	reference        // log-probability under the reference; only with KL
)

// Stats of the Loss, by their place.
const (
	statEntropy   = iota // mean, in nats
	statClipped          // share of tokens whose ratio, or whose answer's with KindGSPO, was cut; but for KindCISPO they have no gradient
	statKL               // mean k3 estimate of KL(behaviour || now)
	statRatio            // largest ratio of a token
	statGap              // largest |log ratio|
	statReference        // mean k3 estimate of KL(now || reference); only with KL
)

// maxLogRatio bounds log-ratios before they are exponentiated, so that no single token makes a step infinite.
const maxLogRatio = 20

// Loss is the Objective as the trainer takes it.
func (o Objective) Loss() trainer.Loss {
	l := trainer.Loss{Name: "grpo", Columns: []string{"behaviour", "advantage"}, Build: o.build,
		Stats: []trainer.Stat{{Name: "entropy"}, {Name: "clipped"}, {Name: "kl"}, {Name: "ratio", Max: true}, {Name: "gap", Max: true}}}
	if k := o.kind(); k != KindClip {
		l.Name += "_" + string(k)
	}
	if o.KL > 0 {
		l.Name += "_kl"
		l.Columns = append(l.Columns, "reference")
		l.Stats = append(l.Stats, trainer.Stat{Name: "reference_kl"})
	}
	return l
}

func (o Objective) build(t trainer.Tokens) (terms *Node, stats []*Node) {
	terms, stats = o.terms(t)
	return terms, append([]*Node{t.Entropy}, stats...)
}

// terms are the loss of each token, and the stats behind the entropy.
func (o Objective) terms(t trainer.Tokens) (terms *Node, stats []*Node) {
	logRatio := bounded(Sub(t.Logprob, t.Columns[behaviour]))
	ratio := Exp(logRatio)
	gain, clipped := o.gain(t, ratio)
	terms = Neg(gain)
	stats = []*Node{ConvertDType(clipped, ratio.DType()), k3(logRatio), ratio, Abs(logRatio)}
	if o.KL > 0 {
		apart := bounded(Sub(t.Columns[reference], t.Logprob))
		terms = Add(terms, MulScalar(k3(apart), o.KL))
		stats = append(stats, k3(apart))
	}
	return terms, stats
}

// gain is that of the Kind, and which tokens were clipped.
func (o Objective) gain(t trainer.Tokens, ratio *Node) (gain, clipped *Node) {
	a := t.Columns[advantage]
	switch o.kind() {
	case KindCISPO:
		used := StopGradient(MaxScalar(MinScalar(ratio, 1+o.ClipHigh), 1-o.ClipLow))
		return Mul(Mul(used, a), t.Logprob), NotEqual(used, ratio)
	case KindGSPO:
		ratio = Exp(bounded(t.ExampleMean(Sub(t.Logprob, t.Columns[behaviour]))))
	}
	used := o.used(ratio, a)
	return Mul(used, a), NotEqual(used, ratio)
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
