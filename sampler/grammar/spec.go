package grammar

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"unicode/utf8"
)

// Kind says what a Spec is written in.
type Kind uint8

// The kinds of a Spec. Context-free grammars (GBNF, EBNF) are not among them: a server that is asked for one says "unsupported".
const (
	KindJSONObject Kind = iota + 1 // any JSON object
	KindJSONSchema                 // JSON that is valid against a schema
	KindRegex                      // text that a regular expression matches as a whole
	KindChoice                     // one of some texts
)

// Spec is what the output must look like. Make one with JSONObject, JSONSchema, Regex or Choice.
type Spec struct {
	Kind    Kind
	Text    string   // the schema or the regular expression
	Choices []string // of KindChoice
}

// JSONObject is the Spec of any JSON object.
func JSONObject() Spec { return Spec{Kind: KindJSONObject} }

// JSONSchema is the Spec of JSON that is valid against a schema, given as JSON text.
func JSONSchema(schema string) Spec { return Spec{Kind: KindJSONSchema, Text: schema} }

// Regex is the Spec of text that the expression (RE2 syntax, as in package regexp) matches from its beginning to its end.
func Regex(expression string) Spec { return Spec{Kind: KindRegex, Text: expression} }

// Choice is the Spec of exactly one of the texts.
func Choice(texts ...string) Spec { return Spec{Kind: KindChoice, Choices: texts} }

// Key names the Spec: Specs with the same content have the same key, others have not.
func (s Spec) Key() string {
	h := sha256.New()
	write := func(text string) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(text)))
		h.Write(n[:])
		h.Write([]byte(text))
	}
	h.Write([]byte{byte(s.Kind)})
	write(s.Text)
	for _, c := range s.Choices {
		write(c)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// bytes is the size that Limits.SpecBytes bounds.
func (s Spec) bytes() int {
	n := len(s.Text)
	for _, c := range s.Choices {
		n += len(c) + 1
	}
	return n
}

// choices reads one of the texts.
func choices(g *graph, list []string) (int32, error) {
	if len(list) == 0 {
		return end, fail(Invalid, "", "a choice needs at least one text")
	}
	for i, text := range list {
		if !utf8.ValidString(text) {
			return end, fail(Invalid, "", "choice %d is not valid UTF-8", i)
		}
		if text == "" {
			return end, fail(Invalid, "", "choice %d is empty: there is nothing to write", i)
		}
	}
	list = slices.Clone(list)
	slices.Sort(list)
	head := g.words(slices.Compact(list), end)
	return head, g.err
}
