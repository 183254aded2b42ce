package reward

import "testing"

// pair is a known answer with answers that are equal to it and answers that are not. All are of our own making.
type pair struct {
	gold  string
	same  []string
	other []string
}

func checkPairs(t *testing.T, o Options, pairs []pair) {
	t.Helper()
	check := func(gold, answer string, want bool) {
		t.Helper()
		v := Equal(gold, answer, o)
		if v.Equal != want || v.Equal != (v.Rule != "") || v.Equal != (v.Reason == ReasonCorrect) || v.Cost > MaxCost {
			t.Errorf("gold %q, answer %q: got %+v; want equal %v", gold, answer, v, want)
		}
	}
	for _, p := range pairs {
		check(p.gold, p.gold, true)
		for _, a := range p.same {
			check(p.gold, a, true)
		}
		for _, a := range p.other {
			check(p.gold, a, false)
		}
	}
}

func TestNumbers(t *testing.T) {
	checkPairs(t, Options{}, []pair{
		{"17", []string{"17.", "17.0", "$17$", `\boxed{17}`, "017", "+17", "34/2", `\frac{34}{2}`, "{17}", "(17)", `\text{17}`, `\mathbf{17}`, "１７", " 17 ", `17\,`, "16+1", `\sqrt{289}`, `|-17|`, "x=17", `10+7=17`},
			[]string{"-17", "1.7", "170", "17.0001", "17, 18", "17 or 18", `17\pm 1`, `\{16, 17\}`, "", "?", "x", "17x", `17\pi`, "[17, 18]", `x \le 17`, "18=17", "x+1=17", `17\text{ or }18`, `17 \text{ maybe}`, `\frac{17}{0}`}},
		{"-3", []string{"- 3", "−3", `\left(-3\right)`, `-\frac{9}{3}`}, []string{"3", "--3", "-3i"}},
		{"12345", []string{"12,345", `12{,}345`, `12,\!345`, "12 345", `12\,345`, "12345.00", "1.2345e4", `1.2345 \times 10^4`, `1.2345\cdot 10^{4}`}, []string{"12, 345", "123,45", "1,2345", "12.345"}},
		{"1234567", []string{"1,234,567", `1{,}234{,}567`, "1 234 567"}, []string{"1,234,568", "1234,567.5"}},
		{"0", []string{"-0", "0.0", `0^\circ`, "x - x", `\sin(\pi)`, `\ln 1`}, []string{"1e-30", `\frac{1}{10^{50}}`, `\frac{0}{0}`, "O"}},
		{"2.5", []string{"5/2", `\frac52`, "2.50", `2\frac12`, "2 1/2", `\frac{2.5}{1}`, "250%"}, []string{"2.05", "25", "2.51", "2.4999999"}},
		{`\frac{3}{4}`, []string{"0.75", ".75", `\frac34`, `\dfrac{3}{4}`, `\tfrac 3 4`, "3/4", "¾", "75%", `75\%`, `\frac{6}{8}`, `3 \div 4`, `\frac{-3}{-4}`, `3\cdot 4^{-1}`}, []string{"0.7", "4/3", "-3/4", "75", "0.751", "3:5", "(3,4)"}},
		{`\frac{1}{3}`, []string{`0.\overline{3}`, "0.333333333333", "0.3333333333333333", `33\frac{1}{3}\%`}, []string{"0.33", "0.333333", "0.34", "33%"}},
		{"0.142857143", []string{"1/7"}, []string{"1/8", "0.142857142"}},
		{"0.33", []string{"33/100"}, []string{"1/3", "0.333"}},
		{`7\frac{2}{5}`, []string{"7.4", "37/5", `7 \tfrac25`, "7 2/5"}, []string{"14/5", "7", "2/5", "-7.4"}},
		{`-7\frac{2}{5}`, []string{"-7.4", "-37/5"}, []string{"7.4", "-6.6"}},
		{"123456789012345678901234567891", []string{"123,456,789,012,345,678,901,234,567,891"}, []string{"123456789012345678901234567890"}},
		{`2^{300}`, []string{`4^{150}`, `2^{299}\cdot 2`}, []string{`2^{301}`, `3^{300}`, "2300"}},
		{`\frac{1}{3^{120}}`, []string{`3^{-120}`, `9^{-60}`}, []string{"0", `3^{-121}`}},
		{`0.\overline{27}`, []string{"3/11"}, []string{"0.27"}},
		{`1.2\overline{6}`, []string{"19/15", `\frac{38}{30}`}, []string{"1.26"}},
		{"6", []string{"3!", `\binom{4}{2}`, `\lfloor 6.9 \rfloor`, `\lceil 5.01\rceil`, `\gcd(18, 24)`, `\operatorname{lcm}(2,3)`, `\max(2,6,3)`, `\sum_{k=1}^{3} k`, `\prod_{k=1}^{3}k`, `20 \bmod 7`, `\log_2 64`, "sqrt(36)"}, []string{"6!", `\binom{4}{1}`, `\lfloor 5.9\rfloor`}},
	})
}

