package pipeline

import (
	"fmt"

	"astro/training/recipe/learning"
	"astro/training/recipe/report"
)

// plots are the pictures of a table by file name.
func (t *Table) plots() map[string]report.Plot {
	var list []learning.Named
	distinct := report.Plot{Title: "Distinct legal attempts against score, one point for each model of the learning curve", XLabel: "distinct legal attempts per answer",
		YLabel: "pass@1, %", Scatter: true}
	for _, c := range t.curves {
		arms := []learning.Named{{Name: string(AstroRL), Figures: c.astro, Returns: true}, {Name: string(DirectRL), Figures: c.direct}}
		for _, arm := range append(arms, c.compared...) {
			if len(arm.Curve) == 0 { // an arm that was not run
				continue
			}
			if len(t.curves) > 1 {
				arm.Name += fmt.Sprintf(", seed %d", c.seed)
			}
			if list = append(list, arm); arm.Returns {
				distinct.Lines = append(distinct.Lines, learning.LineOf(arm.Name, arm.Curve, func(p Point) float64 { return p.Distinct }, learning.Percent))
			}
		}
	}
	plots := learning.Plots(list)
	plots["distinct.svg"] = distinct
	return plots
}
