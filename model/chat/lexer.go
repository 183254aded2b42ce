package chat

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind int

const (
	endOfTemplate kind = iota
	data               // literal text
	outputBegin        // {{
	outputEnd          // }}
	tagBegin           // {%
	tagEnd             // %}
	name
	integer
	float
	quoted
	operator
)

// token is a piece of a template. text is unescaped for quoted.
type token struct {
	kind kind
	text string
	line int
}

// lexer cuts a template into tokens. Whitespace around tags follows Jinja with trim_blocks and lstrip_blocks, which is how
// transformers runs chat templates: the newline after a tag goes, and so do spaces before a tag that begins its line.
type lexer struct {
	src       string
	pos       int
	lineAt    int // position up to which line counts
	line      int
	lineStart bool // what was read last ends in a newline, or nothing was read
	tokens    []token
}

func lex(source string) ([]token, error) {
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	l := &lexer{src: strings.TrimSuffix(source, "\n"), line: 1, lineStart: true}
	for l.pos < len(l.src) {
		if err := l.next(); err != nil {
			return nil, fmt.Errorf("line %d: %w", l.lineNow(), err)
		}
	}
	l.emit(endOfTemplate, "")
	return l.tokens, nil
}

// lineNow is the line of pos.
func (l *lexer) lineNow() int {
	l.line += strings.Count(l.src[l.lineAt:l.pos], "\n")
	l.lineAt = l.pos
	return l.line
}

func (l *lexer) emit(k kind, text string) {
	l.tokens = append(l.tokens, token{k, text, l.lineNow()})
}

// next reads literal text and the tag, output or comment after it.
func (l *lexer) next() error {
	at := nextMark(l.src, l.pos)
	if at < 0 {
		l.emit(data, l.src[l.pos:])
		l.pos = len(l.src)
		return nil
	}
	sign := byteAt(l.src, at+2)
	if text := l.cutBefore(l.src[l.pos:at], l.src[at+1], sign); text != "" {
		l.emit(data, text)
	}
	mark := l.src[at+1]
	l.pos = at + 2
	if sign == '-' || sign == '+' {
		l.pos++
	}
	switch mark {
	case '#':
		return l.comment()
	case '{':
		l.emit(outputBegin, "")
		return l.code("}}", outputEnd)
	}
	l.emit(tagBegin, "")
	return l.code("%}", tagEnd)
}

// nextMark is the index of the next {{, {% or {#, or -1.
func nextMark(s string, from int) int {
	for i := from; i+1 < len(s); i++ {
		if s[i] == '{' && strings.IndexByte("{%#", s[i+1]) >= 0 {
			return i
		}
	}
	return -1
}

func byteAt(s string, i int) byte {
	if i < len(s) {
		return s[i]
	}
	return 0
}

// cutBefore removes the white space that a tag takes from the text before it.
func (l *lexer) cutBefore(text string, mark, sign byte) string {
	if sign == '-' {
		return strings.TrimRightFunc(text, isSpace)
	}
	if mark == '{' || sign == '+' {
		return text
	}
	line := strings.LastIndexByte(text, '\n') + 1
	if (line > 0 || l.lineStart) && strings.TrimRightFunc(text[line:], isSpace) == "" {
		return text[:line]
	}
	return text
}

func (l *lexer) comment() error {
	end := strings.Index(l.src[l.pos:], "#}")
	if end < 0 {
		return fmt.Errorf("a comment has no end #}")
	}
	sign := byte(0)
	if end > 0 {
		sign = l.src[l.pos+end-1]
	}
	l.pos += end + 2
	l.cutAfter(sign, true)
	return nil
}

// cutAfter skips the white space that a tag takes from the text after it.
func (l *lexer) cutAfter(sign byte, newline bool) {
	switch rest := l.src[l.pos:]; {
	case sign == '-':
		l.pos = len(l.src) - len(strings.TrimLeftFunc(rest, isSpace))
	case newline && sign != '+' && strings.HasPrefix(rest, "\n"):
		l.pos++
	}
	l.lineStart = l.src[l.pos-1] == '\n'
}

// code reads the tokens of an output or tag and its end mark.
func (l *lexer) code(mark string, end kind) error {
	open := 0 // brackets; an end mark within them is not one
	for {
		l.pos = len(l.src) - len(strings.TrimLeftFunc(l.src[l.pos:], isSpace))
		if l.pos == len(l.src) {
			return fmt.Errorf("%s is missing", mark)
		}
		rest := l.src[l.pos:]
		if sign := rest[0]; open == 0 {
			signed := sign == '-' || sign == '+' && end == tagEnd
			if strings.HasPrefix(rest, mark) || signed && strings.HasPrefix(rest[1:], mark) {
				l.emit(end, "")
				l.pos += len(mark)
				if signed {
					l.pos++
				}
				l.cutAfter(sign, end == tagEnd)
				return nil
			}
		}
		if err := l.codeToken(rest); err != nil {
			return err
		}
		if t := l.tokens[len(l.tokens)-1]; t.kind == operator {
			open += strings.Count("([{", t.text) - strings.Count(")]}", t.text)
		}
	}
}

func (l *lexer) codeToken(rest string) error {
	switch c := rest[0]; {
	case c == '"' || c == '\'':
		return l.quoted(rest, c)
	case isDigit(rune(c)):
		l.number(rest)
		return nil
	case isNameRune(rune(c)):
		n := len(rest) - len(strings.TrimLeftFunc(rest, isNameRune))
		l.emit(name, rest[:n])
		l.pos += n
		return nil
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			l.emit(operator, op)
			l.pos += len(op)
			return nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return fmt.Errorf("unexpected character %q", r)
}

// operators, longer ones first.
var operators = []string{"//", "**", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", ".", ",", ":", "|",
	"(", ")", "[", "]", "{", "}"}

func (l *lexer) number(rest string) {
	n := len(rest) - len(strings.TrimLeftFunc(rest, isDigit))
	k := integer
	if n+1 < len(rest) && rest[n] == '.' && isDigit(rune(rest[n+1])) {
		fraction := rest[n+1:]
		n += 1 + len(fraction) - len(strings.TrimLeftFunc(fraction, isDigit))
		k = float
	}
	l.emit(k, rest[:n])
	l.pos += n
}

func (l *lexer) quoted(rest string, quote byte) error {
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case quote:
			text, err := unescape(rest[1:i])
			if err != nil {
				return err
			}
			l.emit(quoted, text)
			l.pos += i + 1
			return nil
		}
	}
	return fmt.Errorf("a string has no end %c", quote)
}

// unescape resolves Python's escapes; an unknown one stays as it is.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		c := s[i] // quoted() never ends a string after a lone backslash
		if at := strings.IndexByte(`ntr\'"abfv0`, c); at >= 0 {
			b.WriteByte("\n\t\r\\'\"\a\b\f\v\x00"[at])
			continue
		}
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
		switch {
		case c == '\n':
		case digits == 0:
			b.WriteString(s[i-1 : i+1])
		default:
			code, err := strconv.ParseUint(s[i+1:min(len(s), i+1+digits)], 16, 32)
			if err != nil || i+digits >= len(s) || !utf8.ValidRune(rune(code)) {
				return "", fmt.Errorf(`bad escape \%c in a string`, c)
			}
			b.WriteRune(rune(code))
			i += digits
		}
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD"), nil
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func isNameRune(r rune) bool {
	return r == '_' || isDigit(r) || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// isSpace is Python's str.isspace.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }
