package report

import "strings"

// Part is a table with its title.
type Part struct {
	Title string
	Grid  Grid
}

// Style is how parts are written.
type Style struct {
	head  func(title string) string
	table func(Grid) string
}

// The styles: for a terminal, and for a page of Markdown.
var (
	Terminal = Style{func(h string) string { return h + "\n" }, Grid.Text}
	Page     = Style{func(h string) string { return "## " + h + "\n\n" }, Grid.Markdown}
)

// Write writes parts one after the other; those without rows are left out.
func (s Style) Write(parts []Part) string {
	var b strings.Builder
	for _, p := range parts {
		if len(p.Grid) > 1 {
			b.WriteString(s.head(p.Title) + s.table(p.Grid) + "\n")
		}
	}
	return b.String()
}

// Comparisons are the parts that follow the rows of a table; effort names what is correlated.
func Comparisons(d []Difference, m []Matched, effort string, c []Correlation) []Part {
	return []Part{
		{"Differences of pass@1 in points, paired by problem, with 95 % intervals (bootstrap)", DifferenceGrid(d)},
		{"One answer of an astro arm beside as many answers of another model as cost the same tokens", MatchedGrid(m)},
		{effort + " and being right: Pearson's r with 95 % interval; points of a learning curve are not independent", CorrelationGrid(c)},
	}
}