func TestConstants(t *testing.T) {
	checkPairs(t, Options{}, []pair{
		{`2\sqrt{7}`, []string{`2\sqrt7`, `\sqrt{28}`, `2 \cdot 7^{1/2}`, "2*sqrt(7)", "2√7", `\sqrt{4}\sqrt{7}`, `\frac{14}{\sqrt{7}}`, `\sqrt 28`}, []string{`\sqrt{7}`, "5.2915", `2\sqrt{5}`, `\sqrt{2}\sqrt{7}`, `2\sqrt[3]{7}`, `-2\sqrt7`}},
		{`\frac{\sqrt{5}-1}{2}`, []string{"(sqrt(5)-1)/2", `\frac{2}{1+\sqrt{5}}`, `-\frac12+\frac{\sqrt5}{2}`, "0.61803398874989"}, []string{`\frac{\sqrt5+1}{2}`, "0.618", "0.6180339887"}},
		{`\sqrt[3]{16}`, []string{`2\sqrt[3]{2}`, `16^{1/3}`, `2^{4/3}`, "∛16"}, []string{`\sqrt{16}`, "2.52"}},
		{`12\pi`, []string{`\pi \cdot 12`, "12π", "12*pi", `\frac{36\pi}{3}`, "12 pi"}, []string{"12", "37.7", `12\pi^2`, `\pi`}},
		{`\frac{\pi}{6}`, []string{`\pi/6`, `\frac16\pi`, `\arcsin\frac12`, `30^\circ`}, []string{`\frac{\pi}{3}`, "30", `\frac{6}{\pi}`}},
		{"e", []string{`e^1`, `\exp(1)`, `\mathrm{e}`, "2.718281828459045"}, []string{"2.718", `e^2`, "E"}},
		{`3+4i`, []string{`4i+3`, `3 + 4 \cdot i`, `(2+i)^2`, `5e^{i\arctan(4/3)}`}, []string{`3-4i`, "7", `4+3i`, "5"}},
		{`i`, []string{`\sqrt{-1}`, `e^{i\pi/2}`}, []string{"-i", "1"}},
		{"-1", []string{`i^2`, `e^{i\pi}`, `\cos\pi`, `\sqrt[3]{-1}`, `(-1)^{1/3}`, `\cos 180^\circ`}, []string{"1", "i"}},
		{`\log_2 3`, []string{`\frac{\ln 3}{\ln 2}`, `\frac{\log 3}{\log 2}`}, []string{`\log_3 2`, "1.585"}},
		{"2", []string{`\log 100`, `\log_{10} 100`, `\ln e^2`, `\lg 100`, `\sec 60^\circ`, `4\sin\frac{\pi}{6}`}, []string{`\ln 100`, `\log 10`}},
		{`\infty`, []string{"∞", `+\infty`, "inf"}, []string{`-\infty`, "0", "1000000"}},
		{`\frac{1}{5!}`, []string{`\frac{1}{120}`}, []string{`\frac{1}{6!}`, "0.0083"}},
		{`\cos 36^\circ`, []string{`\frac{1+\sqrt5}{4}`, `\cos\frac{\pi}{5}`, `\sin 54^{\circ}`}, []string{`\cos 36`, `\cos 54^\circ`}},
		{`2\cos 10^\circ`, []string{`2 \cos{10^{\circ}}`, `2\sin(80^\circ)`}, []string{`\cos 20^\circ`}},
		{`\sum_{n=1}^{\infty} \frac{1}{n^2}`, []string{`\sum_{n = 1}^\infty {\frac{1}{n^2}}`}, []string{`\sum_{n=1}^{\infty} \frac{1}{n^3}`, "1"}},
		{`\frac{1}{2}`, []string{`\int_0^1 x\,dx = \frac12`, `\lim_{n \to \infty} \frac{n}{2n} = \frac{1}{2}`}, []string{`\int_0^1 x\,dx`, `\int_0^1 x\,dx = 2`}},
	})
}

