package reward

import (
	"testing"

	"astro/training/reward/latex"
)

// seeds are answers of all kinds.
func seeds() []string {
	return []string{"5", "-3/4", "0.25", `\frac{1}{2}`, `2\sqrt{3}`, `x^2+2x+1`, "1,2,3", `\{1,2\}`, "(1,2)", `[0,\infty)`, `(0,1)\cup(2,3)`, "x=5", "x<3", "12_5", "3:4", `\text{red}`, `5\%`, `90^\circ`,
		`5\text{ cm}`, `\begin{pmatrix}1&2\\3&4\end{pmatrix}`, `3\pm\sqrt2`, `\sum_{k=1}^{9}k`, `\$4.50`, `\boxed{7}`, `|x-1|`, `\lfloor 2.5\rfloor`, `\sin^2 x`, "1 1/2", "1,234", "a/bc", `\frac{1}{0}`, "9**9**9"}
}

// symmetric says that none of the rules applies that trust the known answer more, and that equality of the parts is
// transitive.
func symmetric(s side) bool {
	for _, n := range s.readings {
		if !n.Walk(func(m *latex.Node) bool {
			switch m.Kind {
			case latex.Rel, latex.Text, latex.Percent, latex.Degree, latex.Opaque:
				return false
			case latex.Unit:
				return m.Known
			}
			return !m.Decimal || m.Places < fractionPlaces
		}) {
			return false
		}
	}
	return len(s.readings) > 0
}

func FuzzEqual(f *testing.F) {
	for _, g := range seeds() {
		for _, a := range seeds() {
			f.Add(g, a)
		}
	}
	f.Fuzz(func(t *testing.T, gold, answer string) {
		g, a := read(gold), read(answer)
		v, w := equalSides(g, a, Options{}), equalSides(a, g, Options{})
		for _, verdict := range []Verdict{v, w} {
			if verdict.Cost > MaxCost || verdict.Equal != (verdict.Rule != "") || verdict.Reason == "" {
				t.Errorf("%q, %q: got %+v", gold, answer, verdict)
			}
		}
		if v.Equal != w.Equal && symmetric(g) && symmetric(a) && max(v.Cost, w.Cost) < MaxCost && !wordy(g) && !wordy(a) {
			t.Errorf("%q, %q: got %+v, the other way %+v", gold, answer, v, w)
		}
		if again := Equal(gold, answer, Options{}); again != v {
			t.Errorf("%q, %q: got %+v, then %+v", gold, answer, v, again)
		}
	})
}

func FuzzVerify(f *testing.F) {
	for _, a := range seeds() {
		f.Add("5", `So the answer is \boxed{`+a+`}.`)
		f.Add(a, "Therefore $"+a+"$ is it.")
		f.Add(a, "The final answer is "+a+". I hope it is correct.")
	}
	f.Add("5", `\boxed{4} and \boxed{5}`)
	f.Add("5", "<think>\\boxed{5}")
	f.Add("5", "it is -$5,000.50\n#### 5")
	f.Fuzz(func(t *testing.T, gold, response string) {
		for _, o := range []Options{{}, {Mode: Lenient}, {Mode: Lenient, Think: true, SolvedInequality: true, RoundedGold: true}, {IntegerOnly: true}} {
			r := Verify(gold, response, o)
			if r.Cost > MaxCost*(maxHedges+2) || r.Correct != (r.Reason == ReasonCorrect) || r.Correct && r.Extracted == "" || r.Reason == "" {
				t.Errorf("%q, %q: got %+v", gold, response, r)
			}
			if o.Mode == Strict && r.Rule != "" && r.Rule != FromBox {
				t.Errorf("%q: got an answer from %q in strict mode", response, r.Rule)
			}
		}
	})
}
