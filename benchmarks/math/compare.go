package math

import (
	"errors"
	"fmt"
	"slices"

	"astro/training/eval"
)

// Comparison puts two runs on the same problems side by side.
type Comparison struct {
	A        RunName       `json:"a"`
	B        RunName       `json:"b"`
	Common   int           `json:"problems"`          // in both runs
	OnlyOne  int           `json:"problems_left_out"` // in one of them
	Metrics  []ComparedRow `json:"metrics"`
	Resample int           `json:"resamples"`
	Seed     uint64        `json:"seed"`
}

// RunName says which run a column is.
type RunName struct {
	Model   string `json:"model"`
	Prompt  string `json:"prompt"`
	Samples int    `json:"samples"`
}

// ComparedRow is one metric of both runs over the common problems, with a paired bootstrap of b - a.
type ComparedRow struct {
	Name       string          `json:"name"`
	A          eval.Estimate   `json:"a"`
	B          eval.Estimate   `json:"b"`
	Difference eval.Difference `json:"difference"`
	share      bool            // printed as a percentage
}

// Compare pairs the problems of two finished runs.
func Compare(a, b Summary, resamples int, seed uint64) (Comparison, error) {
	if resamples < eval.MinResamples || resamples > eval.MaxResamples {
		return Comparison{}, fmt.Errorf("%d resamples: want %d to %d", resamples, eval.MinResamples, eval.MaxResamples)
	}
	if a.Set != b.Set {
		return Comparison{}, fmt.Errorf("the runs are of different sets, %s and %s", a.Set, b.Set)
	}
	x, y := pair(a.Scores, b.Scores)
	if len(x) == 0 {
		return Comparison{}, errors.New("the runs have no problem in common")
	}
	c := Comparison{A: RunName{a.Model, a.Prompt, a.Samples}, B: RunName{b.Model, b.Prompt, b.Samples}, Common: len(x),
		OnlyOne: len(a.Scores) + len(b.Scores) - 2*len(x), Resample: resamples, Seed: seed}
	add := func(name string, share bool, value func(Score) float64) {
		c.Metrics = append(c.Metrics, ComparedRow{name, over(x, value), over(y, value),
			eval.PairedBootstrap(values(x, value), values(y, value), resamples, seed), share})
	}
	if a.Samples > 0 && b.Samples > 0 {
		add("avg@k", true, func(s Score) float64 { return s.Avg })
		add("avg@k, box only", true, func(s Score) float64 { return s.Boxed })
	}
	if a.GreedyScore != nil && b.GreedyScore != nil {
		add("greedy", true, func(s Score) float64 { return *s.Greedy })
	}
	for _, k := range commonK(a.Maj, b.Maj) {
		add(fmt.Sprintf("maj@%d", k), true, func(s Score) float64 { return s.Maj[k] })
	}
	for _, k := range commonK(a.Pass, b.Pass) {
		add(fmt.Sprintf("pass@%d", k), true, func(s Score) float64 { return s.Pass[k] })
	}
	if a.Samples > 0 && b.Samples > 0 {
		add("truncated", true, func(s Score) float64 { return s.Truncated })
		add("tokens per answer", false, func(s Score) float64 { return s.Tokens })
		add("backtracks per answer", false, func(s Score) float64 { return s.Backtracks })
	}
	if len(c.Metrics) == 0 {
		return Comparison{}, errors.New("one run is greedy only and the other has no greedy pass: nothing to compare")
	}
	return c, nil
}

// commonK are the k that both runs have.
func commonK(a, b []AtK) []int {
	var common []int
	for _, m := range a {
		if slices.ContainsFunc(b, func(other AtK) bool { return other.K == m.K }) {
			common = append(common, m.K)
		}
	}
	return common
}

// pair returns the scores of the problems that both have, in a's order.
func pair(a, b []Score) (x, y []Score) {
	in := map[string]Score{}
	for _, s := range b {
		in[s.ID] = s
	}
	for _, s := range a {
		if other, ok := in[s.ID]; ok {
			x, y = append(x, s), append(y, other)
		}
	}
	return x, y
}

func values(scores []Score, value func(Score) float64) []float64 {
	all := make([]float64, len(scores))
	for i, s := range scores {
		all[i] = value(s)
	}
	return all
}

// Text is the comparison for a terminal.
func (c Comparison) Text() string { return c.table().text() + c.note() }

// Markdown is the comparison for a page.
func (c Comparison) Markdown() string { return c.table().markdown() + "\n" + c.note() }

func (c Comparison) table() table {
	t := table{title: fmt.Sprintf("A: %s; B: %s; %d problems", c.A, c.B, c.Common),
		head: row{"metric", "A", "B", "B - A", "95 % interval", "p"}}
	for _, m := range c.Metrics {
		d := m.Difference
		if m.share {
			t.rows = append(t.rows, row{m.Name, percent(m.A), percent(m.B), fmt.Sprintf("%+.2f %%", 100*d.Mean),
				fmt.Sprintf("[%+.2f, %+.2f] %%", 100*d.Interval.Low, 100*d.Interval.High), fmt.Sprintf("%.4f", d.P)})
			continue
		}
		t.rows = append(t.rows, row{m.Name, plusMinus(m.A, 3), plusMinus(m.B, 3), fmt.Sprintf("%+.3f", d.Mean),
			fmt.Sprintf("[%+.3f, %+.3f]", d.Interval.Low, d.Interval.High), fmt.Sprintf("%.4f", d.P)})
	}
	return t
}

// String names a run in a title.
func (r RunName) String() string {
	return fmt.Sprintf("%s, prompt %s, k = %d", r.Model, r.Prompt, r.Samples)
}

func (c Comparison) note() string {
	text := fmt.Sprintf("Interval and p: paired bootstrap over problems, %d resamples, seed %d.\n", c.Resample, c.Seed)
	if c.OnlyOne > 0 {
		text += fmt.Sprintf("%d problems are in one of the runs only and are left out.\n", c.OnlyOne)
	}
	return text
}