func TestExpressions(t *testing.T) {
	checkPairs(t, Options{}, []pair{
		{`x^2-9`, []string{`(x-3)(x+3)`, "x**2 - 9", `x^{2} - 9`, `-9+x^2`, `y = x^2-9`, `f(x) = x^2-9`, `(x+3)\cdot(x-3)`}, []string{`y^2-9`, `x^2+9`, `x^3-9`, `x^2-9x`, `x^2-9=0`, "-9"}},
		{`2a+b`, []string{`b+2a`, `a+b+a`, `b + 2*a`}, []string{`2A+b`, `2(a+b)`, `a+2b`, `2ab`}},
		{`\frac{x+1}{x-1}`, []string{`(x+1)/(x-1)`, `1+\frac{2}{x-1}`, `\frac{-x-1}{1-x}`}, []string{`\frac{x-1}{x+1}`, `x+1/x-1`}},
		{`\frac{1}{2x}`, []string{`1/(2x)`, `1/2x`, `\frac12 x^{-1}`}, []string{`\frac{2}{x}`}},
		{`|x|`, []string{`\left|x\right|`, `\sqrt{x^2}`, `\lvert x\rvert`}, []string{"x", "-x"}},
		{"x", []string{`\sqrt[3]{x^3}`, `\frac{x^2}{x}`, `\ln e^x`}, []string{`\sqrt{x^2}`, `\lfloor x \rfloor`, "X", "y", `x+10^{-40}`}},
		{`\sin^2 x`, []string{`1-\cos^2 x`, `(\sin x)^2`, `\frac{1-\cos 2x}{2}`, "sin(x)^2", `\sin^{2}(x)`}, []string{`\sin x^2`, `\sin 2x`, `\cos^2 x`}},
		{`\tan x`, []string{`\frac{\sin x}{\cos x}`, "tan(x)"}, []string{`\cot x`, `\tan y`}},
		{`\sin^{-1} x`, []string{`\arcsin x`, "asin(x)"}, []string{`\csc x`}},
		{`\csc x`, []string{`\frac{1}{\sin x}`, `(\sin x)^{-1}`}, []string{`\sin^{-1}x`}},
		{`2n!`, []string{`2 \cdot n!`}, []string{`(2n)!`}},
		{`(n+1)!`, []string{`(n+1)\cdot n!`}, []string{`n!+1`}},
		{`\frac{n(n+1)}{2}`, []string{`\sum_{k=1}^{n} k`, `\binom{n+1}{2}`, `\frac{n^2+n}{2}`}, []string{`\frac{n(n-1)}{2}`, `n^2`}},
		{`2^{n}-1`, []string{`2^n-1`, `\sum_{k=0}^{n-1} 2^k`}, []string{`2^{n-1}`, `2n-1`}},
		{`x_1+x_2`, []string{`x_{2} + x_{1}`}, []string{`x_1+x_3`, `x+x`}},
		{`3p^2\sqrt{2p}`, []string{`3\sqrt{2}p^{5/2}`, `\sqrt{18p^5}`}, []string{`3p\sqrt{2p}`}},
		{`e^{-2x}`, []string{`\frac{1}{e^{2x}}`, "e^(-2*x)", `\exp(-2x)`}, []string{`e^{2x}`, `-e^{2x}`}},
		{`\ln x^2`, []string{`\ln(x^2)`, `2\ln|x|`}, []string{`2\ln x`, `(\ln x)^2`}},
		{`f(2)`, []string{`f( 2 )`}, []string{`f(3)`, `g(2)`, `2f`}},
		{`\alpha+\beta`, []string{`\beta+\alpha`, "α+β"}, []string{`\alpha\beta`}},
		{`\vec{a}\times\vec{b}`, nil, []string{`\vec{a}+\vec{b}`}},
		{`\overline{AB}`, nil, []string{`\overline{CD}`, "AB"}},
		{`\frac{n}{d}`, []string{"n/d"}, []string{"d/n"}},
		{`x^{10}`, []string{"x^10", "x**10"}, []string{`x^1 0`, "10x"}},
	})
}

