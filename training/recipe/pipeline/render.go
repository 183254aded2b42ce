package pipeline

import (
	"fmt"
	"iter"
	"maps"
	"strings"

	"astro/training/recipe/report"
)

func keys(m map[string]string) iter.Seq[string] { return maps.Keys(m) }

// Text is the table for a terminal.
func (t *Table) Text() string {
	return t.say(func(h string) string { return h + "\n" }, report.Grid.Text)
}

// Markdown is the table for a page.
func (t *Table) Markdown() string {
	return t.say(func(h string) string { return "## " + h + "\n\n" }, report.Grid.Markdown)
}

// say writes all parts of the table.
func (t *Table) say(head func(string) string, table func(report.Grid) string) string {
	var b strings.Builder
	part := func(title string, g report.Grid) {
		if len(g) > 1 {
			b.WriteString(head(title) + table(g) + "\n")
		}
	}
	part(fmt.Sprintf("Countdown, size %s: mean over %d seeds, standard errors over seeds", t.Size, len(t.Seeds)), t.meanGrid())
	for i := range t.Seeds {
		s := &t.Seeds[i]
		part(fmt.Sprintf("Countdown, size %s, seed %d: %d test problems x %d samples, temperature 1", t.Size, s.Seed, s.Rows[0].Pass1.N, s.Rows[0].Samples), s.rowGrid())
		part("Differences of pass@1 in points, paired by problem, with 95 % intervals (bootstrap)", report.DifferenceGrid(s.Differences))
		part("One answer of an astro arm beside as many answers of another model as cost the same tokens", report.MatchedGrid(s.Matched))
		part("Effort and being right: Pearson's r with 95 % interval; points of a learning curve are not independent", report.CorrelationGrid(s.Correlations))
		part("Stages", t.Stages[i].grid())
	}
	return b.String()
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
