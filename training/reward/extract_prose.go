package reward

import (
	"regexp"
	"slices"
	"strings"

	"astro/training/reward/latex"
)

// maxPhrases is how many answer phrases are tried, from the last.
const maxPhrases = 8

// maxProseBytes is how much of the end of a response is searched for an answer without a box.
const maxProseBytes = 16 << 10

var (
	// answerPhrase ends where the answer begins; its group is empty when nothing says that it does.
	answerPhrase = regexp.MustCompile(`(?i)\banswers?\b[*_\s]*((?:\b(?:is|are|was|should be|must be|would be|equals)\b|:|=)?[*_\s]*:?)[*_\s]*`)
	// plainNumber is a number of running text: sign, currency, thousands, a fraction or a decimal part, percent.
	plainNumber = regexp.MustCompile(`\$?(?:\d+(?:,\d+)*(?:\.\d+)?|\.\d+)(?:/\d+)?(?:\s?\\?%)?`)
	// percentAfter is a percent sign outside of the formula that it belongs to.
	percentAfter = regexp.MustCompile(`^\s*(?:\\?%|percent(?:age)?\b|pct\b)`)
	// valueAndWords is a number or one formula in its signs, and words that are no part of a list behind it.
	valueAndWords = regexp.MustCompile(`^(-?\$?\d[\d,.]*|\$[^$]+\$|\\\([^$]+?\\\))((?:\s+[A-Za-z]+)+)$`)
	// textGroup is words inside of a formula, or the name of an environment.
	textGroup = regexp.MustCompile(`\\(?:text|mbox|mathrm|operatorname|begin|end)[a-z]*\s*\{[^{}]*\}`)
	// plainWord is a word, or a command.
	plainWord = regexp.MustCompile(`\\?[A-Za-z]{2,}`)
	hope      = regexp.MustCompile(`(?i)\s*I hope (?:it|this) is correct.*$`)
)

// fromProse applies the rules for responses without a box.
func fromProse(text string) Extraction {
	if cut := len(text) - maxProseBytes; cut > 0 {
		text = text[cut:]
	}
	text = strings.ToValidUTF8(text, " ")
	text = hope.ReplaceAllString(text, "")
	phrase, at := phraseAnswer(text)
	if hash := strings.LastIndex(text, "####"); hash >= 0 && hash > at {
		line, _, _ := strings.Cut(strings.TrimLeft(text[hash+4:], "# "), "\n")
		if line = withoutWordsBehind(strings.TrimSpace(line)); line != "" {
			return Extraction{Text: withoutThousands(line), Rule: FromHashes}
		}
	}
	if phrase != "" {
		return Extraction{Text: phrase, Rule: FromPhrase}
	}
	answer, rule := lastValue(text)
	return Extraction{Text: answer, Rule: rule}
}

// withoutThousands writes 1,234 as 1234 and leaves everything else alone.
func withoutThousands(s string) string {
	if n, ok := proseNumber(s); ok {
		return n
	}
	return s
}

// phraseAnswer is what the last "the answer is" of the text names, and where that stands.
func phraseAnswer(text string) (answer string, at int) {
	found := answerPhrase.FindAllStringSubmatchIndex(text, -1)
	for i := len(found) - 1; i >= max(0, len(found)-maxPhrases); i-- {
		m := found[i]
		rest := text[m[1]:]
		said := strings.TrimSpace(text[m[2]:m[3]]) != ""
		if !said && !strings.HasPrefix(rest, "$") && !strings.HasPrefix(rest, `\(`) && !strings.HasPrefix(rest, `\[`) {
			continue
		}
		if answer := sentenceAnswer(rest); answer != "" {
			return answer, m[0]
		}
	}
	return "", -1
}

// sentenceAnswer is the answer that a sentence states: the formula that it begins with, itself if it is one, else the last
// formula or number in it.
func sentenceAnswer(rest string) string {
	sentence := withoutWordsBehind(strings.Trim(firstSentence(rest), "* _"))
	clean := latex.Clean(sentence)
	if n, ok := proseNumber(clean); ok {
		return n
	}
	if root, _, err := latex.Parse(clean, latex.Reading{}); err == nil && !prose(clean) && (root.Kind != latex.Text || len(strings.Fields(clean)) <= 3) {
		return clean
	}
	answer, _ := lastValue(sentence)
	return answer
}

// withoutWordsBehind drops the words behind the number or formula that a sentence begins with, such as "apples", but for a
// percent sign written out.
func withoutWordsBehind(sentence string) string {
	m := valueAndWords.FindStringSubmatch(sentence)
	if m == nil || percentAfter.MatchString(m[2]) {
		return sentence
	}
	return m[1]
}

// sentenceWords occur in sentences and never in formulas.
var sentenceWords = []string{"is", "are", "the", "was", "be", "that", "this", "not", "we", "it"}

// prose says that a text is a sentence: it has such a word, or two that mean nothing in a formula.
func prose(s string) bool {
	unknown := 0
	for _, w := range plainWord.FindAllString(textGroup.ReplaceAllString(s, ""), -1) {
		switch {
		case slices.Contains(sentenceWords, w):
			return true
		case w[0] != '\\' && strings.ToUpper(w) != w && !latex.Known(w):
			unknown++
		}
	}
	return unknown > 1
}