func TestSetsAndTuples(t *testing.T) {
	checkPairs(t, Options{}, []pair{
		{"2, 3, 5", []string{"5,2,3", "2, 3, and 5", `2,3\text{ and }5`, `\{2,3,5\}`, "2; 3; 5", "2 or 3 or 5", `x = 2, 3, 5`, `x=2, x=3, x=5`, "$2$, $3$ and $5$"}, []string{"2,3", "2,3,5,7", "2,3,4", "(2,3,5)", "235", "2,3,5,5", "10"}},
		{`1, 1, 2`, []string{"2,1,1"}, []string{"1,2", "1,2,2"}},
		{`\{1,2\}`, []string{`\{2,1\}`, "1,2", `\{1,1,2\}`, `\left\{ 1, 2 \right\}`, `\{1\}\cup\{2\}`}, []string{"(1,2)", `\{1\}`, `[1,2]`, "12"}},
		{`3\pm\sqrt{2}`, []string{`3+\sqrt2, 3-\sqrt2`, `\{3-\sqrt{2}, 3+\sqrt{2}\}`, `x=3\pm\sqrt2`, `3\mp\sqrt2`}, []string{`3+\sqrt2`, `\pm\sqrt2`, `\pm 3+\sqrt{2}`}},
		{"(1,2,3)", []string{"( 1, 2, 3 )", `\left(1,2,3\right)`, "[1,2,3]", `\langle 1,2,3\rangle`, `(x,y,z)=(1,2,3)`, "x=1,y=2,z=3", `\begin{pmatrix}1\\2\\3\end{pmatrix}`, "(1;2;3)"}, []string{"(3,2,1)", "(1,2)", "1,2,3", `\{1,2,3\}`, "(1,2,4)", `\begin{pmatrix}1&2&3\end{pmatrix}`}},
		{"(4,-1)", []string{`\left(4,-1\right)`, "(4.0, -1)", `(x,y)=(4,-1)`}, []string{"[4,-1]", "(4,-1]", "(-1,4)", "4,-1", "4", "(4,1)"}},
		{"(1,2),(3,4)", []string{"(3,4), (1,2)", "(1,2) and (3,4)", `\{(1,2),(3,4)\}`, "1,2;3,4", "(1,2), (3,4), (1,2)"}, []string{"(1,2)", "(2,1),(3,4)", "(1,2,3,4)"}},
		{"[0,5)", []string{`\left[0,5\right)`, `x \in [0,5)`, "[0, 5.0)"}, []string{"[0,5]", "(0,5)", "(0,5]", "[0,6)", "0,5", `0\le x<5`}},
		{`(-\infty,1)\cup(4,\infty)`, []string{`(4,\infty)\cup(-\infty,1)`, `(-∞,1)∪(4,∞)`, `x\in(-\infty,1)\cup(4,+\infty)`, `\mathbb{R}\setminus[1,4]`}, []string{`(-\infty,1]\cup(4,\infty)`, `(-\infty,1)\cap(4,\infty)`, `(-\infty,4)\cup(1,\infty)`, `(1,4)`, `(-\infty,1)`}},
		{`(-\infty,2)\cup(2,\infty)`, []string{`\mathbb{R}\setminus\{2\}`, `x\ne 2`}, []string{`\mathbb{R}`, `x\ne 3`}},
		{`[0,1]\cup(1,3]`, []string{"[0,3]", `[0,2]\cup[2,3]`, `[0,3]\cup\{2\}`}, []string{"[0,3)", `[0,1)\cup(1,3]`}},
		{`[0,4]\cap(1,9)`, []string{"(1,4]"}, []string{"[1,4]"}},
		{`\mathbb{R}`, []string{"ℝ", `(-\infty,\infty)`}, []string{`\mathbb{Q}`, `(0,\infty)`}},
		{`\emptyset`, []string{"∅", `\{\}`, `\varnothing`}, []string{"0", `\{0\}`}},
		{`\begin{pmatrix}1&2\\3&4\end{pmatrix}`, []string{`\begin{bmatrix}1&2\\3&4\end{bmatrix}`, `\left(\begin{array}{cc}1&2\\3&4\end{array}\right)`, `\begin{pmatrix}1 & 2\\ 3 & 4\\ \end{pmatrix}`, `\begin{pmatrix}1&0\\0&4\end{pmatrix}+\begin{pmatrix}0&2\\3&0\end{pmatrix}`, `A=\begin{pmatrix}1&2\\3&\frac82\end{pmatrix}`}, []string{`\begin{pmatrix}1&3\\2&4\end{pmatrix}`, `\begin{pmatrix}1&2\end{pmatrix}`, `\begin{pmatrix}1&2\\3&5\end{pmatrix}`, "(1,2,3,4)", `\begin{vmatrix}1&2\\3&4\end{vmatrix}`}},
		{"-2", []string{`\begin{vmatrix}1&2\\3&4\end{vmatrix}`}, []string{`\begin{vmatrix}1&2\\3&5\end{vmatrix}`}},
		{`2\begin{pmatrix}1\\3\end{pmatrix}`, []string{`\begin{pmatrix}2\\6\end{pmatrix}`}, []string{`\begin{pmatrix}1\\3\end{pmatrix}`}},
		{"(100,200)", []string{"(100, 200)"}, []string{"(100200)", "100200"}},
		{"(2,3,500)", []string{"(2, 3, 500)"}, []string{"(2, 3500)"}},
		{"(1, 2,500)", []string{"(1, 2500)"}, []string{"(1,2,501)"}},
	})
}

