package stablehlo

import (
	"fmt"
	"strings"
)

// scanner walks over a signature. The first thing that is not as expected sets err, and all later steps do nothing.
type scanner struct {
	text string
	at   int
	err  error
}

func (s *scanner) fail(want string) {
	if s.err == nil {
		s.err = fmt.Errorf("offset %d: found %.40q; want %s", s.at, s.text[s.at:], want)
	}
}

func (s *scanner) peek(token string) bool { return strings.HasPrefix(s.text[s.at:], token) }

func (s *scanner) accept(token string) bool {
	if s.err != nil || !s.peek(token) {
		return false
	}
	s.at += len(token)
	return true
}

func (s *scanner) expect(token string) {
	if s.err == nil && !s.accept(token) {
		s.fail(fmt.Sprintf("%q", token))
	}
}

// param reads "%name: type" and its attributes.
func (s *scanner) param() Param {
	s.expect("%")
	p := Param{Name: s.until(":")}
	s.expect(": ")
	p.Type = strings.TrimSuffix(s.until(",{)"), " ")
	if s.err == nil && s.peek("{") {
		p.Attributes = s.braces()
	}
	return p
}

// braces reads a balanced { ... } with whatever is in it.
func (s *scanner) braces() string {
	start := s.at
	s.at++
	s.until("}")
	s.expect("}")
	return s.text[start:s.at]
}

// until returns the text before the first byte of stops that is outside all brackets and strings, and stands on that byte.
func (s *scanner) until(stops string) string {
	if s.err != nil {
		return ""
	}
	start := s.at
	depth := 0
	for ; s.at < len(s.text); s.at++ {
		c := s.text[s.at]
		if depth == 0 && strings.IndexByte(stops, c) >= 0 {
			return s.text[start:s.at]
		}
		switch c {
		case '"':
			s.skipString()
		case '(', '[', '{', '<':
			depth++
		case ')', ']', '}':
			depth--
		case '>':
			if s.text[s.at-1] != '-' { // an arrow closes nothing
				depth--
			}
		}
		if depth < 0 {
			break
		}
	}
	s.at = start
	s.fail("one of " + stops)
	return ""
}

// skipString moves from the opening quote of a string to its closing one.
func (s *scanner) skipString() {
	for s.at++; s.at < len(s.text) && s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			s.at++
		}
	}
}
