package reward

import (
	"strings"
	"testing"
)

type extraction struct {
	response string
	want     string // "" = no answer
	rule     Rule
}

func checkExtractions(t *testing.T, o Options, cases []extraction) {
	t.Helper()
	for _, c := range cases {
		e := Extract(c.response, o)
		if e.Text != c.want || e.Rule != c.rule || (e.Rule == "") != (e.Text == "") {
			t.Errorf("%q: got %q by %q; want %q by %q", c.response, e.Text, e.Rule, c.want, c.rule)
		}
	}
}

func TestStrictExtraction(t *testing.T) {
	checkExtractions(t, Options{}, []extraction{
		{`It is \boxed{7}.`, "7", FromBox},
		{`First \boxed{6}, no: \boxed{7}`, "7", FromBox},
		{`\boxed{\frac{1}{\sqrt{2}}}`, `\frac{1}{\sqrt{2}}`, FromBox},
		{`\boxed{\{1,2\}}`, `\{1,2\}`, FromBox},
		{`\boxed {7}`, "7", FromBox},
		{`\fbox{7}`, "7", FromBox},
		{`\\boxed{\\frac12}`, `\frac12`, FromBox},
		{`\boxed{7}\boxed{}`, "7", FromBox},
		{"<think>maybe \\boxed{6}</think> so \\boxed{7}", "7", FromBox},
		{`\boxed{7}<|im_end|>\boxed{8}`, "7", FromBox},
		{`\boxed{7`, "", ""},
		{`\boxed{6} then \boxed{7`, "", ""},
		{`\boxed{7 and then \boxed{8}`, "8", FromBox},
		{`\boxed{}`, "", ""},
		{`\boxed{ \text{ } }`, "", ""},
		{`\boxed{7}. Put it in the form \boxed{}.`, "", ""},
		{"<think>maybe \\boxed{6}", "", ""},
		{"<think>so \\boxed{6}</think> the end", "", ""},
		{`\boxed 7`, "", ""},
		{"The answer is 7.", "", ""},
		{"", "", ""},
	})
	checkExtractions(t, Options{Think: true}, []extraction{{`\boxed{7}`, "", ""}, {`hm</think>\boxed{7}`, "7", FromBox}})
}

func TestLenientExtraction(t *testing.T) {
	checkExtractions(t, Options{Mode: Lenient}, []extraction{
		{`The answer is 8, I mean \boxed{7}`, "7", FromBox},
		{`So $\boxed 7$.`, "7", FromBox},
		{`\boxed{7`, "", ""},
		{"3+4=7\n#### 7", "7", FromHashes},
		{"#### 1,700", "1700", FromHashes},
		{"#### 5\nThe answer is 7", "7", FromPhrase},
		{"The answer is 5.\n#### 7", "7", FromHashes},
		{"The answer is 7.", "7", FromPhrase},
		{"**Answer:** 7", "7", FromPhrase},
		{"Answer: **7**", "7", FromPhrase},
		{"Answer: B", "B", FromPhrase},
		{"Final Answer: The final answer is $7$. I hope it is correct.", "7", FromPhrase},
		{`The answer is $\frac{7}{2}$, as was asked.`, `\frac{7}{2}`, FromPhrase},
		{"The answer is 3.5. Check: 7/2 = 3.5.", "3.5", FromPhrase},
		{"The answer is 6. No, the answer is 7.", "7", FromPhrase},
		{"Answer: The box holds 7 balls.", "7", FromPhrase},
		{"The answer is 7 apples.", "7", FromPhrase},
		{"The answer is $7$ apples.", "7", FromPhrase},
		{"The answer is 7 percent.", "7 percent", FromPhrase},
		{"The answer is 7 or 8.", "7 or 8", FromPhrase},
		{"#### 7 apples", "7", FromHashes},
		{"The answer is $3$ and $4$.", "$3$ and $4$", FromPhrase},
		{"Thus $x+1$ is it.", "x+1", FromMath},
		{`Hence \[ y = 7 \]`, "y = 7", FromMath},
		{"Since $n=3$ there are 7 of them.", "7", FromNumber},
		{"There are 7 of them, so $n=3$.", "n=3", FromMath},
		{"$30$ percent", `30\%`, FromMath},
		{"it fell to -7 degrees", "-7", FromNumber},
		{"a loss of -$1,250.50 in all", "-1250.50", FromNumber},
		{"10-7", "7", FromNumber},
		{"3,5 kg", "3.5", FromNumber},
		{"chances are 2/7", "2/7", FromNumber},
		{"in all 25% of it", "25%", FromNumber},
		{"no idea", "", ""},
		{"", "", ""},
	})
}

// TestBoxesSideBySide: boxes with nothing but separators between them are one list, where a list is asked for; where it is
// not, they must agree.
func TestBoxesSideBySide(t *testing.T) {
	for _, c := range []struct {
		gold, response string
		reason         Reason
	}{
		{"1,2", `\boxed{1} and \boxed{2}`, ReasonCorrect},
		{"1,2,3", `$\boxed{1}$, $\boxed{3}$, and $\boxed{2}$`, ReasonCorrect},
		{"1,2", `\boxed{1}, \boxed{2}, \boxed{2}`, ReasonCorrect},
		{`x=\pm 2`, `\boxed{2} \quad\text{or}\quad \boxed{-2}`, ReasonCorrect},
		{"y=1,z=2", `$y=\boxed{1}$ and $z=\boxed{2}$`, ReasonCorrect},
		{"1,2", `\boxed{1}. Then we look again and find \boxed{2}`, ReasonWrong},
		{"1,2", `\boxed{3} and \boxed{1,2}`, ReasonWrong},
		{"2", `\boxed{1} \boxed{2}`, ReasonHedge},
		{"2", `\boxed{2}, \boxed{2.0}`, ReasonCorrect},
		{"2", `\boxed{1}, but that is wrong, so \boxed{2}`, ReasonCorrect},
		{"2", `\boxed{1,2}`, ReasonHedge},
		{`\boxed{3} cats and \boxed{4} dogs`, `\boxed{3,4}`, ReasonCorrect},
		{`First \boxed{3}, no, \boxed{4}`, `\boxed{4}`, ReasonCorrect},
		{"so the answer is 0.857142857", `\boxed{\frac67}`, ReasonCorrect},
		{"it is said that the answer is sqrt(7)", `\boxed{\sqrt7}`, ReasonWrong},
		{"2", strings.Repeat(" ", MaxResponseBytes) + `\boxed{2}`, ReasonTooLong},
	} {
		if r := Verify(c.gold, c.response, Options{}); r.Reason != c.reason {
			t.Errorf("gold %q, response %.80q: got %+v; want %q", c.gold, c.response, r, c.reason)
		}
	}
}
