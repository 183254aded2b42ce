package latex

import (
	"fmt"
	"strings"
)

// command reads a backslash and what belongs to it.
func (l *lexer) command() error {
	l.at++
	if !isLetter(l.peek(0)) {
		return l.escaped()
	}
	n := 1
	for isLetter(l.peek(n)) {
		n++
	}
	name := l.src[l.at : l.at+n]
	l.at += n
	if l.peek(0) == '*' && name == "operatorname" {
		l.at++
	}
	return l.execute(name)
}

// escaped is a backslash before a sign.
func (l *lexer) escaped() error {
	c := l.peek(0)
	l.at++
	switch c {
	case '{', '}':
		if c == '{' {
			l.opened = append(l.opened, l.at-1)
		} else {
			l.closeBracket()
		}
		l.emit(opToken, `\`+string(c))
	case '\\':
		l.emit(opToken, `\\`)
	case '|':
		l.emit(opToken, `\|`)
	case '%':
		l.emit(opToken, "%")
	case '$':
		l.emit(currencyToken, "dollar")
	case ',', ';', ':', '!', '>', ' ', '(', ')', '[', ']', '/', '\n', '-', 0:
		l.space = true
	default:
		return fmt.Errorf("%w: the sign \\%c", errUnknown, c)
	}
	return nil
}

// commands that the parser knows by name.
var commands = names(`frac sqrt binom sum prod lim int iint iiint oint limsup liminf`,
	`dfrac=frac tfrac=frac cfrac=frac sfrac=frac nicefrac=frac dbinom=binom tbinom=binom`)

// currencies by command.
var currencies = map[string]string{"pounds": "gbp", "euro": "euro", "yen": "yen", "textdollar": "dollar", "dollar": "dollar"}

func (l *lexer) execute(name string) error {
	switch {
	case spacing[name] != "":
		l.dropSpacing(name)
	case fonts[name] != "":
		return l.font(name)
	case ignored[name] != "":
		l.argument()
	case name == "boxed" || name == "fbox" || name == "displaylines":
	case name == "textcolor":
		l.argument()
	case name == "begin" || name == "end":
		l.environment(name)
	case name == "mathbb" || name == "Bbb":
		l.emit(setToken, l.argument())
	case name == "not":
		return l.negated()
	case commands[name] != "":
		l.emit(commandToken, commands[name])
	case functions[name] != "":
		l.emit(functionToken, functions[name])
	case constants[name] != "":
		l.emit(constantToken, constants[name])
	case greek[name] != "":
		l.emit(letterToken, greek[name])
	case relations[name] != "":
		l.emit(relationToken, relations[name])
	case currencies[name] != "":
		l.emit(currencyToken, currencies[name])
	case marks[name] != "":
		l.mark(name)
	case punctuation[name] != "":
		l.punctuate(punctuation[name])
	default:
		return l.glued(name)
	}
	return nil
}

func (l *lexer) dropSpacing(name string) {
	l.space = l.space || name == "quad" || name == "qquad"
	if (name == "left" || name == "right") && l.peek(0) == '.' {
		l.at++
	}
}

// glued is a spacing or operator command that a letter was written onto: \quadx.
func (l *lexer) glued(name string) error {
	for _, head := range []string{"qquad", "quad", "cdot", "times", "pi"} {
		if rest, ok := strings.CutPrefix(name, head); ok {
			l.at -= len(rest)
			return l.execute(head)
		}
	}
	return fmt.Errorf("%w: the command \\%s", errUnknown, name)
}

func (l *lexer) negated() error {
	for l.peek(0) == ' ' {
		l.at++
	}
	if l.peek(0) == '=' {
		l.at++
		l.emit(relationToken, "!=")
		return nil
	}
	return fmt.Errorf("%w: the command \\not", errUnknown)
}

func (l *lexer) punctuate(sign string) {
	switch sign {
	case `\{`, "[", "(":
		l.opened = append(l.opened, l.at-1)
	case `\}`, "]", ")":
		l.closeBracket()
	case "empty":
		l.emit(setToken, "empty")
		return
	}
	l.emit(opToken, sign)
}

// argument reads the argument of a command: a group without its braces, or one character or command.
func (l *lexer) argument() string {
	for isSpace(l.peek(0)) {
		l.at++
	}
	start := l.at
	switch c := l.peek(0); {
	case c == 0:
		return ""
	case c != '{' && c != '\\':
		l.at++
		return l.src[start:l.at]
	case c == '\\':
		l.at += 2
		for isLetter(l.src[min(l.at, len(l.src))-1]) && isLetter(l.peek(0)) {
			l.at++
		}
		l.at = min(l.at, len(l.src))
		return l.src[start:l.at]
	}
	depth := 0
	for ; l.at < len(l.src); l.at++ {
		switch l.src[l.at] {
		case '\\':
			l.at++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				l.at++
				return l.src[start+1 : l.at-1]
			}
		}
	}
	l.at = len(l.src)
	return l.src[start+1:]
}

func (l *lexer) environment(name string) {
	env := strings.TrimSuffix(l.argument(), "*")
	if name == "end" {
		l.emit(closeToken, env)
		return
	}
	if env == "array" || env == "tabular" {
		l.argument()
	}
	l.emit(beginToken, env)
}

// mark makes one symbol of a command and what it stands over. \overline over digits behind a decimal point stays a mark for the
// parser.
func (l *lexer) mark(name string) {
	if name == "angle" || name == "triangle" || name == "measuredangle" || name == "square" || name == "odot" {
		for isSpace(l.peek(0)) {
			l.at++
		}
		start := l.at
		for isLetter(l.peek(0)) {
			l.at++
		}
		l.emit(letterToken, name+" "+l.src[start:l.at])
		return
	}
	arg := strings.TrimSpace(l.argument())
	if name == "bar" {
		name = "overline"
	}
	l.emit(markToken, name+" "+arg)
}

// font reads the argument of a font command: formulas are read in place, words become text.
func (l *lexer) font(name string) error {
	inner := l.argument()
	plain := strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(inner, `\left`, ""), `\right`, ""))
	lower := strings.ToLower(strings.Trim(plain, " ,;~"))
	switch {
	case plain == "":
		l.space = true
	case lower == "and" || lower == "or":
		l.emit(opToken, lower)
	case lower == "" && strings.ContainsAny(plain, ",;"):
		l.emit(opToken, ",")
	case functions[plain] != "" && (name == "operatorname" || name == "mathrm" || name == "mathop" || l.peek(0) == '('):
		l.emit(functionToken, functions[plain])
	case formulaInside(name, plain):
		return l.inside(plain)
	default:
		l.emit(textToken, plain)
	}
	return nil
}

// formulaInside says that the argument of a font command is a formula: a number, a single letter, or, in a font of mathematics,
// anything with digits or commands.
func formulaInside(name, inner string) bool {
	if len(inner) == 1 && isLetter(inner[0]) || numeric(inner) {
		return true
	}
	return !strings.HasPrefix(name, "text") && name != "mbox" && name != "hbox" && strings.ContainsAny(inner, `0123456789\`)
}

// numeric says that s is a number with a sign, separators or a percent sign.
func numeric(s string) bool {
	some := false
	for i := range len(s) {
		switch {
		case isDigit(s[i]):
			some = true
		case s[i] == '-' && i == 0, strings.IndexByte(".,", s[i]) >= 0, s[i] == '%' && i == len(s)-1, s[i] == '\\' && i == len(s)-2 && s[i+1] == '%':
		default:
			return false
		}
	}
	return some
}

// inside cuts the argument of a font command into tokens as if it stood here.
func (l *lexer) inside(src string) error {
	if l.nested++; l.nested > 4 {
		return ErrOverLimit
	}
	outerSrc, outerAt, outerOpened := l.src, l.at, l.opened
	l.src, l.at, l.opened = src, 0, nil
	err := l.run()
	l.src, l.at, l.opened = outerSrc, outerAt, outerOpened
	l.nested--
	return err
}
