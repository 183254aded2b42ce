package algebra

import (
	"strings"
	"testing"

	"astro/training/reward/latex"
)

func parse(t *testing.T, src string) *latex.Node {
	t.Helper()
	n, _, err := latex.Parse(src, latex.Reading{})
	if err != nil {
		t.Fatalf("%q: %v", src, err)
	}
	return n
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want Rule
	}{
		{`\frac{2}{4}`, "1/2", Rational}, {"2^{10}", "1024", Rational}, {`\sqrt{9/4}`, "3/2", Rational}, {"1", "2", ""},
		{`\sqrt2\sqrt3`, `\sqrt6`, Numeric}, {`\sin 60^\circ`, `\frac{\sqrt3}{2}`, Numeric}, {`e^{i\pi}`, "-1", Numeric}, {`\pi`, "22/7", ""}, {`\arctan 1`, `\pi/4`, Numeric},
		{`\arctan\frac12+\arctan\frac13`, `\frac{\pi}{4}`, Numeric}, {`\sqrt{5+2\sqrt6}`, `\sqrt2+\sqrt3`, Numeric}, {`\operatorname{arcsinh}1`, `\ln(1+\sqrt2)`, Numeric},
		{`\sqrt2+10^{-60}`, `\sqrt2`, ""}, {`\frac{1}{0}`, `\frac{1}{0}`, ""}, {`\log 0`, `\log 0`, ""},
		{"(x+1)^2", "x^2+2x+1", Identity}, {"(x+1)^2", "x^2+1", ""}, {"x", "y", ""}, {"x/x", "1", Identity}, {`\sqrt{x^2}`, "x", ""}, {`\sqrt{x}^2`, "x", Identity},
		{`\sqrt{xy}`, `\sqrt{x}\sqrt{y}`, Identity}, {`\ln x^2`, `2\ln x`, ""}, {`(-1)^{2n}`, "1", Identity}, {`(-1)^n`, "1", ""}, {`\cos \pi n`, `(-1)^n`, Identity},
		{`\binom{n}{2}`, `\frac{n(n-1)}{2}`, Identity}, {`\sum_{k=1}^{n} k^3`, `\left(\sum_{k=1}^n k\right)^2`, Identity}, {`\sum_{k=1}^n a_k`, `n a_k`, ""},
		{`\lfloor x\rfloor`, "x", ""}, {`\sin \pi x`, "0", ""}, {`\log x`, `\ln x`, Identity}, {`\log 1000`, "3", Rational}, {`f(x)+f(x)`, `2f(x)`, Identity}, {"f(x)", "f(y)", ""},
		{`\gcd(4x,6xy)`, "x", Identity}, {`\max(x,y)`, `\max(y,x)`, Identity}, {"i^2", "-1", Numeric}, {"(a+bi)(a-bi)", "a^2+b^2", Identity},
	} {
		j := NewJudge(100_000)
		got := j.Same(parse(t, c.a), parse(t, c.b))
		if back := NewJudge(100_000).Same(parse(t, c.b), parse(t, c.a)); got != c.want && !(got != "" && c.want == Rational && got == Numeric) || back != got {
			t.Errorf("%s = %s: got %q, the other way %q; want %q", c.a, c.b, got, back, c.want)
		}
	}
}

func TestProportional(t *testing.T) {
	for _, c := range []struct {
		a, b string
		sign int
		ok   bool
	}{
		{"2x-4y", "x-2y", 1, true}, {"x-y", "y-x", -1, true}, {"x", "x^2", 0, false}, {"x", "y", 0, false}, {"x-1", "x-2", 0, false}, {`\sqrt2x`, "x", 1, true}, {"0x", "x", 0, false}, {"ix", "x", 0, true},
	} {
		if sign, ok := NewJudge(100_000).Proportional(parse(t, c.a), parse(t, c.b)); sign != c.sign || ok != c.ok {
			t.Errorf("%s, %s: got %d, %v; want %d, %v", c.a, c.b, sign, ok, c.sign, c.ok)
		}
	}
}

func TestLinear(t *testing.T) {
	for src, want := range map[string]string{"2x-6": "3", "-x/2+1": "2", `\pi x`: "0", "3-x": "3", "x^2": "", "5": "", `\frac{1}{x}`: "", "|x|": ""} {
		j := NewJudge(100_000)
		k, c, ok := j.Linear(parse(t, src), "x")
		if !ok {
			if want != "" {
				t.Errorf("%s: got no line; want the root %s", src, want)
			}
			continue
		}
		root, err := j.Solve(k, c)
		if err != nil || want == "" {
			t.Fatalf("%s: got the root %v, %v; want %q", src, root, err, want)
		}
		if w, _ := j.Value(parse(t, want)); !same(j.machine(coarseBits), root, w) {
			t.Errorf("%s: got the root %v; want %s", src, root, want)
		}
	}
}

func TestFold(t *testing.T) {
	m := func(rows string) string { return `\begin{pmatrix}` + rows + `\end{pmatrix}` }
	for src, want := range map[string]string{
		m(`1&2\\3&4`) + "+" + m(`1&1\\1&1`): m(`2&3\\4&5`), "2" + m(`1\\x`): m(`2\\2x`), m(`1&2\\3&4`) + m(`1\\1`): m(`3\\7`), "-" + m(`1\\2`): m(`-1\\-2`), `\frac{` + m(`2\\4`) + `}{2}`: m(`1\\2`),
		m(`1\\2`) + "-" + m(`1\\1`): m(`0\\1`),
	} {
		got, w := Fold(parse(t, src)), parse(t, want)
		if got.Kind != latex.Matrix || got.Cols != w.Cols || len(got.Args) != len(w.Args) {
			t.Errorf("%s: got %+v; want a matrix of the shape of %s", src, got, want)
			continue
		}
		for i := range got.Args {
			if NewJudge(10_000).Same(got.Args[i], w.Args[i]) == "" {
				t.Errorf("%s: entry %d differs from that of %s", src, i, want)
			}
		}
	}
	for src, want := range map[string]string{`\begin{vmatrix}1&2\\3&4\end{vmatrix}`: "-2", `\det\begin{pmatrix}a&b\\c&d\end{pmatrix}`: "ad-bc", `\begin{vmatrix}2&0&1\\1&3&0\\0&1&1\end{vmatrix}`: "7"} {
		if NewJudge(10_000).Same(Fold(parse(t, src)), parse(t, want)) == "" {
			t.Errorf("%s: want %s", src, want)
		}
	}
	if n := parse(t, m(`1\\2`)+"+"+m(`1&2`)); Fold(n) != n {
		t.Error("matrices of different shapes were added")
	}
}

// TestBudget: the cost never exceeds the budget, and what does not fit is not equal.
func TestBudget(t *testing.T) {
	a := parse(t, strings.Repeat(`\sin(`, 40)+"x"+strings.Repeat(")", 40))
	for _, budget := range []int{0, 1, 100, 5000} {
		j := NewJudge(budget)
		if rule := j.Same(a, a); rule != "" || !j.Over() || j.Spent() > budget {
			t.Errorf("budget %d: got %q, spent %d, over %v", budget, rule, j.Spent(), j.Over())
		}
	}
}