func TestRelations(t *testing.T) {
	checkPairs(t, Options{}, []pair{
		{"y=3x-1", []string{"3x-y=1", "y = -1+3x", "2y=6x-2", "3x-y-1=0", "3x-1", "y+1=3x"}, []string{"y=3x+1", "x=3y-1", "y=3x", "y-3x=1", "f=2x"}},
		{"x^2+y^2=9", []string{"y^2+x^2=9", `\frac{x^2}{9}+\frac{y^2}{9}=1`}, []string{"x^2+y^2=3", "x^2-y^2=9", "9"}},
		{"x=4", []string{"4", "x=8/2", "2x=8", "x=2+2=4"}, []string{"y=4", "x=5", "x=-4", "x>4"}},
		{"5", []string{"n=5", "n = 2+3 = 5", "AB=5", `\text{Area}=5`, "f(2)=5", `x=5\approx 5.0`}, []string{"n=6", "2n=5", "x+2y=5", "6=5", "n>5", "5=x+z"}},
		{"x<3", []string{"3>x", "x-3<0", "2x<6", "-x>-3", `(-\infty,3)`, `x\in(-\infty,3)`}, []string{`x\le 3`, "x>3", "x<4", "y<3", "3", `(-\infty,3]`}},
		{`1\le x<4`, []string{"[1,4)", `4>x\ge 1`, `x\ge 1 \text{ and } x<4`, `2\le 2x<8`}, []string{"(1,4)", `1<x<4`, `1\le x\le4`}},
		{`x<1\text{ or }x>6`, []string{`x>6\text{ or }x<1`, `(-\infty,1)\cup(6,\infty)`, "x>6, x<1"}, []string{`(1,6)`, "x<1"}},
		{`\{x \mid x<3\}`, []string{"x<3", `(-\infty,3)`, `\{x : x<3\}`, `\{x\in\mathbb{R} \mid 2x<6\}`}, []string{"x>3", `\{3\}`}},
		{`a^2\ge 4b`, []string{`4b\le a^2`, `a^2-4b\ge 0`, `2a^2\ge 8b`}, []string{`a^2\le 4b`, `a^2>4b`}},
		{"f(1)<f(3)<f(2)", []string{"f(2)>f(3)>f(1)"}, []string{"f(1)<f(2)<f(3)", "f(1)<f(3)"}},
		{"a=2,b=7", []string{"b=7, a=2", "a=2 and b=7", `\{a=2, b=7\}`, "2, 7"}, []string{"a=7,b=2", "7, 2", "a=2", "a=2,c=7"}},
		{`x\ne 0`, []string{`x\neq 0`, "x != 0", "0 != x", `(-\infty,0)\cup(0,\infty)`}, []string{"x=0", `x\ne 1`, "x>0"}},
	})
	checkPairs(t, Options{SolvedInequality: true}, []pair{
		{"[0,5)", []string{`0\le x<5`, "0 <= x < 5"}, []string{`0<x<5`, "x<5"}},
		{`(-\infty,3]`, []string{`x\le 3`}, []string{"x<3"}},
	})
}

