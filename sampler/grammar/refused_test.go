package grammar

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// refusals are schemas with the error that each gets.
var refusals = []struct {
	schema  string
	problem Problem
	pointer string
	reason  string
}{
	{`{"not":{"type":"null"}}`, Unsupported, "/not", "not is not supported"},
	{`{"properties":{"a":{"if":true}}}`, Unsupported, "/properties/a/if", "use anyOf"},
	{`{"type":"array","uniqueItems":true}`, Unsupported, "/uniqueItems", "uniqueItems"},
	{`{"type":"array","contains":{}}`, Unsupported, "/contains", "contains"},
	{`{"type":"object","propertyNames":{}}`, Unsupported, "/propertyNames", "propertyNames"},
	{`{"unevaluatedProperties":false}`, Unsupported, "/unevaluatedProperties", "additionalProperties"},
	{`{"dependentRequired":{}}`, Unsupported, "/dependentRequired", "dependentRequired"},
	{`{"maximumLength":3}`, Unsupported, "/maximumLength", `"maximumLength" is not known`},
	{`{"properties":{"a/b~c":{"frob":1}}}`, Unsupported, "/properties/a~1b~0c/frob", "frob"},
	{`{"type":"strin"}`, Invalid, "/type", "the name of a type"},
	{`{"type":[]}`, Invalid, "/type", "the name of a type"},
	{`{"minLength":-1}`, Invalid, "/minLength", "not negative"},
	{`{"maxItems":1.5}`, Invalid, "/maxItems", "whole number"},
	{`{"enum":[]}`, Invalid, "/enum", "not empty"},
	{`{"required":[1]}`, Invalid, "/required", "strings"},
	{`{"properties":[]}`, Invalid, "/properties", "schemas"},
	{`{"items":[{}]}`, Invalid, "/items", "a schema"},
	{`{"exclusiveMinimum":true}`, Invalid, "/exclusiveMinimum", "a number"},
	{`{"anyOf":[3]}`, Invalid, "/anyOf", "schemas"},
	{`{"pattern":"("}`, Invalid, "/pattern", "missing closing"},
	{`{"pattern":"(?=a)"}`, Invalid, "/pattern", "RE2"},
	{`{"pattern":"\\bword"}`, Unsupported, "/pattern", "word borders"},
	{`{"type":"object","patternProperties":{"[":{}}}`, Invalid, "/patternProperties/[", "regular expression"},
	{`{"format":"regex"}`, Unsupported, "/format", "date-time"},
	{`{"multipleOf":0}`, Unsupported, "/multipleOf", "above 0"},
	{`{"multipleOf":0.00012345}`, Unsupported, "/multipleOf", "multipleOf"},
	{`{"allOf":[{"multipleOf":2},{"multipleOf":3}]}`, Unsupported, "/allOf/1/multipleOf", "two different"},
	{`{"minimum":1e401}`, Unsupported, "/minimum", "exponent"},
	{`{"type":"number","minimum":1e50}`, Unsupported, "", "40 digits"},
	{`{"$ref":"other.json"}`, Unsupported, "/$ref", "same schema"},
	{`{"$ref":"#name"}`, Unsupported, "/$ref", "same schema"},
	{`{"$ref":"#/$defs/%zz"}`, Unsupported, "/$ref", "same schema"},
	{`{"$ref":"#/$defs/%4"}`, Unsupported, "/$ref", "same schema"},
	{`{"$ref":"#/$defs/x"}`, Invalid, "/$ref", "nothing there"},
	{`{"$ref":"#"}`, Invalid, "/$ref", "back to itself"},
	{`{"allOf":[{"$ref":"#"}]}`, Invalid, "/allOf/0/$ref", "back to itself"},
	{`{"anyOf":[{"$ref":"#"},{"type":"null"}]}`, Invalid, "/anyOf", "back to this list"},
	{`{"type":"object","anyOf":[{"$ref":"#"},{"required":["a"]}]}`, Invalid, "/anyOf", "back to this list"},
	{`{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"allOf":[{"$ref":"#/$defs/a"}]}},"$ref":"#/$defs/a"}`, Invalid, "/$defs/b/allOf/0/$ref", "back to itself"},
	{`{"properties":{"a":{"$id":"x"}}}`, Unsupported, "/properties/a/$id", "$id"},
	{`{"oneOf":[{"type":"string"},{"type":"string","maxLength":3}]}`, Unsupported, "/oneOf", "alternative 0 and 1"},
	{`{"oneOf":[{"type":"integer"},{"type":"number","minimum":3}]}`, Unsupported, "/oneOf", "use anyOf"},
	{`{"oneOf":[{"properties":{"a":{"const":1}}},{"type":"object","properties":{"a":{"const":2}}}]}`, Unsupported, "/oneOf", "use anyOf"},
	{`{"oneOf":[{"const":[1]},{"type":"array"}]}`, Unsupported, "/oneOf", "use anyOf"},
	{`{"enum":[{"a":1}],"properties":{"a":{"const":1}}}`, Unsupported, "/enum/0", "remove one"},
	{`{"type":"object","minProperties":3}`, Unsupported, "", "minProperties 3"},
	{`{"type":"object","required":["a"],"additionalProperties":false}`, Impossible, "", "nothing satisfies"},
	{`{"type":"string","minLength":3,"maxLength":2}`, Impossible, "", "nothing satisfies"},
	{`{"type":"integer","minimum":3,"maximum":2}`, Impossible, "", "nothing satisfies"},
	{`{"allOf":[{"type":"string"},{"type":"null"}]}`, Impossible, "", "nothing satisfies"},
	{`{"enum":[1],"type":"string"}`, Impossible, "", "nothing satisfies"},
	{`false`, Impossible, "", "nothing satisfies"},
	{`{"type":"string","pattern":"^a$","minLength":2}`, Impossible, "", "nothing satisfies"},
	{`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}`, Impossible, "", "needs itself"},
	{`[]`, Invalid, "", "a schema is"},
	{`{"a"`, Invalid, "", "ends too early"},
	{`{} {}`, Invalid, "", "after its end"},
	{`nope`, Invalid, "", "not JSON"},
	{`{"type":"null","type":"null"}`, Invalid, "", "twice"},
	{"{\"const\":\"\xff\"}", Invalid, "", "UTF-8"},
}

