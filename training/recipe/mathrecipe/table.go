package mathrecipe

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"astro/training/eval"
	"astro/training/recipe/learning"
	"astro/training/recipe/report"
	"astro/training/recipe/stages"
)

// Row is one model's figures.
type Row struct {
	report.Row
	K        int     `json:"k"`         // of the two below: Eval.Vote, or as many samples as there are
	PassK    float64 `json:"pass_k"`    // chance that one of k answers is right
	MajK     float64 `json:"maj_k"`     // chance that the most frequent of k answers is right
	NoAnswer float64 `json:"no_answer"` // share of answers that state nothing
}

// Results are what the evaluation gives.
type Results struct {
	Rows         []Row                `json:"rows"`
	Differences  []report.Difference  `json:"differences"`
	Matched      []report.Matched     `json:"matched"`
	Correlations []report.Correlation `json:"correlations"`
}

// String is the headline.
func (t Results) String() string {
	var parts []string
	for _, r := range t.Rows {
		parts = append(parts, fmt.Sprintf("%s %.1f", r.Arm, 100*r.Pass1.Mean))
	}
	return "pass@1 in %: " + strings.Join(parts, ", ")
}

// Row is the figures of an arm.
func (t Results) Row(arm stages.Name) Row {
	for _, r := range t.Rows {
		if r.Arm == arm {
			return r
		}
	}
	panic("BUG: no row of " + string(arm))
}

// pairs are the comparisons of the paper's table.
var pairs = [][2]stages.Name{{Base, DirectSFT}, {DirectSFT, DirectRL}, {DirectSFT, AstroSFT}, {AstroSFT, AstroRL}, {DirectRL, AstroRL}}

// compare makes the results of all answers.
func compare(c *Config, answers map[stages.Name][]report.Answered, curve []learning.Point) Results {
	var t Results
	for _, arm := range Models {
		t.Rows = append(t.Rows, rowOf(arm, answers[arm], c.Eval.Vote))
	}
	for _, p := range pairs {
		t.Differences = append(t.Differences, report.Differ(p[0], p[1], answers, c.Eval.Resamples, c.Seed))
	}
	for _, arm := range []stages.Name{AstroSFT, AstroRL} {
		for _, other := range []stages.Name{Base, DirectSFT, DirectRL} {
			t.Matched = append(t.Matched, report.Match(t.Row(arm).Row, t.Row(other).Row, answers[other]))
		}
	}
	t.Correlations = correlations(answers, curve)
	return t
}

func rowOf(arm stages.Name, all []report.Answered, vote int) Row {
	r := Row{Row: report.Measure(arm, all)}
	r.K = min(vote, r.Samples)
	for _, a := range all {
		votes := report.Votes(a.Answers)
		n := votes.Samples()
		r.PassK += eval.PassAtK(n, votes.Correct, r.K) / float64(len(all))
		r.MajK += eval.MajAtK(votes, r.K) / float64(len(all))
		r.NoAnswer += float64(votes.None) / float64(n*len(all))
	}
	return r
}

// correlations of backtracks and score, over the learning curve of the astro arm and over problems.
func correlations(answers map[stages.Name][]report.Answered, curve []learning.Point) []report.Correlation {
	var returns, pass []float64
	for _, p := range curve {
		returns, pass = append(returns, p.Returns), append(pass, p.Pass1)
	}
	list := []report.Correlation{report.Correlate("backtracks and pass@1 over astro-rl's learning", returns, pass)}
	for _, arm := range []stages.Name{AstroSFT, AstroRL} {
		var returns []float64
		for _, a := range answers[arm] {
			returns = append(returns, report.Mean(a.Answers, func(x report.Answer) float64 { return float64(x.Returns) }))
		}
		list = append(list, report.Correlate("backtracks and score over problems, "+string(arm), returns, report.Scores(answers[arm])))
	}
	return list
}

// Table is the result of a run.
type Table struct {
	Model string `json:"model"` // its name
	Seed  uint64 `json:"seed"`
	Results
	Stages        []stages.Note `json:"stages"`
	astro, direct learning.Figures
}

// NewTable reads the results of a run whose evaluation is sealed.
func NewTable(p *Pipeline) (*Table, error) {
	t := &Table{Model: cmp.Or(p.Name, filepath.Base(p.Model)), Seed: p.Config.Seed}
	f := p.stages()
	for s, into := range map[stages.Name]any{Evaluate: &t.Results, AstroRL: &t.astro, DirectRL: &t.direct} {
		if err := f.Figures(s, into); err != nil {
			return nil, fmt.Errorf("make the table: %w", err)
		}
	}
	var names []stages.Name
	for _, name := range Names() {
		names = append(names, stages.Name(name))
	}
	notes, err := f.Notes(names)
	if err != nil {
		return nil, err
	}
	t.Stages = notes
	return t, nil
}

// Write writes the table as text, Markdown and JSON, and its plots.
func (t *Table) Write(dir string) error {
	files := map[string]string{"table.txt": t.Text(), "table.md": t.Markdown()}
	curves := []learning.Named{{Name: string(AstroRL), Figures: t.astro, Returns: true}, {Name: string(DirectRL), Figures: t.direct}}
	for name, plot := range learning.Plots(curves) {
		files[name] = plot.SVG()
	}
	if err := stages.WriteTexts(dir, files); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return stages.WriteJSON(filepath.Join(dir, "table.json"), t)
}

// Text is the table for a terminal.
func (t *Table) Text() string { return report.Terminal.Write(t.parts()) }

// Markdown is the table for a page.
func (t *Table) Markdown() string { return report.Page.Write(t.parts()) }

func (t *Table) parts() []report.Part {
	notes := report.Grid{{"stage", "s", "what came out"}}
	for _, n := range t.Stages {
		notes = append(notes, []string{string(n.Stage), fmt.Sprintf("%.0f", n.Seconds), n.Note})
	}
	title := fmt.Sprintf("%s, seed %d: %d test problems x %d samples, temperature 1", t.Model, t.Seed, t.Rows[0].Pass1.N, t.Rows[0].Samples)
	parts := append([]report.Part{{Title: title, Grid: t.grid()}}, report.Comparisons(t.Differences, t.Matched, "Backtracks", t.Correlations)...)
	return append(parts, report.Part{Title: "Stages", Grid: notes})
}

func (t *Table) grid() report.Grid {
	first := t.Rows[0]
	g := report.Grid{{"model", "pass@1 %", "+- se", fmt.Sprintf("pass@%d %%", first.K), fmt.Sprintf("pass@%d %%", first.Samples), fmt.Sprintf("maj@%d %%", first.K),
		"backtracks", "tokens", "no answer %", "cut %"}}
	for _, r := range t.Rows {
		g = append(g, []string{string(r.Arm), report.Percent(r.Pass1.Mean), report.Percent(r.Pass1.SE), report.Percent(r.PassK), report.Percent(r.PassN), report.Percent(r.MajK),
			fmt.Sprintf("%.2f", r.Returns), fmt.Sprintf("%.0f", r.Tokens), report.Percent(r.NoAnswer), report.Percent(r.Cut)})
	}
	return g
}
