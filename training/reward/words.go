package reward

import (
	"slices"
	"strings"

	"astro/training/reward/latex"
)

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// wordy says that an answer is words, a capital letter of choice, or no formula, so that its text counts.
func wordy(g side) bool {
	if len(g.readings) == 0 {
		return true
	}
	if len(g.clean) > 2 && strings.Trim(g.clean, letters) == "" {
		return true
	}
	n := g.readings[0]
	return n.Kind == latex.Sym && len(n.Name) == 1 && 'A' <= n.Name[0] && n.Name[0] <= 'J' || !n.Walk(func(m *latex.Node) bool { return m.Kind != latex.Text })
}

// texts compares two formulas of which at least one is words.
func texts(g, a *latex.Node) Rule {
	if g.Kind == a.Kind && plainWords(g.Name) == plainWords(a.Name) && plainWords(g.Name) != "" {
		return RuleText
	}
	return ""
}

// words compares the texts of two answers: without case, spaces and punctuation; letters of choice with what follows them;
// lists of letters in any order if the known answer has them in alphabetical order.
func (c *comparer) words(gold, answer string) Rule {
	g, a := plainWords(gold), plainWords(answer)
	switch {
	case g == "" || a == "" || a == "nan":
		return ""
	case g == a:
		return RuleText
	case len(g) == 1 && choiceLetter(answer) == g:
		return RuleChoice
	case sameLetters(g, a):
		return RuleList
	}
	return ""
}

// typography are the commands that plainWords drops; the longer of two with the same beginning stands first.
var typography = strings.NewReplacer(`\textbf`, "", `\textit`, "", `\textrm`, "", `\textnormal`, "", `\textsf`, "", `\texttt`, "", `\textup`, "", `\text`, "",
	`\mbox`, "", `\mathrm`, "", `\mathbf`, "", `\mathit`, "", `\mathsf`, "", `\mathtt`, "", `\operatorname`, "", `\bf`, "", `\rm`, "", `\left`, "", `\right`, "",
	`\quad`, " ", `\!`, "", `\,`, "", `\;`, "", `\:`, "", `\ `, "", `\`, "", "$", "", "{", "", "}", "", "~", " ", "*", "")

// plainWords is a text in small letters without typography, spaces, quotes, full stops and enclosing brackets; "and" is a
// comma.
func plainWords(s string) string {
	s = strings.ToLower(typography.Replace(s))
	s = " " + strings.Join(strings.Fields(s), " ") + " "
	s = strings.NewReplacer(", and ", ",", " and ", ",", ";", ",").Replace(s)
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(` ."'!?`+"`", r) {
			return -1
		}
		return r
	}, s)
	s = strings.Trim(s, ",:")
	if strings.HasPrefix(s, "(") && strings.Index(s, ")") == len(s)-1 && len(s) > 2 {
		s = s[1 : len(s)-1]
	}
	return s
}

// choiceLetter is the letter of "(C) 5", "C) 5", "C. 5" or "C: 5"; "" = there is none.
func choiceLetter(answer string) string {
	s := strings.TrimSpace(strings.ToLower(typography.Replace(answer)))
	opened := strings.HasPrefix(s, "(")
	s = strings.TrimPrefix(s, "(")
	if len(s) < 2 || s[0] < 'a' || s[0] > 'j' {
		return ""
	}
	if s[1] == ')' || !opened && (s[1] == ':' || s[1] == '.') && (len(s) == 2 || s[2] == ' ') {
		return s[:1]
	}
	return ""
}

// sameLetters compares lists of single letters.
func sameLetters(g, a string) bool {
	x, y := strings.Split(g, ","), strings.Split(a, ",")
	letter := func(s string) bool { return len(s) != 1 || s[0] < 'a' || s[0] > 'z' }
	if len(x) < 2 || len(x) != len(y) || slices.ContainsFunc(x, letter) || !slices.IsSorted(x) {
		return false
	}
	slices.Sort(y)
	return slices.Equal(x, y)
}
