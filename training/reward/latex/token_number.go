package latex

import "strings"

// number reads digits, groups of thousands, a fraction part and an exponent. Its token holds the plain form: 1234.5e6.
func (l *lexer) number() error {
	start := l.at
	digits := l.digits()
	if l.baseDigits(start) {
		return nil
	}
	if len(digits) > 0 && len(digits) <= 3 && digits[0] != '0' {
		digits += l.thousands()
	}
	text := digits
	if l.peek(0) == '.' && !(l.peek(1) == '.' || l.peek(1) == 0) {
		l.at++
		text += "." + l.digits()
	}
	if e := l.exponentLength(); e > 0 {
		text += "e" + l.src[l.at+1:l.at+e]
		l.at += e
	}
	if len(text) > MaxDigits {
		return ErrOverLimit
	}
	l.emit(numberToken, text)
	return nil
}

func (l *lexer) digits() string {
	start := l.at
	for isDigit(l.peek(0)) {
		l.at++
	}
	return l.src[start:l.at]
}

// baseDigits reads 152A_{11}: digits and capital letters before a subscript that is a number above ten.
func (l *lexer) baseDigits(start int) bool {
	end := l.at
	for end < len(l.src) && (isDigit(l.src[end]) || 'A' <= l.src[end] && l.src[end] <= 'Z') {
		end++
	}
	base, subscript := strings.CutPrefix(l.src[end:], "_{")
	base = strings.TrimLeft(base, " ")
	if end == l.at || !subscript || len(base) < 2 || !isDigit(base[0]) || !isDigit(base[1]) {
		return false
	}
	l.emit(baseToken, l.src[start:end])
	l.at = end
	return true
}

// separators of thousands that mean nothing else, and the spaces that may.
var (
	sureSeparators  = []string{"{,}", `,\!`, `\!,\!`, `{,\!}`, `\!{,}\!`}
	spaceSeparators = []string{`\,`, `\ `, `\;`, "~", " "}
)

// thousands reads the groups of three digits behind the first group.
func (l *lexer) thousands() string {
	groups := ""
	for {
		n := l.separator()
		if n == 0 {
			return groups
		}
		groups += l.src[l.at+n : l.at+n+3]
		l.at += n + 3
	}
}

// separator is the length of a separator of thousands that stands here with three digits behind it; 0 = none.
func (l *lexer) separator() int {
	rest := l.src[l.at:]
	for _, s := range sureSeparators {
		if strings.HasPrefix(rest, s) {
			n := len(s)
			for n < len(rest) && rest[n] == ' ' {
				n++
			}
			if threeDigits(rest[n:]) {
				return n
			}
		}
	}
	if strings.HasPrefix(rest, ",") && threeDigits(rest[1:]) && l.commaGroups() {
		l.seen.SplitThousands = true
		if !l.reading.SplitThousands {
			return 1
		}
		return 0
	}
	for _, s := range spaceSeparators {
		if strings.HasPrefix(rest, s) && threeDigits(rest[len(s):]) && !strings.HasPrefix(rest[len(s)+3:], "/") {
			return len(s)
		}
	}
	return 0
}

// threeDigits says that s begins with exactly three digits.
func threeDigits(s string) bool {
	if len(s) < 3 || !isDigit(s[0]) || !isDigit(s[1]) || !isDigit(s[2]) {
		return false
	}
	return len(s) == 3 || !isDigit(s[3])
}

// commaGroups says whether a comma before three digits separates thousands: always outside of brackets; inside, where it may
// as well separate the members of a tuple, only if other commas there have a space behind them or a group begins with 0.
func (l *lexer) commaGroups() bool {
	if len(l.opened) == 0 {
		return true
	}
	inner := l.src[l.opened[len(l.opened)-1]+1:]
	depth := 0
	for i := 0; i < len(inner); i++ {
		switch c := inner[i]; {
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			if depth--; depth < 0 {
				return false
			}
		case c == ',' && depth == 0 && i+1 < len(inner):
			if next := inner[i+1]; isSpace(next) || next == '\\' || next == '0' && threeDigits(inner[i+1:]) {
				return true
			}
		}
	}
	return false
}

// exponentLength is the length of e-12 behind a number; 0 = there is none.
func (l *lexer) exponentLength() int {
	if c := l.peek(0); c != 'e' && c != 'E' {
		return 0
	}
	n := 1
	if c := l.peek(n); c == '+' || c == '-' {
		n++
	}
	first := n
	for isDigit(l.peek(n)) {
		n++
	}
	if n == first || isLetter(l.peek(n)) || l.peek(n) == '^' {
		return 0
	}
	return n
}
