package pipeline

import "fmt"

// plots are the pictures of a table by file name.
func (t *Table) plots() map[string]Plot {
	plots := map[string]Plot{
		"pass.svg":    {Title: "Validation pass@1 while learning by rewards", XLabel: "tokens drawn, in thousands", YLabel: "pass@1, %"},
		"reward.svg":  {Title: "Reward while learning", XLabel: "step", YLabel: "mean reward"},
		"returns.svg": {Title: "Backtracks against score, one point for each model of the learning curve", XLabel: "returns per answer", YLabel: "pass@1, %", Scatter: true},
		"distinct.svg": {Title: "Distinct legal attempts against score, one point for each model of the learning curve", XLabel: "distinct legal attempts per answer",
			YLabel: "pass@1, %", Scatter: true},
		"length.svg": {Title: "Length of answers while learning", XLabel: "step", YLabel: "tokens per answer"},
	}
	add := func(name string, l Line) {
		p := plots[name]
		p.Lines = append(p.Lines, l)
		plots[name] = p
	}
	for _, c := range t.curves {
		for _, arm := range []struct {
			name    string
			figures rlFigures
		}{{"astro-rl", c.astro}, {"direct-rl", c.direct}} {
			name := arm.name
			if len(t.curves) > 1 {
				name = fmt.Sprintf("%s, seed %d", arm.name, c.seed)
			}
			thousands := func(p Point) float64 { return float64(p.Tokens) / 1000 }
			pass := func(p Point) float64 { return 100 * p.Pass1 }
			add("pass.svg", lineOf(name, arm.figures.Curve, thousands, pass))
			add("reward.svg", lineOf(name, arm.figures.Steps, StepLine.at, func(s StepLine) float64 { return s.Reward }))
			add("length.svg", lineOf(name, arm.figures.Steps, StepLine.at, func(s StepLine) float64 { return s.Length }))
			if arm.name == "astro-rl" {
				add("returns.svg", lineOf(name, arm.figures.Curve, func(p Point) float64 { return p.Returns }, pass))
				add("distinct.svg", lineOf(name, arm.figures.Curve, func(p Point) float64 { return p.Distinct }, pass))
			}
		}
	}
	return plots
}

func (s StepLine) at() float64 { return float64(s.Step) }

func lineOf[T any](name string, points []T, x, y func(T) float64) Line {
	l := Line{Name: name}
	for _, p := range points {
		l.X, l.Y = append(l.X, x(p)), append(l.Y, y(p))
	}
	return l
}
