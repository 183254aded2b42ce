package learning

import "astro/training/recipe/report"

// Named are the Figures of one model that learns.
type Named struct {
	Name string
	Figures
	Returns bool // it goes back: its points are drawn in the plots of effort against score
}

// Plots draws learnings by the name of a file.
func Plots(list []Named) map[string]report.Plot {
	pass := report.Plot{Title: "Validation pass@1 while learning by rewards", XLabel: "tokens drawn, in thousands", YLabel: "pass@1, %"}
	reward := report.Plot{Title: "Reward while learning", XLabel: "step", YLabel: "mean reward"}
	length := report.Plot{Title: "Length of answers while learning", XLabel: "step", YLabel: "tokens per answer"}
	returns := report.Plot{Title: "Backtracks against score, one point for each model of the learning curve", XLabel: "returns per answer", YLabel: "pass@1, %", Scatter: true}
	for _, n := range list {
		pass.Lines = append(pass.Lines, LineOf(n.Name, n.Curve, func(p Point) float64 { return float64(p.Tokens) / 1000 }, Percent))
		reward.Lines = append(reward.Lines, LineOf(n.Name, n.Steps, at, func(s Step) float64 { return s.Reward }))
		length.Lines = append(length.Lines, LineOf(n.Name, n.Steps, at, func(s Step) float64 { return s.Length }))
		if n.Returns {
			returns.Lines = append(returns.Lines, LineOf(n.Name, n.Curve, func(p Point) float64 { return p.Returns }, Percent))
		}
	}
	return map[string]report.Plot{"pass.svg": pass, "reward.svg": reward, "length.svg": length, "returns.svg": returns}
}

// Percent is a Point's pass@1 in percent.
func Percent(p Point) float64 { return 100 * p.Pass1 }

func at(s Step) float64 { return float64(s.Step) }

// LineOf makes a line of a plot from any list.
func LineOf[T any](name string, points []T, x, y func(T) float64) report.Line {
	l := report.Line{Name: name}
	for _, p := range points {
		l.X, l.Y = append(l.X, x(p)), append(l.Y, y(p))
	}
	return l
}