// TestRefused: what cannot be guaranteed is an error of the right kind that names the place and the keyword.
func TestRefused(t *testing.T) {
	v := byteVocab(t)
	for _, c := range refusals {
		wantRefused(t, v, JSONSchema(c.schema), c.problem, c.pointer, c.reason)
	}
	wantRefused(t, v, Spec{}, Unsupported, "", "kind 0")
	wantRefused(t, v, Choice(), Invalid, "", "at least one")
	wantRefused(t, v, Choice("a", ""), Invalid, "", "choice 1 is empty")
	wantRefused(t, v, Choice("\xff"), Invalid, "", "UTF-8")
	wantRefused(t, v, Regex("a**"), Invalid, "", "RE2")
	wantRefused(t, v, Regex(`[^\x00-\x{10FFFF}]`), Impossible, "", "nothing satisfies")
}

func wantRefused(t *testing.T, v *Vocab, s Spec, problem Problem, pointer, reason string) {
	t.Helper()
	_, err := Compile(s, v, Limits{})
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("%.200s: %v; want an error", s.Text, err)
		return
	}
	if e.Problem != problem || e.Pointer != pointer || !strings.Contains(e.Reason, reason) {
		t.Errorf("%.200s: problem %d at %q, %s; want %d at %q, %s", s.Text, e.Problem, e.Pointer, e.Reason, problem, pointer, reason)
	}
}

// TestAnnotations: what only describes is ignored.
func TestAnnotations(t *testing.T) {
	g := compiled(t, JSONSchema(`{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"x","title":"t","description":"d","default":3,"examples":[1],"deprecated":true,"readOnly":true,"$comment":"c","x-order":1,"const":1,"contentMediaType":"a/b"}`), byteVocab(t))
	if !matches(g, "1") || matches(g, "3") {
		t.Fatal("annotations change what is valid")
	}
}

