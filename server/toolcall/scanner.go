package toolcall

import (
	"strconv"
	"strings"
)

// scanner reads one JSON object byte by byte and knows its members "name" and "parameters" or "arguments".
type scanner struct {
	raw strings.Builder // what was read until it is known to be a call

	depth    int
	quoted   bool
	escaped  bool
	key      string          // of the member whose value is being read
	word     strings.Builder // the string that is being read at depth 1, with its quotes
	value    bool            // behind the colon
	argument bool            // within the value of the arguments

	name         string
	named        bool // name is whole
	confirmed    bool // it is a call of a known tool
	hadArguments bool
	pending      strings.Builder // arguments that have not been taken
	over, failed bool
}

// take empties what has come of the arguments.
func (s *scanner) take() string {
	text := s.pending.String()
	s.pending.Reset()
	return text
}

// read consumes text up to the end of the object and returns the rest.
func (s *scanner) read(text string) (rest string) {
	for i := 0; i < len(text); i++ {
		if s.step(text[i]); s.over || s.failed {
			return text[i+1:]
		}
	}
	return ""
}

// step consumes one byte.
func (s *scanner) step(c byte) {
	if s.argument {
		s.pending.WriteByte(c)
	}
	switch {
	case s.quoted:
		s.inString(c)
	case c == '"':
		s.quoted = true
		s.begin(c)
	case c == '{' || c == '[':
		s.open(c)
	case c == '}' || c == ']':
		s.close(c)
	case s.depth == 0 && strings.IndexByte(" \t\r\n", c) < 0:
		s.failed = true
	case s.depth == 1 && c == ':':
		s.value = true
	case s.depth == 1 && c == ',':
		s.value, s.key = false, ""
	}
}

// begin notes the first byte of a string that stands directly in the object.
func (s *scanner) begin(c byte) {
	if s.depth == 1 {
		s.word.Reset()
		s.word.WriteByte(c)
	}
	s.failed = s.failed || s.depth == 0
}

func (s *scanner) inString(c byte) {
	if s.depth == 1 {
		s.word.WriteByte(c)
	}
	switch {
	case s.escaped:
		s.escaped = false
	case c == '\\':
		s.escaped = true
	case c == '"':
		s.quoted = false
		s.endString()
	}
}

// endString takes a whole string that stands directly in the object: a key, or the name.
func (s *scanner) endString() {
	if s.depth != 1 {
		return
	}
	word, err := strconv.Unquote(s.word.String())
	switch {
	case !s.value:
		s.key = word
	case s.key == "name" && err == nil && !s.named:
		s.name, s.named = word, true
	}
}

func (s *scanner) open(c byte) {
	if s.depth == 0 && c == '[' {
		s.failed = true
		return
	}
	s.depth++
	if s.depth == 2 && s.value && c == '{' && !s.hadArguments && (s.key == "parameters" || s.key == "arguments") {
		s.argument, s.hadArguments = true, true
		s.pending.WriteByte(c)
	}
}

func (s *scanner) close(byte) {
	s.depth--
	if s.depth == 1 {
		s.argument = false
	}
	if s.depth <= 0 {
		s.over = true
	}
}
