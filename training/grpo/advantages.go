package grpo

import (
	"fmt"
	"math"
)

// Scale says what advantages are divided by.
type Scale string

// The scales. Dividing by a group's deviation (Shao et al., arXiv 2402.03300, eq. 10) gives easy and hard prompts more say than those
// in between; without it advantages are unbiased (Liu et al., Dr. GRPO, arXiv 2503.20783).
const (
	ScaleNone  Scale = "none"
	ScaleGroup Scale = "group" // standard deviation of the group's rewards
	ScaleBatch Scale = "batch" // standard deviation of all rewards of the step
)

// deviationFloor keeps divisions by tiny deviations finite.
const deviationFloor = 1e-6

// Advantages says how rewards become advantages. The zero value with ScaleNone is r - mean, the default.
type Advantages struct {
	Scale       Scale
	LeaveOneOut bool // the mean is that of the group's other rewards (RLOO: Kool et al. 2019; Ahmadian et al., arXiv 2402.14740)
}

// Validate says what is wrong with it, or nil.
func (a Advantages) Validate() error {
	switch a.Scale {
	case ScaleNone, ScaleGroup, ScaleBatch:
		return nil
	}
	return fmt.Errorf("advantages scaled by %q: want none, group or batch", a.Scale)
}

// Of gives the advantages of groups of rewards. A group whose rewards are all equal has no contrast: its advantages are exactly 0.
// The others sum up to 0 in each group, but for rounding.
func (a Advantages) Of(rewards [][]float64) [][]float64 {
	var all []float64
	for _, group := range rewards {
		all = append(all, group...)
	}
	batch := deviation(all)
	advantages := make([][]float64, len(rewards))
	for i, group := range rewards {
		advantages[i] = make([]float64, len(group))
		if Mixed(group) {
			a.fill(advantages[i], group, batch)
		}
	}
	return advantages
}

// fill computes the advantages of a group with contrast.
func (a Advantages) fill(dst, rewards []float64, batchDeviation float64) {
	n, centre, factor := float64(len(rewards)), mean(rewards), 1.0
	if a.LeaveOneOut {
		factor = n / (n - 1) // r_i - mean of the others = n/(n-1) (r_i - mean)
	}
	switch a.Scale {
	case ScaleGroup:
		factor /= deviation(rewards) + deviationFloor
	case ScaleBatch:
		factor /= batchDeviation + deviationFloor
	}
	for i, r := range rewards {
		dst[i] = (r - centre) * factor
	}
}

// Mixed says whether rewards differ: a group without contrast teaches nothing.
func Mixed(rewards []float64) bool {
	for _, r := range rewards {
		if r != rewards[0] {
			return true
		}
	}
	return false
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(max(1, len(x)))
}

// deviation is the standard deviation of a sample, divided by n-1 as torch.std does; 0 of fewer than two.
func deviation(x []float64) float64 {
	if len(x) < 2 {
		return 0
	}
	centre, sum := mean(x), 0.0
	for _, v := range x {
		sum += (v - centre) * (v - centre)
	}
	return math.Sqrt(sum / float64(len(x)-1))
}

// Norm says what the sum of all tokens' terms is divided by.
type Norm string

// The norms.
const (
	// NormTokens: by the number of tokens of the whole update, so that each token counts alike (DAPO: Yu et al., arXiv 2503.14476, eq. 8).
	NormTokens Norm = "tokens"
	// NormSequences: each sequence's mean first, then the mean of those (Shao et al., arXiv 2402.03300, eq. 3): long answers count less by
	// the token.
	NormSequences Norm = "sequences"
	// NormConstant: by a full update's sequences at full length, whatever their real lengths are (Liu et al., Dr. GRPO, arXiv 2503.20783).
	NormConstant Norm = "constant"
)

// Validate says what is wrong with it, or nil.
func (n Norm) Validate() error {
	switch n {
	case NormTokens, NormSequences, NormConstant:
		return nil
	}
	return fmt.Errorf("loss normalised by %q: want tokens, sequences or constant", n)
}

// weigh gives the weight of a token in sequences of these lengths, and what the weighted sum is multiplied by. A full update has
// fullSequences of at most maxTokens.
func (n Norm) weigh(lengths []int, fullSequences, maxTokens int) (weights []float32, norm float64) {
	tokens := 0
	for _, l := range lengths {
		weight := float32(1)
		if n == NormSequences {
			weight = 1 / float32(l)
		}
		weights = append(weights, weight)
		tokens += l
	}
	switch n {
	case NormSequences:
		return weights, 1 / float64(len(lengths))
	case NormConstant:
		return weights, 1 / float64(fullSequences*maxTokens)
	}
	return weights, 1 / float64(tokens)
}
