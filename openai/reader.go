package openai

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a request's JSON.
const maxDepth = 64

// reader walks one JSON document from front to back, without a tree. It is stricter than encoding/json: exact case, no duplicate
// keys, valid UTF-8, no lone surrogates, at most maxDepth levels, nothing after the value. The first error stays in err;
// afterwards every method returns zero values and consumes nothing.
type reader struct {
	data  []byte
	pos   int
	depth int
	path  []segment // where the reader is, for Error.Param
	err   *Error
}

// segment is one step of a path: a key, or an index if key is "".
type segment struct {
	key   string
	index int
}

// notJSON begins the messages about what is no JSON at all.
const notJSON = "We could not parse the JSON body of your request: "

// newReader checks what can be checked at once.
func newReader(data []byte) *reader {
	r := &reader{data: data}
	if !utf8.Valid(data) {
		r.err = Invalid("", "", notJSON+"it is not valid UTF-8.")
	}
	return r
}

// param is the path in OpenAI's spelling: messages[0].content.
func (r *reader) param() string {
	var b strings.Builder
	for _, s := range r.path {
		switch {
		case s.key == "":
			fmt.Fprintf(&b, "[%d]", s.index)
		case b.Len() > 0:
			b.WriteByte('.')
			fallthrough
		default:
			b.WriteString(clip(s.key))
		}
	}
	return b.String()
}

// fail records an error about the current parameter.
func (r *reader) fail(code, format string, args ...any) {
	if r.err == nil {
		r.err = Invalid(r.param(), code, format, args...)
	}
}

// syntax records that the document is not JSON.
func (r *reader) syntax(what string) {
	if r.err == nil {
		r.err = Invalid("", "", notJSON+"%s at byte %d.", what, r.pos)
	}
}

// wrongType records that a value of another kind was expected.
func (r *reader) wrongType(want string) {
	r.fail("invalid_type", "Invalid type for '%s': expected %s, but got %s instead.", r.param(), want, r.kindName())
}

// kind peeks at the next value: one of { [ " t f n 0, or 0 for anything else and after an error.
func (r *reader) kind() byte {
	if r.err != nil {
		return 0
	}
	r.space()
	if r.pos == len(r.data) {
		r.syntax("it ends too early")
		return 0
	}
	switch c := r.data[r.pos]; {
	case strings.IndexByte(`{["tfn`, c) >= 0:
		return c
	case c == '-' || '0' <= c && c <= '9':
		return '0'
	}
	r.syntax("unexpected character")
	return 0
}

func (r *reader) kindName() string {
	names := map[byte]string{'{': "an object", '[': "an array", '"': "a string", 't': "a boolean", 'f': "a boolean", 'n': "null",
		'0': "a number"}
	return names[r.kind()]
}

func (r *reader) space() {
	for r.pos < len(r.data) && strings.IndexByte(" \t\r\n", r.data[r.pos]) >= 0 {
		r.pos++
	}
}

