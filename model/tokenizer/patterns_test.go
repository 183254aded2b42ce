package tokenizer

import (
	"encoding/json"
	"strings"
	"testing"
)

// split makes a pre-tokenizer with an expression.
func split(pattern string) func(file, model object) {
	return func(f, _ object) {
		f["pre_tokenizer"] = object{"type": "Sequence", "pretokenizers": []any{object{"type": "Split", "pattern": object{"Regex": pattern}, "behavior": "Isolated", "invert": false}}}
	}
}

// An expression that some text could make slow is refused when the file is loaded, wherever it stands in it.
func TestSec_R19ExpressionsAreRefused(t *testing.T) {
	for _, pattern := range []string{"(a+)+$", "(a|a)*$", "(a*)*b", "a*a*a*b", `(\w+\s?)*$`, `(x+x+)+y`, `\s+$`, `.*,.*,.*x`, `^(\d+)*$`, `(?=(a+))b`, `(?<=a+)b`, `(a)\1+`, `((a{1,99}){1,99}){1,99}`, `(?>a+)b`,
		`a++b`, `\G(a+)+`, "(", "(?R)", `\bword`, strings.Repeat("a|", maxPatternBytes), strings.Repeat("(", 3000) + strings.Repeat(")", 3000)} {
		if _, err := parse(words(split(pattern))); err == nil || !strings.Contains(err.Error(), "regular expression") || !strings.HasPrefix(err.Error(), "pre_tokenizer: ") {
			t.Errorf("%.60q: got %v; want that the expression is refused", pattern, err)
		}
		if _, err := parse(words(func(f, _ object) {
			f["normalizer"] = object{"type": "Replace", "pattern": object{"Regex": pattern}, "content": ""}
		})); err == nil || !strings.HasPrefix(err.Error(), "normalizer: the regular expression") {
			t.Errorf("%.60q in the normalizer: got %v", pattern, err)
		}
	}
	for _, part := range []string{`{"pattern":{"Regex":"(a+)+","Regex":"a"}}`, `{"pattern":{"\u0052egex":"(a+)+"}}`, `[[{"x":[{"Regex":"(a+)+"}]}]]`, `{"Regex":["(a+)+"]}`, `{"Regex":{"Regex":"(a+)+"}}`} {
		if err := checkPatterns(json.RawMessage(part)); err == nil {
			t.Errorf("%s: nothing was found", part)
		}
	}
}

// Expressions of published models load, and others of the plain kind.
func TestSec_R19ExpressionsAreKnown(t *testing.T) {
	for _, pattern := range append([]string{`[0-9]+|->|[:|;=+*/\-]|[^\s0-9:|;=+*/\-]+`, `[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, `\p{N}{1,3}`, `[一-龥]+`, `The answer is|\d`, ` {2,}`}, known...) {
		tok, err := parse(words(split(pattern)))
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
			continue
		}
		if got := tok.Encode("a b"); len(got) == 0 {
			t.Errorf("%q: no tokens", pattern)
		}
	}
}