func TestUnitsAndWords(t *testing.T) {
	checkPairs(t, Options{}, []pair{
		{"12", []string{`12\text{ cm}`, `12\text{ square inches}`, "12 units", `12\mbox{ cm}^2`, "12 dollars", `\$12`, "€12", `12^\circ`, "12°", "12 degrees", `12\%`, "12 percent", `12\,\mathrm{km/h}`, `12 \text{ sq. units}`, `12\text{ apples}`},
			[]string{`12\text{ or so}`, `12\text{ thousand}`, `12\text{ not}`, `12\text{ dozen}`, `12\text{ at most}`, "12 million", "12m", `12\text{ and }13`, `12 \text{ less than } 13`}},
		{`12\text{ cm}`, []string{"12", `12\text{ centimeters}`, "12 cm", `12\,\mathrm{cm}`}, []string{`12\text{ m}`, `12\text{ cm}^2`, `12\%`}},
		{`30\text{ cm}^2`, []string{`30\text{ square cm}`, "30", `30\text{ sq cm}`}, []string{`30\text{ cm}^3`, `30\text{ cm}`}},
		{`9\text{ red balls}`, []string{"9", `9\text{ red balls}`, `9\text{ balls}`}, []string{`9\text{ or }10`, "8"}},
		{`35\%`, []string{"35", "35%", `35 \%`, "0.35", `35\text{ percent}`, "7/20"}, []string{"0.035", "3500", "3.5", "35.1%"}},
		{`0.2`, []string{`20\%`, "1/5"}, []string{"20", "2%"}},
		{`75^\circ`, []string{"75", "75°", `75^{\circ}`, `75\text{ degrees}`, `\frac{5\pi}{12}`, `\angle A = 75^\circ`, `x=75^\circ`}, []string{`15^\circ`, `75\%`, `75\text{ cm}`}},
		{`\$4.50`, []string{"4.5", "$4.50$", `4.50\text{ dollars}`, "4.50 dollars", `\$4\frac12`}, []string{`\$4.05`, "450", `4.50\text{ cents}`, `4.50\text{ euros}`}},
		{`\text{green}`, []string{"green", "Green", `\textbf{green}`, `\mathrm{green}`, "green.", `\text{ green }`}, []string{"red", `\text{dark green}`, "greenish", "5", ""}},
		{`\text{yes}`, []string{"yes", "Yes", "YES"}, []string{"no"}},
		{`\text{(B)}`, []string{"B", "(B)", `\textbf{(B)}`, `\text{B}`, `\textbf{(B) } 12`, "B.", "(b)"}, []string{"A", "(C)", "AB", "12", "Bob"}},
		{"D", []string{"d", `\text{D}`, "(D) none"}, []string{"C", "Dog"}},
		{`\text{A, C, D}`, []string{"A,C,D", "D, A, C", `\text{A,C,D}`, "A, C and D"}, []string{"A,C", "A,B,C,D"}},
		{`\text{Mia, Leo, Ann}`, []string{"Mia, Leo, Ann", "mia, leo and ann"}, []string{"Leo, Mia, Ann"}},
		{`\text{3:15 p.m.}`, []string{`3:15\text{ p.m.}`, "3:15 pm", "3:15 PM"}, []string{"3:15 a.m.", "3:16 p.m.", "15:3"}},
		{"7:30", []string{`7\!:\!30`, "07:30"}, []string{"7:35", "14:60", "730"}},
		{"2:3", []string{"4:6", `2 : 3`, `\frac23`, "2/3"}, []string{"3:2", "2:5", "2:3:4"}},
		{"1:2:5", []string{"2:4:10"}, []string{"1:2", "1:5:2"}},
		{"four", []string{"4", "four"}, []string{"five", "5"}},
		{`\text{two lines}`, []string{"two lines"}, []string{"lines", "2"}},
		{"2013_5", []string{`2013_{5}`, `2013_{\text{five}}`, `(2013)_5`}, []string{"2013", `2013_6`, `2031_5`, "258"}},
		{`1A3_{12}`, []string{`1A3_{ 12 }`}, []string{`1A3_{13}`, `1A4_{12}`}},
		{"19", []string{`19_{10}`}, []string{`19_{11}`}},
	})
}