// next consumes c after spaces, or says false.
func (r *reader) next(c byte) bool {
	r.space()
	if r.pos < len(r.data) && r.data[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

// end checks that nothing follows the document.
func (r *reader) end() {
	r.space()
	if r.err == nil && r.pos != len(r.data) {
		r.syntax("unexpected text after the end")
	}
}

// enter and leave bound the depth.
func (r *reader) enter() bool {
	r.pos++
	if r.depth++; r.depth > maxDepth {
		r.syntax(fmt.Sprintf("it is nested deeper than %d levels", maxDepth))
	}
	return r.err == nil
}

func (r *reader) leave() { r.depth-- }

// object calls member for each key; member must consume the value.
func (r *reader) object(member func(key string)) {
	if k := r.kind(); k != '{' {
		r.wrongType("an object")
		return
	}
	if !r.enter() {
		return
	}
	defer r.leave()
	if r.next('}') {
		return
	}
	seen := map[string]bool{}
	for r.err == nil {
		r.member(seen, member)
		if r.err != nil || r.next('}') {
			return
		}
		if !r.next(',') {
			r.syntax("expected ',' or '}'")
		}
	}
}

// member reads one key and has its value consumed.
func (r *reader) member(seen map[string]bool, member func(key string)) {
	if r.space(); r.pos == len(r.data) || r.data[r.pos] != '"' {
		r.syntax("expected a key")
		return
	}
	key := r.rawString()
	r.path = append(r.path, segment{key: key})
	defer func() { r.path = r.path[:len(r.path)-1] }()
	switch {
	case r.err != nil:
	case seen[key]:
		r.fail("duplicate_parameter", "Duplicate parameter: '%s' is given twice.", r.param())
	case !r.next(':'):
		r.syntax("expected ':'")
	default:
		seen[key] = true
		member(key)
	}
}

// array calls element for each index; element must consume the value. More than maxLength elements are an error.
func (r *reader) array(maxLength int, element func(i int)) {
	if k := r.kind(); k != '[' {
		r.wrongType("an array")
		return
	}
	if !r.enter() {
		return
	}
	defer r.leave()
	if r.next(']') {
		return
	}
	for i := 0; r.err == nil; i++ {
		if i == maxLength {
			r.fail("array_above_max_length", "Invalid '%s': array too long. Expected at most %d elements.", r.param(), maxLength)
			return
		}
		r.element(i, element)
		if r.err != nil || r.next(']') {
			return
		}
		if !r.next(',') {
			r.syntax("expected ',' or ']'")
		}
	}
}

func (r *reader) element(i int, element func(i int)) {
	r.path = append(r.path, segment{index: i})
	element(i)
	r.path = r.path[:len(r.path)-1]
}

// null consumes a null and says so.
func (r *reader) null() bool { return r.kind() == 'n' && r.literal("null") }

// boolean reads true or false.
func (r *reader) boolean() bool {
	switch r.kind() {
	case 't':
		return r.literal("true")
	case 'f':
		r.literal("false")
	default:
		r.wrongType("a boolean")
	}
	return false
}

func (r *reader) literal(word string) bool {
	if !bytes.HasPrefix(r.data[r.pos:], []byte(word)) {
		r.syntax("unexpected word")
		return false
	}
	r.pos += len(word)
	return true
}

// text reads a string of at most maxBytes.
func (r *reader) text(maxBytes int) string {
	if r.kind() != '"' {
		r.wrongType("a string")
		return ""
	}
	s := r.rawString()
	if len(s) > maxBytes {
		r.fail("string_above_max_length", "Invalid '%s': string too long. Expected at most %d bytes, but got %d instead.", r.param(), maxBytes, len(s))
		return ""
	}
	return s
}

// readWord reads one of some words.
func readWord(r *reader, words ...string) string {
	word := r.text(MaxModelBytes)
	if r.err == nil && !slices.Contains(words, word) {
		r.fail("invalid_value", "Invalid value for '%s': supported values are %s.", r.param(), quoted(words))
	}
	return word
}

// quoted lists words for a client.
func quoted(words []string) string {
	list := ""
	for i, word := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			list += " and "
		default:
			list += ", "
		}
		list += "'" + word + "'"
	}
	return list
}

// rawString reads the string that starts at pos.
func (r *reader) rawString() string {
	r.pos++
	start := r.pos
	for ; r.pos < len(r.data); r.pos++ {
		switch c := r.data[r.pos]; {
		case c == '"':
			r.pos++
			return string(r.data[start : r.pos-1])
		case c == '\\':
			return r.escapedString(start)
		case c < 0x20:
			r.syntax("control character in a string")
			return ""
		}
	}
	r.syntax("unterminated string")
	return ""
}

// escapedString goes on with a string that began at start once pos is at its first backslash.
func (r *reader) escapedString(start int) string {
	out := append([]byte(nil), r.data[start:r.pos]...)
	for r.err == nil && r.pos < len(r.data) {
		c := r.data[r.pos]
		r.pos++
		switch {
		case c == '"':
			return string(out)
		case c == '\\':
			out = r.escape(out)
		case c < 0x20:
			r.syntax("control character in a string")
		default:
			out = append(out, c)
		}
	}
	r.syntax("unterminated string")
	return ""
}

// escape appends what the escape after a backslash means.
func (r *reader) escape(out []byte) []byte {
	if r.pos == len(r.data) {
		return out
	}
	c := r.data[r.pos]
	r.pos++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return append(out, "\"\\/\b\f\n\r\t"[i])
	}
	if c != 'u' {
		r.syntax("unknown escape")
		return out
	}
	unit := r.hex4()
	if !utf16.IsSurrogate(unit) {
		return utf8.AppendRune(out, unit)
	}
	if bytes.HasPrefix(r.data[r.pos:], []byte(`\u`)) {
		r.pos += 2
		if char := utf16.DecodeRune(unit, r.hex4()); char != utf8.RuneError {
			return utf8.AppendRune(out, char)
		}
	}
	r.syntax("lone surrogate in a string")
	return out
}

