package quality

import (
	"math"

	"astro/engine"
)

// difference is that of one form to the truth, summed up over texts.
type difference struct {
	tokens     int // with a log-probability
	nll        float64
	divergence float64
	gaps       float64 // of given tokens' log-probabilities
	largest    float64
	agree      int // positions with the same greedy token
}

// compareScores walks through every position of every text.
func compareScores(truth, form [][]engine.TokenScore) (d difference) {
	for i := range truth {
		for j := 1; j < len(truth[i]); j++ {
			a, b := &truth[i][j], &form[i][j]
			gap := math.Abs(float64(a.Logprob) - float64(b.Logprob))
			d.tokens++
			d.nll -= float64(b.Logprob)
			d.gaps, d.largest = d.gaps+gap, max(d.largest, gap)
			d.divergence += divergence(a, b)
			if a.Top[0].Token == b.Top[0].Token {
				d.agree++
			}
		}
	}
	return d
}

// divergence is a lower bound of KL(truth || form) in nats: tokens that are among the best of both count each for itself, all others as one. It
// is the divergence itself where the vocabulary is not larger than the list of the best.
func divergence(truth, form *engine.TokenScore) float64 {
	other := make(map[int32]float64, len(form.Top))
	for _, t := range form.Top {
		other[t.Token] = float64(t.Logprob)
	}
	sum, restP, restQ := 0., 1., 1.
	for _, t := range truth.Top {
		q, both := other[t.Token]
		if !both {
			continue
		}
		p := float64(t.Logprob)
		sum += math.Exp(p) * (p - q)
		restP, restQ = restP-math.Exp(p), restQ-math.Exp(q)
	}
	const least = 1e-6 // below it the rests are what f32 rounds away
	if restP > least && restQ > least {
		sum += restP * math.Log(restP/restQ)
	}
	return max(0, sum)
}

// compareAnswers counts answers that are the same, and where the others part: the mean of the first position that differs, from 0.
func compareAnswers(truth, form [][]int32) (same int, apart float64) {
	for i := range truth {
		at := parting(truth[i], form[i])
		if at < 0 {
			same++
			continue
		}
		apart += float64(at)
	}
	return same, apart / float64(max(1, len(truth)-same))
}

// parting is the first position where two answers differ, or -1.
func parting(a, b []int32) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}
