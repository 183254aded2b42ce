package grammar

import (
	"encoding/json"
	"errors"
	"regexp"
	"testing"
	"unicode/utf8"
)

// tryOut compiles under small limits and writes a text. It fails on what must never happen: an error of another type, a dead end, a
// token that the mask allows and Next does not.
func tryOut(t *testing.T, v *Vocab, spec Spec, seed uint64) (text, bool) {
	g, err := Compile(spec, v, Limits{WorkUnits: 50_000, Nodes: 10_000})
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || e.Problem == 0 || e.Reason == "" {
			t.Fatalf("%q: %v is not an Error with a reason", spec.Text, err)
		}
		return text{}, false
	}
	return write(t, g, seed, 80, nil), true
}

// FuzzSchema: any text as a schema is refused or gives JSON.
func FuzzSchema(f *testing.F) {
	v := byteVocab(f)
	for _, e := range examples(f) {
		f.Add(string(e.Schema), uint64(1))
	}
	for _, schema := range []string{`{"anyOf":[{"$ref":"#"}]}`, `{"$ref":"#/$defs/a~2"}`, `{"minimum":-0.0,"maximum":1e-400}`, `{"required":["\ud800"]}`, `{"pattern":"\\u{1}"}`} {
		f.Add(schema, uint64(2))
	}
	f.Fuzz(func(t *testing.T, schema string, seed uint64) {
		out, ok := tryOut(t, v, JSONSchema(schema), seed)
		if !ok || !out.ended {
			return
		}
		if err := strictJSON(out.bytes); err != nil || !json.Valid([]byte(out.bytes)) {
			t.Fatalf("%q: wrote %q, which is not JSON: %v", schema, out.bytes, err)
		}
	})
}

// FuzzRegex: any text as an expression is refused or gives texts that package regexp matches as a whole.
func FuzzRegex(f *testing.F) {
	v := byteVocab(f)
	for _, expression := range append(expressions, `(?m)^a`, `\b`, `[[:^alpha:]]`, `(?P<n>a)`, `a{0}`, `()`, `\Qa.b\E`, `(|a)*`, `(?U)a+`) {
		f.Add(expression, uint64(1))
	}
	f.Fuzz(func(t *testing.T, expression string, seed uint64) {
		out, ok := tryOut(t, v, Regex(expression), seed)
		if !ok || !out.ended {
			return
		}
		re, err := regexp.Compile(ecmaEscapes(expression))
		if err != nil {
			t.Fatalf("%q compiles here but not there: %v", expression, err)
		}
		re.Longest()
		if at := re.FindStringIndex(out.bytes); at == nil || at[0] > 0 || at[1] < len(out.bytes) || !utf8.ValidString(out.bytes) {
			t.Fatalf("%q: wrote %q, which does not match", expression, out.bytes)
		}
		if expression != "" {
			out, ok = tryOut(t, v, JSONSchema(`{"type":"string","maxLength":20,"pattern":`+quote(expression)+`}`), seed)
			var s string
			if ok && out.ended && (json.Unmarshal([]byte(out.bytes), &s) != nil || !regexp.MustCompile(ecmaEscapes(expression)).MatchString(s)) {
				t.Fatalf("pattern %q: wrote %q, which does not match", expression, out.bytes)
			}
		}
	})
}
