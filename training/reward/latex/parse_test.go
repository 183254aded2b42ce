package latex

import (
	"errors"
	"strings"
	"testing"
)

// shape writes a tree in a form that is easy to compare.
func shape(n *Node) string {
	var parts []string
	for _, a := range n.Args {
		parts = append(parts, shape(a))
	}
	inner := strings.Join(parts, " ")
	switch n.Kind {
	case Num:
		return n.Rat.RatString()
	case Sym, Const, NamedSet, Text, Opaque:
		return n.Name
	case Rel:
		return "rel[" + strings.Join(n.Ops, " ") + "](" + inner + ")"
	case Tuple:
		return string(n.Open) + inner + string(n.Close)
	case BaseNum:
		return n.Name + "_" + string(rune('0'+n.Cols))
	}
	names := map[Kind]string{Add: "+", Neg: "-", Mul: "*", Div: "/", Pow: "^", Root: "root", PlusMinus: "+-", Percent: "%", Degree: "deg", Set: "set", Matrix: "matrix", Ratio: ":"}
	name := names[n.Kind]
	if name == "" {
		name = n.Name
	}
	return name + "(" + inner + ")"
}

// parseCases are formulas and their trees; "" = an error.
var parseCases = map[string]string{
	"1+2*3":                              "+(1 *(2 3))",
	"a-b-c":                              "+(a -(b) -(c))",
	"-x^2":                               "-(^(x 2))",
	"2^3^2":                              "^(2 ^(3 2))",
	"2^{-1}":                             "^(2 -(1))",
	"2^-1x":                              "*(^(2 -(1)) x)",
	"a/b*c":                              "*(/(a b) c)",
	"a/bc":                               "*(/(a b) c)",
	"2/-3":                               "/(2 -(3))",
	`\frac12`:                            "/(1 2)",
	`\frac123`:                           "*(/(1 2) 3)",
	`\frac1{72}x`:                        "*(/(1 72) x)",
	`\frac\pi2`:                          "/(pi 2)",
	`3\frac12`:                           "+(3 /(1 2))",
	`3\frac72`:                           "*(3 /(7 2))",
	`x\frac12`:                           "*(x /(1 2))",
	`3.5\frac12`:                         "*(7/2 /(1 2))",
	`\sqrt2x`:                            "*(root(2 2) x)",
	`\sqrt[3]{x}`:                        "root(x 3)",
	`\sin^2 x`:                           "^(sin(x) 2)",
	`\sin 2x+1`:                          "+(sin(*(2 x)) 1)",
	`\sin x\cos y`:                       "*(sin(x) cos(y))",
	`\sin^{-1}x`:                         "arcsin(x)",
	`\log_2 8`:                           "log(8 2)",
	"sin(x)/x":                           "/(sin(x) x)",
	"|x|y|":                              "",
	"|x-1|+|y|":                          "+(abs(+(x -(1))) abs(y))",
	"||x|-1|":                            "abs(+(abs(x) -(1)))",
	"f(x+1)":                             "f(+(x 1))",
	"x(y+1)":                             "*(x +(y 1))",
	"5!":                                 "factorial(5)",
	"x_1^2":                              "^(x_1 2)",
	"x^2_1":                              "^(x_1 2)",
	"x_{12}":                             "x_12",
	"1<x\\le 2":                          "rel[< <=](1 x 2)",
	"x=1,y=2":                            ",(rel[=](x 1) rel[=](y 2))",
	"1, 2, and 3":                        "and(1 2 3)",
	"(1,2]":                              "(1 2]",
	"(1;2,3)":                            "(1 2 3)",
	"1,2;3,4":                            ";((1 2) (3 4))",
	`\{1,\{2\}\}`:                        "set(1 set(2))",
	"{1,2}":                              "set(1 2)",
	`[0,1]\cup(2,3)`:                     "cup([0 1] (2 3))",
	`A\setminus B\cup C`:                 "cup(setminus(A B) C)",
	"12_5":                               "12_5",
	"2:3:4":                              ":(2 3 4)",
	`1\pm\sqrt2`:                         "+-(1 root(2 2))",
	`50\%`:                               "%(50)",
	`90^\circ`:                           "deg(90)",
	`90^{\circ}\text{C}`:                 "deg(90)",
	`5\text{ square feet}`:               "ft^2(5)",
	`5\text{ cm}^2`:                      "cm^2(5)",
	`\text{two words}`:                   "two words",
	`\text{ and }`:                       "",
	`\operatorname{lcm}(4,6)`:            "lcm(4 6)",
	`\begin{pmatrix}1\\2\end{pmatrix}`:   "matrix(1 2)",
	`\sum_{i=1}^{n}i`:                    "sum(i 1 n i)",
	`\sum^{n}_{k=1}k^2+1`:                "+(sum(k 1 n ^(k 2)) 1)",
	`\lim_{x\to0}f(x)=1`:                 "",
	`\left.x\right|`:                     "",
	"2.5\\times10^{-3}":                  "1/400",
	"1e3":                                "1000",
	`0.1\overline{6}`:                    "1/6",
	`7\mod 4`:                            "mod(7 4)",
	`1+7\mod 4`:                          "+(1 mod(7 4))",
	`\overrightarrow{AB}`:                "overrightarrow AB",
	"3 4":                                "",
	"(1,2":                               "",
	"1+":                                 "",
	"*3":                                 "",
	`\foo`:                               "",
	`\frac{}{2}`:                         "",
	`\begin{pmatrix}1&2\\3\end{pmatrix}`: "",
	"19_5":                               "",
	"":                                   "",
}

