package eval

import (
	"fmt"
	"math"
)

// Answers are the samples of one problem, counted by answer: samples whose answers are equal are one group. Samples without an
// answer do not vote.
type Answers struct {
	Correct int   // samples with the right answer, which are one group
	Wrong   []int // size of each group of equal wrong answers
	None    int   // samples without an answer
}

// Samples is their number.
func (a Answers) Samples() int {
	n := a.Correct + a.None
	for _, size := range a.Wrong {
		n += size
	}
	return n
}

// MajAtK is the chance that a vote among k samples is right: the k are drawn without replacement from all samples, the answer
// with most votes wins, and of answers that tie for most votes each wins with the same chance. A vote in which nobody has an
// answer is wrong. The expectation over all draws is exact, so nothing depends on the order of samples or on chance.
// k must lie in [1, a.Samples()].
//
// Time is about n * k^2; k = n, the vote of all samples, is immediate.
func MajAtK(a Answers, k int) float64 {
	n := a.Samples()
	if k < 1 || k > n || a.Correct < 0 || a.None < 0 {
		panic(fmt.Sprintf("BUG: got maj@%d of %+v; want 1 <= k <= %d and no negative count", k, a, n))
	}
	if k == n {
		return a.vote()
	}
	chance := 0.0
	for votes := 1; votes <= min(k, a.Correct); votes++ {
		chance += hypergeometric(n, a.Correct, k, votes) * a.wins(votes, k)
	}
	return chance
}

// vote is MajAtK of all samples.
func (a Answers) vote() float64 {
	ties := 1
	for _, size := range a.Wrong {
		if size > a.Correct {
			return 0
		}
		if size == a.Correct {
			ties++
		}
	}
	if a.Correct == 0 {
		return 0
	}
	return 1 / float64(ties)
}

// wins is the chance that the right answer is chosen, given that it has votes of the k: no wrong answer has more of them, and
// with t others that have as many it wins once in t+1.
func (a Answers) wins(votes, k int) float64 {
	rest := a.Samples() - a.Correct // samples that are yet to be drawn from
	draws := k - votes
	maxTies := draws / votes
	// state[r][t] is the chance that r draws are left after the groups so far, t of which tie.
	state := newStates(draws, maxTies)
	state[draws][0] = 1
	for _, size := range a.Wrong {
		if size < votes {
			continue // too small to matter; all of them are what is left at the end
		}
		state = draw(state, rest, size, votes)
		rest -= size
	}
	chance := 0.0
	for left := range state {
		for ties, p := range state[left] {
			if left <= rest {
				chance += p / float64(ties+1)
			}
		}
	}
	return chance
}

func newStates(draws, maxTies int) [][]float64 {
	state := make([][]float64, draws+1)
	for i := range state {
		state[i] = make([]float64, maxTies+1)
	}
	return state
}

// draw decides how many draws fall on a group of the given size among rest samples. More than limit of them lose the vote and
// are dropped, just limit is a tie.
func draw(state [][]float64, rest, size, limit int) [][]float64 {
	next := newStates(len(state)-1, len(state[0])-1)
	for left := range state {
		for ties, p := range state[left] {
			if p == 0 {
				continue
			}
			for n := 0; n <= min(left, size, limit); n++ {
				tied := ties
				if n == limit {
					tied++
				}
				if chance := hypergeometric(rest, size, left, n); chance > 0 {
					next[left-n][tied] += p * chance
				}
			}
		}
	}
	return next
}

// hypergeometric is the chance that k draws without replacement from n hit just x of a group of the given size.
func hypergeometric(n, size, k, x int) float64 {
	if x > size || k-x > n-size {
		return 0
	}
	return math.Exp(logChoose(size, x) + logChoose(n-size, k-x) - logChoose(n, k))
}

// logChoose is the logarithm of the binomial coefficient.
func logChoose(n, k int) float64 {
	return logFactorial(n) - logFactorial(k) - logFactorial(n-k)
}

func logFactorial(n int) float64 {
	value, _ := math.Lgamma(float64(n) + 1)
	return value
}
