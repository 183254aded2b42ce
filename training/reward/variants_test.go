package reward

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// spellings are ways to write the same answer.
var spellings = map[string]func(string) string{
	"full stop":  func(s string) string { return s + "." },
	"dollars":    func(s string) string { return "$" + s + "$" },
	"box":        func(s string) string { return `\boxed{` + s + "}" },
	"padding":    func(s string) string { return "  " + s + " \n" },
	"dfrac":      func(s string) string { return strings.ReplaceAll(s, `\frac`, `\dfrac`) },
	"tfrac":      func(s string) string { return strings.ReplaceAll(s, `\frac`, `\tfrac`) },
	"left right": func(s string) string { return brackets.Replace(s) },
	"unicode": func(s string) string {
		return strings.NewReplacer(`\pi`, "π", `\infty`, "∞", `\cup`, "∪", "-", "−").Replace(s)
	},
	"thin space": func(s string) string { return strings.ReplaceAll(s, " ", `\,`) },
	"times one":  func(s string) string { return timesOne(s) },
}

var brackets = strings.NewReplacer(`\left`, `\left`, `\right`, `\right`, "(", `\left(`, ")", `\right)`, "[", `\left[`, "]", `\right]`)

// timesOne multiplies a number or a simple formula by one.
func timesOne(s string) string {
	if simple.MatchString(s) {
		return `1 \cdot ` + s
	}
	return s
}

var simple = regexp.MustCompile(`^(\d+|\\frac\{\d+\}\{\d+\}|\d*\\sqrt\{\d+\}|\d*\\pi)$`)

// TestVariants: every gold is equal to itself in other spellings, and differs from what it becomes when one of its digits does.
func TestVariants(t *testing.T) {
	golds := distinctGolds(t, 4)
	var same, changed, accepted int
	for _, gold := range golds {
		for name, spell := range spellings {
			if name == "left right" && (strings.Contains(gold, `\left`) || strings.Contains(gold, `\text`) || strings.Contains(gold, `\sqrt[`)) || name == "thin space" && strings.Contains(gold, `\`) {
				continue
			}
			same++
			if v := Equal(gold, spell(gold), Options{}); !v.Equal {
				t.Errorf("%s: gold %q, answer %q: got %+v", name, gold, spell(gold), v)
			}
		}
		for i := range len(gold) {
			if !isDigit(gold[i]) {
				continue
			}
			other := gold[:i] + string('0'+(gold[i]-'0'+1)%10) + gold[i+1:]
			changed++
			if v := Equal(gold, other, Options{}); v.Equal {
				accepted++
				t.Logf("gold %q, answer %q: got %+v", gold, other, v)
			}
		}
	}
	fmt.Printf("%-26s %-20s %5d spellings of %d golds; %d changed digits, %d of them accepted\n", "golds", "variants", same, len(golds), changed, accepted)
	if accepted > changed/1000 {
		t.Errorf("got %d of %d changed golds accepted; want at most one of a thousand (3^0 and 4^0 are the same)", accepted, changed)
	}
}
