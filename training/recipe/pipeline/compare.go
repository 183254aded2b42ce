package pipeline

import (
	"math"

	"astro/training/eval"
)

// SeedTable is what one seed's evaluation gives.
type SeedTable struct {
	Seed         uint64        `json:"seed"`
	Rows         []Row         `json:"rows"`
	Differences  []Difference  `json:"differences"`
	Matched      []Matched     `json:"matched"`
	Correlations []Correlation `json:"correlations"`
}

// Row is the figures of an arm.
func (t *SeedTable) Row(arm Stage) Row {
	for _, r := range t.Rows {
		if r.Arm == arm {
			return r
		}
	}
	panic("BUG: no row of " + string(arm))
}

// Difference is the pass@1 of one arm less that of another, on the same problems.
type Difference struct {
	From Stage `json:"from"`
	To   Stage `json:"to"`
	eval.Difference
}

// pairs are the comparisons of the paper's table.
var pairs = [][2]Stage{{Base, DirectSFT}, {DirectSFT, DirectRL}, {DirectSFT, AstroSFT}, {AstroSFT, AstroRL}, {DirectRL, AstroRL}}

// Matched compares one answer of an astro arm with as many answers of another model as have its tokens.
type Matched struct {
	Arm     Stage   `json:"arm"`
	Other   Stage   `json:"other"`
	Answers float64 `json:"answers"` // m: of the other, for the same tokens
	Bounded bool    `json:"bounded"` // m would be more than there are samples
	Pass1   float64 `json:"pass1"`   // of the arm
	Oracle  float64 `json:"oracle"`  // of the other, where a verifier picks the best of m
	Vote    float64 `json:"vote"`    // of the other, where the most frequent of m is taken
}

// compare makes the table of one seed.
func compare(c *Config, answers map[Stage][]Answered, curve []Point) SeedTable {
	t := SeedTable{Seed: c.Seed}
	for _, arm := range Models {
		t.Rows = append(t.Rows, Measure(arm, answers[arm]))
	}
	for _, p := range pairs {
		t.Differences = append(t.Differences, Difference{p[0], p[1], eval.PairedBootstrap(scores(answers[p[0]]), scores(answers[p[1]]), c.Eval.Resamples, c.Seed)})
	}
	for _, arm := range []Stage{AstroSFT, AstroRL} {
		for _, other := range []Stage{Base, DirectSFT, DirectRL} {
			t.Matched = append(t.Matched, match(t.Row(arm), t.Row(other), answers[other]))
		}
	}
	t.Correlations = correlations(answers, curve)
	return t
}

// match computes best-of-m and the vote of m at equal tokens; between two whole m it takes the line.
func match(arm, other Row, answers []Answered) Matched {
	m := Matched{Arm: arm.Arm, Other: other.Arm, Answers: max(1, arm.Tokens/max(1, other.Tokens)), Pass1: arm.Pass1.Mean}
	if limit := float64(other.Samples); m.Answers > limit {
		m.Answers, m.Bounded = limit, true
	}
	low, high := int(m.Answers), int(math.Ceil(m.Answers))
	share := m.Answers - float64(low)
	for _, a := range answers {
		votes := votesOf(a.Answers)
		n := votes.Samples()
		m.Oracle += (1-share)*eval.PassAtK(n, votes.Correct, low) + share*eval.PassAtK(n, votes.Correct, high)
		m.Vote += (1-share)*eval.MajAtK(votes, low) + share*eval.MajAtK(votes, high)
	}
	n := float64(max(1, len(answers)))
	m.Oracle, m.Vote = m.Oracle/n, m.Vote/n
	return m
}

// correlations of effort and score, over the learning curve of the astro arm and over problems.
func correlations(answers map[Stage][]Answered, curve []Point) []Correlation {
	column := func(of func(Point) float64) (x []float64) {
		for _, p := range curve {
			x = append(x, of(p))
		}
		return x
	}
	pass := column(func(p Point) float64 { return p.Pass1 })
	list := []Correlation{
		correlate("returns and pass@1 over astro-rl's learning", column(func(p Point) float64 { return p.Returns }), pass),
		correlate("distinct legal attempts and pass@1 over astro-rl's learning", column(func(p Point) float64 { return p.Distinct }), pass),
	}
	for _, arm := range []Stage{AstroSFT, AstroRL} {
		var returns, distinct []float64
		for _, a := range answers[arm] {
			returns = append(returns, mean(a.Answers, func(x Answer) float64 { return float64(x.Returns) }))
			distinct = append(distinct, mean(a.Answers, func(x Answer) float64 { return float64(x.Distinct) }))
		}
		list = append(list, correlate("returns and score over problems, "+string(arm), returns, scores(answers[arm])),
			correlate("distinct legal attempts and score over problems, "+string(arm), distinct, scores(answers[arm])))
	}
	return list
}