// firstSentence ends at a full stop that is no decimal point, or at the end of the line; formulas are not cut.
func firstSentence(s string) string {
	s = strings.TrimLeft(s, " \t\r\n")
	math := ""
	for i := 0; i < len(s); i++ {
		switch {
		case math == "" && strings.HasPrefix(s[i:], "$$"), math == "$$" && strings.HasPrefix(s[i:], "$$"):
			math = toggled(math, "$$")
			i++
		case s[i] == '$' && (i == 0 || s[i-1] != '\\') && (math == "$" || math == "" && strings.IndexByte(s[i+1:], '$') >= 0):
			math = toggled(math, "$")
		case s[i] == '\\' && i+1 < len(s):
			i++
			if strings.IndexByte("([", s[i]) >= 0 {
				math = s[i-1 : i+1]
			} else if strings.IndexByte(")]", s[i]) >= 0 {
				math = ""
			}
		case math == "" && s[i] == '\n':
			return s[:i]
		case math == "" && s[i] == '.' && (i+1 == len(s) || s[i+1] == ' ' || s[i+1] == '\n'):
			return s[:i]
		}
	}
	return s
}

func toggled(math, sign string) string {
	if math == "" {
		return sign
	}
	return ""
}

// lastValue is the last formula or the last number outside of formulas, whichever ends later.
func lastValue(text string) (string, Rule) {
	formula, end := lastFormula(text)
	numbers := plainNumber.FindAllStringIndex(text, -1)
	for i := len(numbers) - 1; i >= 0 && numbers[i][1] > end; i-- {
		start, stop := numbers[i][0], numbers[i][1]
		if start > 0 && isLetterOrDigit(text[start-1]) {
			continue // the 3 of x3
		}
		n, ok := proseNumber(text[start:stop])
		if !ok {
			continue
		}
		if negative(text[:start]) {
			n = "-" + n
		}
		return n, FromNumber
	}
	if formula == "" {
		return "", ""
	}
	return formula, FromMath
}

func isLetterOrDigit(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || isDigit(b) || b == '_' || b == '^'
}

// negative says that a minus sign, not a hyphen or a difference, stands at the end of s.
func negative(s string) bool {
	if strings.HasSuffix(s, "−") {
		s = strings.TrimSuffix(s, "−")
	} else if strings.HasSuffix(s, "-") {
		s = strings.TrimSuffix(s, "-")
	} else {
		return false
	}
	return s == "" || strings.IndexByte(" \t\n(=:,*$", s[len(s)-1]) >= 0
}

// proseNumber is the plain form of a number in running text: no thousands, no currency, a decimal comma as a point.
func proseNumber(s string) (string, bool) {
	sign := ""
	if rest, ok := strings.CutPrefix(s, "-"); ok && rest != "" {
		sign, s = "-", rest
	}
	if plainNumber.FindString(s) != s || s == "" {
		return "", false
	}
	s = strings.TrimPrefix(s, "$")
	groups := strings.Split(s, ",")
	last := groups[len(groups)-1]
	switch {
	case len(groups) == 1:
		return sign + s, true
	case thousandGroups(groups):
		return sign + strings.Join(groups, ""), true
	case len(groups) == 2 && len(last) <= 2 && !strings.ContainsAny(last, "./%"):
		return sign + groups[0] + "." + last, true
	}
	return last, true
}

// thousandGroups says that all groups but the first have three digits; the last may have a fraction part.
func thousandGroups(groups []string) bool {
	for i, g := range groups[1:] {
		whole := strings.TrimRight(g, `%\ `)
		if i == len(groups)-2 {
			whole, _, _ = strings.Cut(whole, ".")
		}
		if len(whole) != 3 {
			return false
		}
	}
	return len(groups[0]) <= 3
}

// formulaPairs are what encloses formulas in running text.
var formulaPairs = [][2]string{{`\[`, `\]`}, {`\(`, `\)`}, {"$$", "$$"}, {"$", "$"}}

// lastFormula is the content of the last pair of formula signs that holds a formula, with a percent sign behind it, and where
// it ends; -1 = there is none.
func lastFormula(text string) (formula string, end int) {
	end = -1
	for _, pair := range formulaPairs {
		stop := strings.LastIndex(text, pair[1])
		if stop < 0 || stop+len(pair[1]) <= end {
			continue
		}
		start := strings.LastIndex(text[:stop], pair[0])
		if start < 0 {
			continue
		}
		inner := latex.Clean(text[start+len(pair[0]) : stop])
		if inner == "" || !formulaLike(inner) {
			continue
		}
		formula, end = inner, stop+len(pair[1])
		if sign := percentAfter.FindString(text[end:]); sign != "" {
			formula += `\%`
			end += len(sign)
		}
	}
	return formula, end
}

func formulaLike(s string) bool {
	root, _, err := latex.Parse(s, latex.Reading{})
	return err == nil && root.Kind != latex.Text
}
