package pipeline

import (
	"slices"

	"astro/training/recipe/report"
)

// Row is one model's figures.
type Row = report.Row

// SeedTable is what one seed's evaluation gives.
type SeedTable struct {
	Seed         uint64               `json:"seed"`
	Rows         []Row                `json:"rows"`
	Differences  []report.Difference  `json:"differences"`
	Matched      []report.Matched     `json:"matched"`
	Correlations []report.Correlation `json:"correlations"`
}

// has says whether there is a row of an arm.
func (t *SeedTable) has(arm Stage) bool {
	return slices.ContainsFunc(t.Rows, func(r Row) bool { return r.Arm == arm })
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

// pairs are the comparisons of the paper's table.
var pairs = [][2]Stage{{Base, DirectSFT}, {DirectSFT, DirectRL}, {DirectSFT, AstroSFT}, {AstroSFT, AstroRL}, {DirectRL, AstroRL}}

// compare makes the table of one seed.
func compare(c *Config, answers map[Stage][]Answered, curve []Point) SeedTable {
	t := SeedTable{Seed: c.Seed}
	for _, arm := range c.models() {
		t.Rows = append(t.Rows, report.Measure(arm, answers[arm]))
	}
	for _, p := range pairs {
		if !c.has(p[0]) || !c.has(p[1]) {
			continue
		}
		t.Differences = append(t.Differences, report.Differ(p[0], p[1], answers, c.Eval.Resamples, c.Seed))
	}
	for _, arm := range []Stage{AstroSFT, AstroRL} {
		for _, other := range []Stage{Base, DirectSFT, DirectRL} {
			if !c.has(other) {
				continue
			}
			t.Matched = append(t.Matched, report.Match(t.Row(arm), t.Row(other), answers[other]))
		}
	}
	t.Correlations = correlations(answers, curve)
	return t
}

// correlations of effort and score, over the learning curve of the astro arm and over problems.
func correlations(answers map[Stage][]Answered, curve []Point) []report.Correlation {
	column := func(of func(Point) float64) (x []float64) {
		for _, p := range curve {
			x = append(x, of(p))
		}
		return x
	}
	pass := column(func(p Point) float64 { return p.Pass1 })
	list := []report.Correlation{
		report.Correlate("returns and pass@1 over astro-rl's learning", column(func(p Point) float64 { return p.Returns }), pass),
		report.Correlate("distinct legal attempts and pass@1 over astro-rl's learning", column(func(p Point) float64 { return p.Distinct }), pass),
	}
	for _, arm := range []Stage{AstroSFT, AstroRL} {
		var returns, distinct []float64
		for _, a := range answers[arm] {
			returns = append(returns, report.Mean(a.Answers, func(x Answer) float64 { return float64(x.Returns) }))
			distinct = append(distinct, report.Mean(a.Answers, func(x Answer) float64 { return float64(x.Distinct) }))
		}
		list = append(list, report.Correlate("returns and score over problems, "+string(arm), returns, report.Scores(answers[arm])),
			report.Correlate("distinct legal attempts and score over problems, "+string(arm), distinct, report.Scores(answers[arm])))
	}
	return list
}