// TestReadings: what one notation means in two ways is accepted in either.
func TestReadings(t *testing.T) {
	checkPairs(t, Options{}, []pair{
		{"110, 250", []string{"110,250", "250,110"}, []string{"110251"}},
		{"110250", []string{"110,250"}, []string{"110, 250"}},
		{`\frac{a}{2b}`, []string{"a/2b", "a/(2b)"}, []string{"2a/b"}},
		{`\frac{ab}{2}`, []string{"a/2b", "(a/2)b"}, nil},
	})
}

func TestOptions(t *testing.T) {
	checkPairs(t, Options{IntegerOnly: true}, []pair{{"204", []string{"204", "0204", `\boxed{204}`, "200+4"}, []string{"205"}}})
	if Equal("1/2", "0.5", Options{IntegerOnly: true}).Equal {
		t.Error("a fraction was accepted as an integer")
	}
	checkPairs(t, Options{RoundedGold: true}, []pair{{"3.14", []string{`\pi`, "22/7"}, []string{"3.1", "3.15", "3"}}})
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		gold, answer string
		want         Reason
	}{
		{"5", "5", ReasonCorrect}, {"5", "6", ReasonWrong}, {"5", "", ReasonNoAnswer}, {"5", " $ $ ", ReasonNoAnswer}, {"", "5", ReasonBadGold}, {"5", "5, 6", ReasonHedge},
		{"5", `\frac{5}{0}`, ReasonUndefined}, {"5", `\foo`, ReasonMalformed}, {"5", `10^{10^{10}}`, ReasonTooLong}, {`\foo`, "5", ReasonBadGold}, {`\frac{1}{0}`, `\frac{1}{0}`, ReasonUndefined},
	} {
		if v := Equal(c.gold, c.answer, Options{}); v.Reason != c.want {
			t.Errorf("gold %q, answer %q: got %+v; want %q", c.gold, c.answer, v, c.want)
		}
	}
}

func TestGoldTypes(t *testing.T) {
	for gold, want := range map[string]string{
		"5": "integer", "-5": "integer", "0.5": "decimal", `\frac{1}{2}`: "fraction", `\sqrt{2}`: "constant", `x+1`: "expression", "x": "symbol", "(1,2)": "tuple", "[1,2)": "interval",
		"1,2": "list", `\{1,2\}`: "set", `(0,1)\cup(2,3)`: "set_expression", "x=5": "equation", "x<5": "inequality", "12_5": "base", "1:2": "ratio", `\text{red}`: "text", `5\%`: "percent",
		`5^\circ`: "degrees", `5\text{ cm}`: "unit", `\begin{pmatrix}1\\2\end{pmatrix}`: "matrix", `\foo`: "unreadable",
	} {
		if got := Equal(gold, gold, Options{}).GoldType; got != want {
			t.Errorf("%q: got %q; want %q", gold, got, want)
		}
	}
}
