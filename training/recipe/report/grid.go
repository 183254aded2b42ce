// Package report judges models by their answers, compares them and draws the result as tables and plots.
package report

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Grid is a table as cells, the first row its heads.
type Grid [][]string

// proseRunes is the length from which on a cell is prose, and its column begins at the left.
const proseRunes = 40

// Text pads columns: the first one and those of prose stand at the left, the others at the right.
func (g Grid) Text() string {
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
			switch {
			case i == 0:
				b.WriteString(cell + pad)
			case widths[i] >= proseRunes && i == len(row)-1:
				b.WriteString("  " + cell)
			case widths[i] >= proseRunes:
				b.WriteString("  " + cell + pad)
			default:
				b.WriteString("  " + pad + cell)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Markdown writes a table of Markdown.
func (g Grid) Markdown() string {
	var b strings.Builder
	for i, row := range g {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}

// Percent writes a share.
func Percent(x float64) string { return fmt.Sprintf("%.1f", 100*x) }

// DifferenceGrid shows Differences.
func DifferenceGrid(list []Difference) Grid {
	g := Grid{{"from", "to", "points", "+- se", "95 % interval", "p"}}
	for _, d := range list {
		g = append(g, []string{string(d.From), string(d.To), fmt.Sprintf("%+.1f", 100*d.Mean), Percent(d.SE),
			fmt.Sprintf("%+.1f to %+.1f", 100*d.Interval.Low, 100*d.Interval.High), fmt.Sprintf("%.4f", d.P)})
	}
	return g
}

// MatchedGrid shows Matched.
func MatchedGrid(list []Matched) Grid {
	g := Grid{{"arm", "pass@1 %", "other", "m", "best of m, oracle %", "vote of m %"}}
	for _, m := range list {
		count := fmt.Sprintf("%.1f", m.Answers)
		if m.Bounded {
			count += " (all)"
		}
		g = append(g, []string{string(m.Arm), Percent(m.Pass1), string(m.Other), count, Percent(m.Oracle), Percent(m.Vote)})
	}
	return g
}

// CorrelationGrid shows Correlations.
func CorrelationGrid(list []Correlation) Grid {
	g := Grid{{"of", "r", "95 % interval", "n"}}
	for _, c := range list {
		row := []string{c.Name, "undefined", "-", fmt.Sprint(c.N)}
		if c.Defined {
			row[1], row[2] = fmt.Sprintf("%+.2f", c.R), fmt.Sprintf("%+.2f to %+.2f", c.Interval.Low, c.Interval.High)
		}
		g = append(g, row)
	}
	return g
}
