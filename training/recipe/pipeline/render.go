package pipeline

import (
	"fmt"

	"astro/training/recipe/report"
)

// Text is the table for a terminal.
func (t *Table) Text() string { return report.Terminal.Write(t.parts()) }

// Markdown is the table for a page.
func (t *Table) Markdown() string { return report.Page.Write(t.parts()) }

func (t *Table) parts() []report.Part {
	parts := []report.Part{{Title: fmt.Sprintf("Countdown, size %s: mean over %d seeds, standard errors over seeds", t.Size, len(t.Seeds)), Grid: t.meanGrid()}}
	for i := range t.Seeds {
		s := &t.Seeds[i]
		title := fmt.Sprintf("Countdown, size %s, seed %d: %d test problems x %d samples, temperature 1", t.Size, s.Seed, s.Rows[0].Pass1.N, s.Rows[0].Samples)
		parts = append(parts, report.Part{Title: title, Grid: s.rowGrid()})
		parts = append(parts, report.Comparisons(s.Differences, s.Matched, "Effort", s.Correlations)...)
		parts = append(parts, report.Part{Title: "Stages", Grid: t.Stages[i].grid()})
	}
	return parts
}

func (s *SeedTable) rowGrid() report.Grid {
	g := report.Grid{{"model", "pass@1 %", "+- se", "se by set", fmt.Sprintf("pass@%d %%", s.Rows[0].Samples), "vote %", "first try %", "returns", "exact copies %", "distinct legal", "tokens", "cut %"}}
	for _, r := range s.Rows {
		copies := "-"
		if r.Returns > 0 {
			copies = report.Percent(r.Copied)
		}
		g = append(g, []string{string(r.Arm), report.Percent(r.Pass1.Mean), report.Percent(r.Pass1.SE), report.Percent(r.Clustered.SE), report.Percent(r.PassN), report.Percent(r.Vote), report.Percent(r.First),
			fmt.Sprintf("%.2f", r.Returns), copies, fmt.Sprintf("%.2f", r.Distinct), fmt.Sprintf("%.0f", r.Tokens), report.Percent(r.Cut)})
	}
	return g
}

func (t *Table) meanGrid() report.Grid {
	g := report.Grid{{"model", "pass@1 %", "+- se", "pass@n %", "+- se", "returns", "distinct legal", "tokens"}}
	for _, r := range t.Mean {
		g = append(g, []string{string(r.Arm), report.Percent(r.Pass1.Mean), report.Percent(r.Pass1.SE), report.Percent(r.PassN.Mean), report.Percent(r.PassN.SE),
			fmt.Sprintf("%.2f", r.Returns.Mean), fmt.Sprintf("%.2f", r.Distinct.Mean), fmt.Sprintf("%.0f", r.Tokens.Mean)})
	}
	return g
}

func (s SeedNotes) grid() report.Grid {
	g := report.Grid{{"stage", "what came out"}}
	for _, n := range s.Notes {
		g = append(g, []string{string(n.Stage), n.Note})
	}
	return g
}
