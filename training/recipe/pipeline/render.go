package pipeline

import (
	"fmt"
	"iter"
	"maps"
	"strings"
	"unicode/utf8"
)

func keys(m map[string]string) iter.Seq[string] { return maps.Keys(m) }

// grid is a table as cells, the first row its heads.
type grid [][]string

// text pads columns: the first to the left, the others to the right.
func (g grid) text() string {
	widths := make([]int, len(g[0]))
	for _, row := range g {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range g {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch i {
			case 0:
				b.WriteString(cell + pad)
			default:
				b.WriteString("  " + pad + cell)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (g grid) markdown() string {
	var b strings.Builder
	for i, row := range g {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}

// Text is the table for a terminal.
func (t *Table) Text() string { return t.say(func(h string) string { return h + "\n" }, grid.text) }

// Markdown is the table for a page.
func (t *Table) Markdown() string {
	return t.say(func(h string) string { return "## " + h + "\n\n" }, grid.markdown)
}

// say writes all parts of the table.
func (t *Table) say(head func(string) string, table func(grid) string) string {
	var b strings.Builder
	part := func(title string, g grid) {
		if len(g) > 1 {
			b.WriteString(head(title) + table(g) + "\n")
		}
	}
	part(fmt.Sprintf("Countdown, size %s: mean over %d seeds, standard errors over seeds", t.Size, len(t.Seeds)), t.meanGrid())
	for i := range t.Seeds {
		s := &t.Seeds[i]
		part(fmt.Sprintf("Countdown, size %s, seed %d: %d test problems x %d samples, temperature 1", t.Size, s.Seed, s.Rows[0].Pass1.N, s.Rows[0].Samples), s.rowGrid())
		part("Differences of pass@1 in points, paired by problem, with 95 % intervals (bootstrap)", s.differenceGrid())
		part("One answer of an astro arm beside as many answers of another model as cost the same tokens", s.matchedGrid())
		part("Effort and being right: Pearson's r with 95 % interval; points of a learning curve are not independent", s.correlationGrid())
		part("Stages", t.Stages[i].grid())
	}
	return b.String()
}

func percent(x float64) string { return fmt.Sprintf("%.1f", 100*x) }

func (s *SeedTable) rowGrid() grid {
	g := grid{{"model", "pass@1 %", "+- se", "se by set", fmt.Sprintf("pass@%d %%", s.Rows[0].Samples), "vote %", "first try %", "returns", "exact copies %", "distinct legal", "tokens", "cut %"}}
	for _, r := range s.Rows {
		copies := "-"
		if r.Returns > 0 {
			copies = percent(r.Copied)
		}
		g = append(g, []string{string(r.Arm), percent(r.Pass1.Mean), percent(r.Pass1.SE), percent(r.Clustered.SE), percent(r.PassN), percent(r.Vote), percent(r.First),
			fmt.Sprintf("%.2f", r.Returns), copies, fmt.Sprintf("%.2f", r.Distinct), fmt.Sprintf("%.0f", r.Tokens), percent(r.Cut)})
	}
	return g
}

func (s *SeedTable) differenceGrid() grid {
	g := grid{{"from", "to", "points", "+- se", "95 % interval", "p"}}
	for _, d := range s.Differences {
		g = append(g, []string{string(d.From), string(d.To), fmt.Sprintf("%+.1f", 100*d.Mean), percent(d.SE),
			fmt.Sprintf("%+.1f to %+.1f", 100*d.Interval.Low, 100*d.Interval.High), fmt.Sprintf("%.4f", d.P)})
	}
	return g
}

func (s *SeedTable) matchedGrid() grid {
	g := grid{{"arm", "pass@1 %", "other", "m", "best of m, oracle %", "vote of m %"}}
	for _, m := range s.Matched {
		count := fmt.Sprintf("%.1f", m.Answers)
		if m.Bounded {
			count += " (all)"
		}
		g = append(g, []string{string(m.Arm), percent(m.Pass1), string(m.Other), count, percent(m.Oracle), percent(m.Vote)})
	}
	return g
}

func (s *SeedTable) correlationGrid() grid {
	g := grid{{"of", "r", "95 % interval", "n"}}
	for _, c := range s.Correlations {
		row := []string{c.Name, "undefined", "-", fmt.Sprint(c.N)}
		if c.Defined {
			row[1], row[2] = fmt.Sprintf("%+.2f", c.R), fmt.Sprintf("%+.2f to %+.2f", c.Interval.Low, c.Interval.High)
		}
		g = append(g, row)
	}
	return g
}

func (t *Table) meanGrid() grid {
	g := grid{{"model", "pass@1 %", "+- se", "pass@n %", "+- se", "returns", "distinct legal", "tokens"}}
	for _, r := range t.Mean {
		g = append(g, []string{string(r.Arm), percent(r.Pass1.Mean), percent(r.Pass1.SE), percent(r.PassN.Mean), percent(r.PassN.SE),
			fmt.Sprintf("%.2f", r.Returns.Mean), fmt.Sprintf("%.2f", r.Distinct.Mean), fmt.Sprintf("%.0f", r.Tokens.Mean)})
	}
	return g
}

func (s SeedNotes) grid() grid {
	g := grid{{"stage", "what came out"}}
	for _, n := range s.Notes {
		g = append(g, []string{string(n.Stage), n.Note})
	}
	return g
}
