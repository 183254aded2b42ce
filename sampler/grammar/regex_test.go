package grammar

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var expressions = []string{
	`abc`, `a*b+c?`, `(foo|bar|ba+z)[0-9]{2}`, `[^a]`, `.`, `(?s).`, `a{2,4}b{0,2}`, `(ab|a)(bc|c)`, `^abc$`, `^a|b$`, `(^a)?b`, `a($)`, `^$|x`, `\d+\.\d\d`,
	`(?i)straße`, `[α-ω]+é`, `\p{Greek}{1,3}`, `[[:alpha:]]\W`, `😀|[😁-😃]`, `(a|b)*abb`, `\x41\n\t\\`, `(?:a(?:b(?:c)?)?)?z`, `a.*b`, `[^\x00-\x7f]`, `[\x{80}-\x{10ffff}]b`,
	`(a|ab)(c|bcd)(d*)`, `x*`, `(x+x+)+y`, `[a-c]{3}|[b-d]{2}`, `\Aab\z`,
}

// TestRegexIsRegexp: near texts are taken exactly where package regexp matches them as a whole, and in schemas where it finds a match.
func TestRegexIsRegexp(t *testing.T) {
	v, r := byteVocab(t), rand.New(rand.NewPCG(9, 9))
	alphabet := []rune("abcdxyzAB01.é😀αωS ß\n\t\\\"$^foräK\u212a")
	for _, expression := range expressions {
		g, in := compiled(t, Regex(expression), v), compiled(t, JSONSchema(`{"type":"string","pattern":`+quote(expression)+`}`), v)
		want, part := regexp.MustCompile(`\A(?:`+expression+`)\z`), regexp.MustCompile(expression)
		taken := 0
		for seed := range 400 {
			text := randomText(r, alphabet)
			if seed < 100 {
				text = mutated(r, write(t, g, uint64(seed), 30, nil).bytes, alphabet)
			}
			if !utf8.ValidString(text) {
				continue
			}
			if got := matches(g, text); got != want.MatchString(text) {
				t.Fatalf("%s: the grammar takes %q: %v", expression, text, got)
			} else if got {
				taken++
			}
			if strings.ContainsAny(text, "\r\u2028\u2029") {
				continue // in a schema '.' is none of them
			}
			if got := matches(in, quote(text)); got != part.MatchString(text) {
				t.Fatalf("pattern %s: the grammar takes %q: %v", expression, text, got)
			}
		}
		if taken == 0 {
			t.Errorf("%s: no text was taken", expression)
		}
	}
}

func randomText(r *rand.Rand, alphabet []rune) string {
	var out []rune
	for range r.IntN(6) {
		out = append(out, alphabet[r.IntN(len(alphabet))])
	}
	return string(out)
}

// mutated is s, or s with one character more or less.
func mutated(r *rand.Rand, s string, alphabet []rune) string {
	runes := []rune(s)
	i := r.IntN(len(runes) + 1)
	switch {
	case r.IntN(2) == 0:
	case r.IntN(2) == 0 && i < len(runes):
		runes = slices.Delete(runes, i, i+1)
	default:
		runes = slices.Insert(runes, i, alphabet[r.IntN(len(alphabet))])
	}
	return string(runes)
}

// TestSetsOfTexts: intersections and differences of automata are those of the sets of texts.
func TestSetsOfTexts(t *testing.T) {
	b := &budget{limits: DefaultLimits()}
	r := rand.New(rand.NewPCG(2, 3))
	for range 60 {
		x, y := expressions[r.IntN(len(expressions))], expressions[r.IntN(len(expressions))]
		p, err := compileRegex(b, x, whole)
		q, err2 := compileRegex(b, y, whole)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		both, err := intersect(b, p, q)
		only, err2 := minus(b, p, q)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		for range 200 {
			text := randomText(r, []rune("abcxz019é😀α\n"))
			in, out := p.accepts(text), q.accepts(text)
			if both.accepts(text) != (in && out) || only.accepts(text) != (in && !out) {
				t.Fatalf("%q of %s (%v) and %s (%v): both %v, only the first %v", text, x, in, y, out, both.accepts(text), only.accepts(text))
			}
		}
	}
}

// TestUTF8IsExact: each scalar value is taken in its bytes alone, and nothing else is.
func TestUTF8IsExact(t *testing.T) {
	g := compiled(t, Regex(`(?s).`), byteVocab(t))
	for r := rune(0); r <= utf8.MaxRune; r += 1 + r/97 {
		three := string([]byte{byte(0xE0 | r>>12), byte(0x80 | r>>6&63), byte(0x80 | r&63)})
		if r < 0x10000 && matches(g, three) != (r >= 0x800 && utf8.ValidRune(r)) {
			t.Fatalf("%x: three bytes are taken wrongly", r)
		}
		if utf8.ValidRune(r) && !matches(g, string(r)) {
			t.Fatalf("%x is refused", r)
		}
	}
	for _, bad := range []string{"\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\x80", "\xff", "\xc3", "\xc3a"} {
		if matches(g, bad) {
			t.Errorf("%x is taken; it is not UTF-8", bad)
		}
	}
	free := compiled(t, JSONSchema(`{"type":"string"}`), byteVocab(t))
	for _, bad := range []string{"\"\xed\xa0\x80\"", "\"\xc0\x80\"", `"\ud800"`, `"\udc00"`, `"\ud800\ud800"`, `"\ud800x"`, `"\u12"`, "\"\x1f\"", `"\U0041"`} {
		if matches(free, bad) {
			t.Errorf("%q is taken; it is not a JSON string", bad)
		}
	}
	for _, good := range []string{`"\uD83D\uDE00"`, `"\u0000"`, "\"\x7f\u2028\"", `"\/"`} {
		if !matches(free, good) {
			t.Errorf("%q is refused", good)
		}
	}
}