func TestParse(t *testing.T) {
	for src, want := range parseCases {
		n, _, err := Parse(src, Reading{})
		if want == "" && !strings.Contains(src, "lim") {
			if err == nil {
				t.Errorf("%q: got %s; want an error", src, shape(n))
			}
			continue
		}
		if err != nil || want != "" && shape(n) != want {
			t.Errorf("%q: got %v, %v; want %s", src, n, err, want)
		}
	}
}

func TestReadings(t *testing.T) {
	for _, c := range []struct {
		src     string
		reading Reading
		want    string
		seen    Reading
	}{
		{"1,234", Reading{}, "1234", Reading{SplitThousands: true}},
		{"1,234", Reading{SplitThousands: true}, ",(1 234)", Reading{SplitThousands: true}},
		{"1, 234", Reading{}, ",(1 234)", Reading{}},
		{`1,\!234`, Reading{}, "1234", Reading{}},
		{"(1,234)", Reading{}, "(1 234)", Reading{}},
		{"(1, 2,345)", Reading{}, "(1 2345)", Reading{SplitThousands: true}},
		{"1 234", Reading{}, "1234", Reading{}},
		{"a/bc", Reading{TightSlash: true}, "/(a *(b c))", Reading{}},
		{"a/bc", Reading{}, "*(/(a b) c)", Reading{TightSlash: true}},
	} {
		n, seen, err := Parse(c.src, c.reading)
		if err != nil || shape(n) != c.want || seen != c.seen {
			t.Errorf("%q, %+v: got %v, %+v, %v; want %s, %+v", c.src, c.reading, n, seen, err, c.want, c.seen)
		}
	}
}

func TestClean(t *testing.T) {
	for src, want := range map[string]string{
		" $5$. ": "5", `\boxed{\boxed{5}}`: "5", `\(5\)`: "5", `\[5\]`: "5", "$$5$$": "5", "5,": "5", `5\\`: "5", `5\`: "5", "{5}": "5", "{1,2}": "{1,2}", "$1$ and $2$": "$1$ and $2$",
		"**5**": "5", `\\frac{1}{2}`: `\frac{1}{2}`, `\begin{pmatrix}a\\b\end{pmatrix}`: `\begin{pmatrix}a\\b\end{pmatrix}`, "x²": "x^{2}", "x¹²": "x^{12}", "2√3": `2\sqrt 3`, "４２": "42",
		"4 p.m.": "4 p.m.", `\{1\}`: `\{1\}`, "": "", "$": "$",
	} {
		if got := Clean(src); got != want {
			t.Errorf("%q: got %q; want %q", src, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	for name, src := range map[string]string{
		"bytes": strings.Repeat("1", MaxBytes+1), "depth": strings.Repeat("(", MaxDepth+1) + "1" + strings.Repeat(")", MaxDepth+1), "digits": strings.Repeat("1", MaxDigits+1),
		"exponents": strings.Repeat("2^", MaxDepth+1) + "2", "roots": strings.Repeat(`\sqrt`, MaxDepth+1) + "2", "signs": strings.Repeat("-", MaxDepth+1) + "2", "exponent": "1e9999",
	} {
		if _, _, err := Parse(src, Reading{}); !errors.Is(err, ErrOverLimit) {
			t.Errorf("%s: got %v; want ErrOverLimit", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1+2", `\frac12`, `\sin^2 x`, "(1,2]", `\begin{pmatrix}1&2\\3&4\end{pmatrix}`, "12_5", `5\text{ cm}^2`, `\{1,2\}`, "|x|", `\sum_{k=1}^n k`, "1,234", "a/bc", `0.\overline{3}`, `\lim_{x\to 0} x = 1`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		clean := Clean(src)
		if again := Clean(clean); len(again) > len(clean) && len(clean) < MaxBytes/2 {
			t.Errorf("%q: cleaning twice makes it longer: %q, %q", src, clean, again)
		}
		n, seen, err := Parse(clean, Reading{})
		if (n == nil) != (err != nil) {
			t.Fatalf("%q: got %v, %v", src, n, err)
		}
		if err != nil {
			return
		}
		nodes := 0
		n.Walk(func(m *Node) bool {
			nodes++
			if m.Kind == Num && m.Rat == nil || m.Kind == Rel && len(m.Ops) != len(m.Args)-1 {
				t.Errorf("%q: got the node %+v", src, m)
			}
			return true
		})
		if nodes > 4*MaxTokens {
			t.Errorf("%q: got %d nodes", src, nodes)
		}
		if seen != (Reading{}) {
			_, _, _ = Parse(clean, seen)
		}
	})
}
