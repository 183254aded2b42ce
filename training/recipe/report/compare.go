package report

import (
	"math"

	"astro/training/eval"
	"astro/training/recipe/stages"
)

// Difference is the pass@1 of one arm less that of another, on the same problems.
type Difference struct {
	From stages.Name `json:"from"`
	To   stages.Name `json:"to"`
	eval.Difference
}

// Differ compares two arms by a bootstrap over problems.
func Differ(from, to stages.Name, answers map[stages.Name][]Answered, resamples int, seed uint64) Difference {
	return Difference{from, to, eval.PairedBootstrap(Scores(answers[from]), Scores(answers[to]), resamples, seed)}
}

// Matched compares one answer of an astro arm with as many answers of another model as have its tokens.
type Matched struct {
	Arm     stages.Name `json:"arm"`
	Other   stages.Name `json:"other"`
	Answers float64     `json:"answers"` // m: of the other, for the same tokens
	Bounded bool        `json:"bounded"` // m would be more than there are samples
	Pass1   float64     `json:"pass1"`   // of the arm
	Oracle  float64     `json:"oracle"`  // of the other, where a verifier picks the best of m
	Vote    float64     `json:"vote"`    // of the other, where the most frequent of m is taken
}

// Match computes best-of-m and the vote of m at equal tokens; between two whole m it takes the line.
func Match(arm, other Row, answers []Answered) Matched {
	m := Matched{Arm: arm.Arm, Other: other.Arm, Answers: max(1, arm.Tokens/max(1, other.Tokens)), Pass1: arm.Pass1.Mean}
	if limit := float64(other.Samples); m.Answers > limit {
		m.Answers, m.Bounded = limit, true
	}
	low, high := int(m.Answers), int(math.Ceil(m.Answers))
	share := m.Answers - float64(low)
	for _, a := range answers {
		votes := Votes(a.Answers)
		n := votes.Samples()
		m.Oracle += (1-share)*eval.PassAtK(n, votes.Correct, low) + share*eval.PassAtK(n, votes.Correct, high)
		m.Vote += (1-share)*eval.MajAtK(votes, low) + share*eval.MajAtK(votes, high)
	}
	n := float64(max(1, len(answers)))
	m.Oracle, m.Vote = m.Oracle/n, m.Vote/n
	return m
}

// Correlation is Pearson's r with the interval of Fisher's transformation, which takes the pairs for independent: points of one learning
// curve are not.
type Correlation struct {
	Name string `json:"name"`
	eval.Correlation
	Interval eval.Interval `json:"interval"`
}

// Correlate computes a Correlation; x and y are of one length.
func Correlate(name string, x, y []float64) Correlation {
	c := Correlation{Name: name, Correlation: eval.Pearson(x, y), Interval: eval.Interval{Low: -1, High: 1}}
	if c.Defined && c.N > 3 && math.Abs(c.R) < 1 {
		z, half := math.Atanh(c.R), eval.Z95/math.Sqrt(float64(c.N-3))
		c.Interval = eval.Interval{Low: math.Tanh(z - half), High: math.Tanh(z + half)}
	}
	return c
}