// hex4 reads the four digits of a \u escape.
func (r *reader) hex4() rune {
	if r.pos+4 > len(r.data) {
		r.syntax("unterminated escape")
		return 0
	}
	v, err := strconv.ParseUint(string(r.data[r.pos:r.pos+4]), 16, 16)
	if err != nil {
		r.syntax("bad escape")
		return 0
	}
	r.pos += 4
	return rune(v)
}

// number consumes a number and returns its text, or "" after an error.
func (r *reader) number(want string) string {
	if r.kind() != '0' {
		r.wrongType(want)
		return ""
	}
	start := r.pos
	r.skipByte("-")
	if !r.skipByte("0") && r.digits() == 0 {
		r.syntax("bad number")
	}
	if r.skipByte(".") && r.digits() == 0 {
		r.syntax("bad number")
	}
	if r.skipByte("eE") {
		if r.skipByte("+-"); r.digits() == 0 {
			r.syntax("bad number")
		}
	}
	if r.err != nil {
		return ""
	}
	return string(r.data[start:r.pos])
}

func (r *reader) skipByte(any string) bool {
	if r.pos < len(r.data) && strings.IndexByte(any, r.data[r.pos]) >= 0 {
		r.pos++
		return true
	}
	return false
}

func (r *reader) digits() (n int) {
	for r.skipByte("0123456789") {
		n++
	}
	return n
}

// decimal reads a number in [min, max].
func (r *reader) decimal(min, max float64) float64 {
	lit := r.number("a decimal")
	if lit == "" {
		return 0
	}
	v, err := strconv.ParseFloat(lit, 64)
	switch {
	case err != nil:
		r.fail("invalid_value", "Invalid '%s': the number is out of range.", r.param())
	case v < min:
		r.fail("decimal_below_min_value", "Invalid '%s': decimal below minimum value. Expected a value >= %v, but got %v instead.", r.param(), min, v)
	case v > max:
		r.fail("decimal_above_max_value", "Invalid '%s': decimal above maximum value. Expected a value <= %v, but got %v instead.", r.param(), max, v)
	}
	return v
}

// integer reads a whole number in [min, max]. 2.0 and 2e0 are whole too: JSON has one kind of number.
func (r *reader) integer(min, max int64) int64 {
	lit := r.number("an integer")
	if lit == "" {
		return 0
	}
	v, ok := wholeNumber(lit)
	switch {
	case !ok:
		r.fail("invalid_type", "Invalid type for '%s': expected an integer, but got a decimal or a number out of range.", r.param())
	case v < min:
		r.fail("integer_below_min_value", "Invalid '%s': integer below minimum value. Expected a value >= %d, but got %d instead.", r.param(), min, v)
	case v > max:
		r.fail("integer_above_max_value", "Invalid '%s': integer above maximum value. Expected a value <= %d, but got %d instead.", r.param(), max, v)
	}
	return v
}

// wholeNumber reads a JSON number that is an int64, also if it is written with a fraction or exponent (up to 2^53 then).
func wholeNumber(lit string) (int64, bool) {
	if v, err := strconv.ParseInt(lit, 10, 64); err == nil {
		return v, true
	}
	f, err := strconv.ParseFloat(lit, 64)
	if err != nil || f < -(1<<53) || f > 1<<53 || f != float64(int64(f)) {
		return 0, false
	}
	return int64(f), true
}

// skip consumes any value, checking its syntax.
func (r *reader) skip() {
	switch r.kind() {
	case '{':
		r.object(func(string) { r.skip() })
	case '[':
		r.array(len(r.data), func(int) { r.skip() })
	case '"':
		r.rawString()
	case 't', 'f':
		r.boolean()
	case 'n':
		r.null()
	case '0':
		r.number("a number")
	}
}

// raw consumes any value and returns its text, a part of data.
func (r *reader) raw() string {
	start := r.mark()
	r.skip()
	return r.since(start)
}

// mark is where the next value begins, and since the text from there to here.
func (r *reader) mark() int {
	r.kind()
	return r.pos
}

func (r *reader) since(mark int) string { return string(r.data[mark:r.pos]) }
