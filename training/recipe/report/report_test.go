package report

import (
	"math"
	"strings"
	"testing"
)

func answers(correct string, tokens int) Answered {
	a := Answered{Problem: correct, Set: correct}
	for _, c := range correct {
		a.Answers = append(a.Answers, Answer{Correct: c == '+', Stated: map[bool]string{true: "24", false: "23"}[c == '+'], Tokens: tokens, Returns: len(a.Answers)})
	}
	return a
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s: got %g, want %g", what, got, want)
	}
}

// Two problems of four answers: one and three right.
func TestMeasure(t *testing.T) {
	r := Measure("base", []Answered{answers("+---", 10), answers("+++-", 30)})
	near(t, "pass@1", r.Pass1.Mean, .5)
	near(t, "standard error", r.Pass1.SE, .25) // deviation of .25 and .75 is .3536, over the root of 2
	near(t, "pass@4", r.PassN, 1)
	near(t, "vote", r.Vote, .5)
	near(t, "tokens", r.Tokens, 20)
	near(t, "returns", r.Returns, 1.5)
}

// One answer of 60 tokens costs as much as three of 20, and as much as one and a half of 40.
func TestMatch(t *testing.T) {
	other := []Answered{answers("+---", 20)}
	m := Match(Row{Arm: "astro-rl", Tokens: 60}, Measure("direct-rl", other), other)
	near(t, "m", m.Answers, 3)
	near(t, "best of 3", m.Oracle, .75)
	near(t, "vote of 3", m.Vote, 0)
	other = []Answered{answers("+---", 40)}
	m = Match(Row{Arm: "astro-rl", Tokens: 60}, Measure("direct-rl", other), other)
	near(t, "best of 1.5", m.Oracle, (.25+.5)/2)
	if m = Match(Row{Arm: "astro-rl", Tokens: 600}, Measure("direct-rl", other), other); !m.Bounded || m.Answers != 4 {
		t.Errorf("got %+v; want all four answers", m)
	}
}

// r of (0,1,2,3) and (0,1,3,2) is .8; Fisher's interval of n = 4 is tanh(atanh .8 +- 1.96).
func TestCorrelate(t *testing.T) {
	c := Correlate("x", []float64{0, 1, 2, 3}, []float64{0, 1, 3, 2})
	near(t, "r", c.R, .8)
	if math.Abs(c.Interval.Low-(-.6970)) > 2e-4 || math.Abs(c.Interval.High-.9956) > 1e-3 {
		t.Errorf("got %+v", c.Interval)
	}
	if c = Correlate("x", []float64{1, 1}, []float64{0, 1}); c.Defined || c.Interval.Low != -1 {
		t.Errorf("got %+v of a constant", c)
	}
}

func TestAxis(t *testing.T) {
	a := newAxis([]float64{3, 47}, 0, 100)
	if a.low != 0 || a.high != 50 || a.step != 10 || len(a.ticks()) != 6 || a.at(25) != 50 {
		t.Errorf("got %+v, ticks %v", a, a.ticks())
	}
	if a = newAxis([]float64{2}, 0, 1); !(a.low < 2 && a.high > 2) {
		t.Errorf("got %+v of one value", a)
	}
	svg := Plot{Title: "a < b", Lines: []Line{{"x", []float64{0, 1}, []float64{0, 1}}}}.SVG()
	if strings.Count(svg, "<circle") != 3 || !strings.Contains(svg, "a &lt; b") || strings.Contains(svg, "NaN") || !strings.Contains(Plot{}.SVG(), "</svg>") {
		t.Errorf("got %s", svg)
	}
}