// hostile schemas are built to blow up.
func hostile() map[string]Spec {
	many := func(n int, each string, with ...func(i int) any) string {
		var all []string
		for i := range n {
			var args []any
			for _, w := range with {
				args = append(args, w(i))
			}
			all = append(all, fmt.Sprintf(each, args...))
		}
		return strings.Join(all, ",")
	}
	id := func(i int) any { return i }
	next := func(i int) any { return i + 1 }
	pair := `{"anyOf":[{"const":1},{"type":"integer"}]}`
	return map[string]Spec{
		"deep schema":        JSONSchema(strings.Repeat(`{"items":`, 20_000) + "{}" + strings.Repeat("}", 20_000)),
		"deep lists":         JSONSchema(`{"const":` + strings.Repeat("[", 100_000)),
		"long":               JSONSchema(`{"const":"` + strings.Repeat("a", 300<<10) + `"}`),
		"huge enum":          JSONSchema(`{"enum":[` + many(12_000, `"value number %d"`, id) + `]}`),
		"huge constants":     JSONSchema(`{"anyOf":[` + many(9_000, `{"const":"value %d"}`, id) + `]}`),
		"properties":         JSONSchema(`{"type":"object","properties":{` + many(15_000, `"%d":{}`, id) + `}}`),
		"required":           JSONSchema(`{"type":"object","required":[` + many(20_000, `"%d"`, id) + `]}`),
		"rows":               JSONSchema(`{"type":"object","minProperties":500,"additionalProperties":false,"properties":{` + many(1000, `"%d":{"const":1}`, id) + `}}`),
		"repeats":            Regex(`(a{1,1000}){1,1000}`),
		"repeats nested":     Regex(`((a{1,30}){1,30}){1,30}`),
		"repeats hundred":    Regex(`(a{1,100}b?){1,100}`),
		"subsets":            Regex(`(a|b)*a(a|b){25}`),
		"words in any part":  JSONSchema(`{"pattern":"` + strings.Repeat("(a.*b|", 200) + strings.Repeat(")", 200) + `"}`),
		"dots":               Regex(`(.*a){30}`),
		"letters":            Regex(`\pL{1000}`),
		"letters folded":     Regex(`((?i)\pL\pN?){300}`),
		"letters listed":     Regex(strings.Repeat(`(?i:\pL)`, 500)),
		"long expression":    Regex(strings.Repeat("a", 5000)),
		"parentheses":        Regex(strings.Repeat("(", 2000) + strings.Repeat(")", 2000)),
		"pattern length":     JSONSchema(`{"pattern":"^[a-z]*x[a-z]{8}$","maxLength":1000000}`),
		"min length":         JSONSchema(`{"minLength":1e12}`),
		"patterns":           JSONSchema(`{"allOf":[` + many(200, `{"pattern":"[ab]%d.*c"}`, id) + `]}`),
		"pattern table":      JSONSchema(`{"type":"object","patternProperties":{` + many(1500, `"^a*b%d":{}`, id) + `}}`),
		"choices multiplied": JSONSchema(`{"allOf":[` + strings.Repeat(pair+",", 40) + pair + `]}`),
		"choices nested":     JSONSchema(`{"$defs":{` + many(3000, `"%d":{"anyOf":[{"$ref":"#/$defs/%d"},{"$ref":"#/$defs/%d"}]}`, id, next, next) + `,"3000":{}},"$ref":"#/$defs/0"}`),
		"references":         JSONSchema(`{"$defs":{` + many(3000, `"%d":{"allOf":[{"$ref":"#/$defs/%d"},{"$ref":"#/$defs/%d"}]}`, id, next, next) + `,"3000":{}},"$ref":"#/$defs/0"}`),
		"one of many":        JSONSchema(`{"oneOf":[` + many(2000, `{"type":"object","properties":{"k":{"const":%d}},"required":["k"]}`, id) + `]}`),
		"one of in one of":   JSONSchema(`{"oneOf":[` + many(300, `{"type":"object","properties":{"k":{"oneOf":[{"const":%d},{"const":"%d"}]}},"required":["k"]}`, id, id) + `]}`),
		"big numbers":        JSONSchema(`{"allOf":[` + many(2000, `{"minimum":1%d%s}`, id, func(int) any { return strings.Repeat("0", 60) }) + `]}`),
		"steps":              JSONSchema(`{"anyOf":[` + many(300, `{"type":"integer","multipleOf":%d}`, func(i int) any { return 1000 - i }) + `]}`),
		"tuples":             JSONSchema(`{"prefixItems":[` + strings.Repeat(`{},`, 50_000) + `{}]}`),
		"many choices":       Choice(strings.Split(many(40_000, `%d-%d`, id, next), ",")...),
	}
}

// maxCompileTime is far above the 200 ms that the limits are made for: this machine may be slow, busy, and watched by the race detector.
const maxCompileTime = 10 * time.Second

// TestSec_R09Hostile: each is refused as too complex or compiles, within the work that the limits allow. The work is a count; how long it
// takes is in BenchmarkHostile.
func TestSec_R09Hostile(t *testing.T) {
	v := byteVocab(t)
	for name, spec := range hostile() {
		begin := time.Now()
		g, err := Compile(spec, v, Limits{})
		took := time.Since(begin).Round(time.Millisecond)
		if took > maxCompileTime {
			t.Errorf("%s: took %v; the budget of work is for 200 ms, and nothing may be without one", name, took)
		}
		var e *Error
		switch {
		case err == nil:
			t.Logf("%-20s %v: %d nodes, %d steps", name, took, len(g.nodes), g.WorkUnits())
			if d := DefaultLimits(); len(g.nodes) > d.Nodes || g.WorkUnits() > d.WorkUnits {
				t.Errorf("%s: %d nodes and %d steps are past the limits", name, len(g.nodes), g.WorkUnits())
			}
			mask := make([]uint64, v.Words())
			g.Mask(g.Start(), mask)
		case !errors.As(err, &e) || e.Problem == Impossible:
			t.Errorf("%s: %v; want too complex", name, err)
		default:
			t.Logf("%-20s %v: %.150s", name, took, err)
		}
	}
}

// BenchmarkHostile is the wall clock beside the counts: none should take 200 ms.
func BenchmarkHostile(b *testing.B) {
	v := byteVocab(b)
	for name, spec := range hostile() {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			for b.Loop() {
				Compile(spec, v, Limits{})
			}
		})
	}
}
