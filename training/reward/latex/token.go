package latex

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	endToken tokenKind = iota
	numberToken
	letterToken   // one symbol: a letter, a Greek letter
	functionToken // a name of functions
	constantToken
	textToken     // words
	commandToken  // frac, sqrt, binom, sum, ...
	markToken     // a command that makes a symbol of its argument
	setToken      // a named set
	beginToken    // of an environment
	closeToken    // of an environment
	opToken       // everything else
	relationToken // text is the sign of the tree
	currencyToken
	baseToken // digits and letters before a subscript
)

// token is one sign of the source. Space says that space stands before it.
type token struct {
	kind  tokenKind
	text  string
	space bool
}

var errUnknown = errors.New("not a formula")

// lexer cuts a source into tokens.
type lexer struct {
	src     string
	at      int
	tokens  []token
	space   bool
	reading Reading
	seen    *Reading
	nested  int
	opened  []int // positions of the brackets that are open
}

// lex cuts src into tokens; the last one is endToken.
func lex(src string, reading Reading, seen *Reading) ([]token, error) {
	if len(src) > MaxBytes {
		return nil, ErrOverLimit
	}
	if !utf8.ValidString(src) {
		return nil, fmt.Errorf("%w: not UTF-8", errUnknown)
	}
	l := &lexer{src: src, reading: reading, seen: seen}
	if err := l.run(); err != nil {
		return nil, err
	}
	l.emit(endToken, "")
	return l.tokens, nil
}

func (l *lexer) run() error {
	for l.at < len(l.src) {
		if len(l.tokens) > MaxTokens {
			return ErrOverLimit
		}
		if err := l.step(); err != nil {
			return err
		}
	}
	return nil
}

func (l *lexer) emit(kind tokenKind, text string) {
	l.tokens = append(l.tokens, token{kind, text, l.space})
	l.space = false
}

// peek is the byte n places ahead, 0 behind the end.
func (l *lexer) peek(n int) byte {
	if l.at+n < len(l.src) {
		return l.src[l.at+n]
	}
	return 0
}

func (l *lexer) step() error {
	c := l.peek(0)
	switch {
	case isSpace(c) || c == '~' || c == '$' || c == '"':
		l.at++
		l.space = true
	case isDigit(c) || c == '.' && isDigit(l.peek(1)):
		return l.number()
	case isLetter(c):
		l.word()
	case c == '\\':
		return l.command()
	default:
		return l.sign()
	}
	return nil
}

// signs of more than one character, longest first, and what they are.
var longSigns = []struct {
	text string
	kind tokenKind
	name string
}{
	{"...", opToken, "dots"}, {"->", opToken, "to"}, {"**", opToken, "^"}, {"<=", relationToken, "<="}, {">=", relationToken, ">="}, {"=<", relationToken, "<="},
	{"==", relationToken, "="}, {"!=", relationToken, "!="}, {"=", relationToken, "="}, {"<", relationToken, "<"}, {">", relationToken, ">"},
}

func (l *lexer) sign() error {
	for _, s := range longSigns {
		if !strings.HasPrefix(l.src[l.at:], s.text) || s.text == "!=" && l.factorialBefore() {
			continue
		}
		l.at += len(s.text)
		l.emit(s.kind, s.name)
		return nil
	}
	c := l.peek(0)
	if strings.IndexByte("+-*/^_!%',;:()[]{}|&", c) < 0 {
		return fmt.Errorf("%w: the character %q", errUnknown, c)
	}
	switch c {
	case '(', '[':
		l.opened = append(l.opened, l.at)
	case ')', ']':
		l.closeBracket()
	}
	l.at++
	l.emit(opToken, string(c))
	return nil
}

func (l *lexer) closeBracket() {
	if len(l.opened) > 0 {
		l.opened = l.opened[:len(l.opened)-1]
	}
}

// factorialBefore says that != must be a factorial and an equals sign: 5!=120.
func (l *lexer) factorialBefore() bool {
	if len(l.tokens) == 0 || l.space {
		return false
	}
	last := l.tokens[len(l.tokens)-1]
	return last.kind == numberToken || last.kind == opToken && last.text == ")"
}

// word reads a run of letters: a function, a constant, a unit, words, or a product of symbols.
func (l *lexer) word() {
	n := 1
	for isLetter(l.peek(n)) {
		n++
	}
	w := l.src[l.at : l.at+n]
	l.at += n
	lower := strings.ToLower(w)
	switch {
	case lower == "and" || lower == "or":
		l.emit(opToken, lower)
	case n > 1 && l.unitHere(lower):
		l.emit(textToken, w)
	case n > 1 && l.named(w):
	case n >= 4:
		l.emit(textToken, w)
	default:
		for i := range n {
			l.emit(letterToken, w[i:i+1])
		}
	}
}

// named emits a function or constant in plain notation, also with one letter behind it: sinx.
func (l *lexer) named(w string) bool {
	for _, cut := range []int{len(w), len(w) - 1} {
		head := w[:cut]
		if name := functions[head]; name != "" {
			l.emit(functionToken, name)
		} else if name := plainConstants[head]; name != "" {
			l.emit(constantToken, name)
		} else if name := greek[head]; name != "" && cut == len(w) {
			l.emit(letterToken, name)
		} else {
			continue
		}
		if cut < len(w) {
			l.emit(letterToken, w[cut:])
		}
		return true
	}
	return false
}

// unitHere says that the word stands behind a value and is a unit or a percent sign written out.
func (l *lexer) unitHere(w string) bool {
	if len(l.tokens) == 0 || l.peek(0) == '(' {
		return false
	}
	last := l.tokens[len(l.tokens)-1]
	value := last.kind == numberToken || last.kind == textToken || last.kind == opToken && (last.text == "}" || last.text == ")")
	if !value {
		return false
	}
	if _, known := unitName(w); !known && percentWords[w] == "" && degreeWords[w] == "" {
		return false
	}
	return l.space || len(w) > 2
}
