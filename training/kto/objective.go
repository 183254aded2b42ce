package kto

import (
	"fmt"
	"math"

	"astro/training/trainer"

	. "github.com/gomlx/gomlx/core/graph"
)

// Objective is the loss of one label, with r = log p - log p_reference of the tokens that it is on (their sum) and z the divergence from the
// reference at which a label is worth half:
//
//	Good (1 - sigmoid(Beta (r - z))) if they are good,  Bad (1 - sigmoid(Beta (z - r))) if not
//
// (Ethayarajh et al., arXiv 2402.01306, eq. 8: lambda - v). The loss of an update is the mean over all of its labels. No gradient flows
// through z, which is max(0, mean of r) over the update's labels of the same level. That is the estimate of KL(policy || reference) for a
// stretch of that length, because the answers were drawn by the policy; the article's mismatched pairs are for answers that were not.
// Steps and whole answers have a z each, for their r grow with their lengths.
//
// Where most labels are bad, pushing away from them is all that is learnt, and the policy ends anywhere. The article therefore wants the
// weights of all good labels together to be like those of all bad ones (section 4.2); Balance sees to it for each level of each update.
type Objective struct {
	Beta    float64 // how fast a value saturates; above 0
	Good    float64 // lambda_D, the weight of good labels
	Bad     float64 // lambda_U, that of bad ones
	Balance bool    // a weight is divided by twice the share of its kind among the labels of its level, but never more than maxBalance-fold
}

// maxBalance bounds what a rare label weighs.
const maxBalance = 8

// Validate says what is wrong with it, or nil.
func (o Objective) Validate() error {
	const most = 1e3
	if !(o.Beta > 0 && o.Beta <= most) || !(o.Good >= 0 && o.Good <= most) || !(o.Bad >= 0 && o.Bad <= most) || o.Good+o.Bad == 0 {
		return fmt.Errorf("beta %g, weights %g of good and %g of bad labels: want a beta above 0, weights from 0, not both 0, all at most %g", o.Beta, o.Good, o.Bad, most)
	}
	return nil
}

// balance is what the weight of labels is multiplied by: so many of their kind, of so many on their level.
func (o Objective) balance(kind, all float64) float64 {
	if !o.Balance || kind == all {
		return 1
	}
	return min(maxBalance, all/(2*kind))
}

// Levels of labels, by Label.level.
const (
	steps = iota
	outcomes
	levels
)

func (l Label) level() int {
	if l.Outcome {
		return outcomes
	}
	return steps
}

// worth is what an Objective makes of the labels of one update.
type worth struct {
	loss   float64         // mean
	slopes []float64       // d loss / d r, by label
	z      [levels]float64 // 0 where there are no labels
}

// of judges labels with their r.
func (o Objective) of(labels []Label, r []float64) worth {
	w := worth{slopes: make([]float64, len(labels))}
	var sum, all, good [levels]float64
	for i, l := range labels {
		sum[l.level()] += r[i]
		all[l.level()]++
		if l.Good {
			good[l.level()]++
		}
	}
	for level := range w.z {
		w.z[level] = max(0, sum[level]/max(1, all[level]))
	}
	n := float64(max(1, len(labels)))
	for i, l := range labels {
		at := l.level()
		weight, x := o.Good*o.balance(good[at], all[at])/n, o.Beta*(r[i]-w.z[at])
		if !l.Good {
			weight, x = o.Bad*o.balance(all[at]-good[at], all[at])/n, -x
		}
		far := sigmoid(-x) // 1 - sigmoid(x)
		w.loss += weight * far
		w.slopes[i] = -weight * o.Beta * far * (1 - far)
		if !l.Good {
			w.slopes[i] = -w.slopes[i]
		}
	}
	return w
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// The column of the loss.
const slope = 0

// loss is what the trainer is given: the sum of slope times log-probability. An Objective is not linear in the r of labels, which reach
// over many tokens, and its z needs all answers of an update; so the trainer scores them first, and the slopes that follow make the
// gradient of this loss that of the Objective at these weights.
func loss() trainer.Loss {
	return trainer.Loss{Name: "kto", Columns: []string{"slope"}, Stats: []trainer.Stat{{Name: "entropy"}},
		Build: func(t trainer.Tokens) (*Node, []*Node) {
			return Mul(t.Columns[slope], t.Logprob), []*Node{t.Entropy}
		}}
}
