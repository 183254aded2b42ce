package grammar

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// example is a row of testdata/schemas.json. valid texts are in the spelling that the grammar writes; long says that
// the schema does not bound the length of what is written.
type example struct {
	Name           string
	Schema         json.RawMessage
	Valid, Invalid []string
	Long           bool
}

func examples(t testing.TB) []example {
	text, err := os.ReadFile("testdata/schemas.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func compiled(t testing.TB, s Spec, v *Vocab) *Grammar {
	t.Helper()
	g, err := Compile(s, v, Limits{})
	if err != nil {
		t.Fatalf("%.300s: %v", s.Text, err)
	}
	return g
}

// TestExamples: each row's valid texts are written, its invalid ones are not, and the validator agrees.
func TestExamples(t *testing.T) {
	v := byteVocab(t)
	for _, e := range examples(t) {
		g := compiled(t, JSONSchema(string(e.Schema)), v)
		for _, text := range e.Valid {
			if err := valid(string(e.Schema), text); err != nil {
				t.Errorf("%s: the validator refuses %s: %v", e.Name, text, err)
			}
			if !matches(g, text) {
				t.Errorf("%s: the grammar refuses %s", e.Name, text)
			}
		}
		for _, text := range e.Invalid {
			if matches(g, text) {
				t.Errorf("%s: the grammar takes %s", e.Name, text)
			}
		}
	}
}

// generator makes schemas at random, with bounded lengths, and only keywords that are supported.
type generator struct {
	*rand.Rand
	defs []string
}

func (r *generator) pick(from ...string) string { return from[r.IntN(len(from))] }

func (r *generator) schema(depth int) string {
	leaves := []func() string{
		func() string { return `{"type":"boolean"}` },
		func() string { return `{"type":["null","boolean"]}` },
		func() string {
			lo := r.IntN(2000) - 1000
			return fmt.Sprintf(`{"type":"integer","minimum":%d,"maximum":%d}`, lo, lo+r.IntN(3000))
		},
		func() string {
			lo := r.Float64()*20 - 10
			return fmt.Sprintf(`{"type":"number","%s":%.3g,"%s":%.3f}`, r.pick("minimum", "exclusiveMinimum"), lo, r.pick("maximum", "exclusiveMaximum"), lo+0.5+r.Float64()*100)
		},
		func() string {
			return fmt.Sprintf(`{"type":"integer","multipleOf":%d,"minimum":0,"maximum":5000}`, 1+r.IntN(30))
		},
		func() string {
			lo := r.IntN(4)
			return fmt.Sprintf(`{"type":"string","minLength":%d,"maxLength":%d}`, lo, lo+r.IntN(8))
		},
		func() string {
			return fmt.Sprintf(`{"type":"string","pattern":%q,"maxLength":9}`, r.pick("^[a-f]{1,4}$", "x", "^(ab|cd)+$", "[0-9]$", "^é?[^\"a]{2}", "^$|^z", "(a|b)(c|d)", "^\\S+ \\S+$", "[😀-😂]"))
		},
		func() string {
			return fmt.Sprintf(`{"type":"string","format":%q}`, r.pick("date", "time", "ipv4", "uuid", "date-time"))
		},
		func() string { return `{"enum":["a","ab","é\"",1,null,[1,{"x":2}]]}` },
		func() string { return fmt.Sprintf(`{"const":%s}`, r.pick(`"k"`, `12`, `{"a":1}`, `[]`, `"😀"`)) },
	}
	if depth == 0 || r.IntN(3) == 0 {
		return leaves[r.IntN(len(leaves))]()
	}
	switch r.IntN(6) {
	case 0, 1, 2:
		return r.object(depth)
	case 3:
		lo := r.IntN(3)
		return fmt.Sprintf(`{"type":"array","items":%s,"minItems":%d,"maxItems":%d}`, r.schema(depth-1), lo, lo+r.IntN(3))
	case 4:
		return fmt.Sprintf(`{"anyOf":[%s,%s,%s]}`, r.schema(depth-1), r.schema(depth-1), r.schema(0))
	}
	return fmt.Sprintf(`{"type":"array","prefixItems":[%s,%s],"items":%s,"maxItems":3}`, r.schema(depth-1), r.schema(depth-1), r.pick("false", `{"type":"null"}`))
}

func (r *generator) object(depth int) string {
	var properties, required []string
	for i := range 1 + r.IntN(5) {
		name := fmt.Sprintf("%q", r.pick("a", "key", "é", "with space", "quote\"")+fmt.Sprint(i))
		sub := r.schema(depth - 1)
		if r.IntN(8) == 0 {
			sub = `{"anyOf":[{"type":"null"},{"$ref":"#/$defs/d"}]}`
		}
		properties = append(properties, name+":"+sub)
		if r.IntN(2) == 0 {
			required = append(required, name)
		}
	}
	more := ""
	if r.IntN(4) == 0 {
		more = fmt.Sprintf(`,"maxProperties":%d`, max(1, len(required)))
	}
	return fmt.Sprintf(`{"type":"object","properties":{%s},"required":[%s],"additionalProperties":false%s}`, strings.Join(properties, ","), strings.Join(required, ","), more)
}

// root is a schema with a definition that refers to itself.
func (r *generator) root() string {
	root := r.schema(3)
	return root[:len(root)-1] + fmt.Sprintf(`,"$defs":{"d":{"type":"object","properties":{"d":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/d"}]},"x":%s},"required":["d"],"additionalProperties":false}}}`, r.schema(1))
}

// TestWritten is what the package promises: what is written among the allowed tokens at random is valid, and ends.
func TestWritten(t *testing.T) {
	vocabs := map[string]*Vocab{"bytes": byteVocab(t), "bpe512": fixtureVocab(t, bpe512)}
	r := &generator{Rand: rand.New(rand.NewPCG(1, 2))}
	all := examples(t)
	for i := range 150 {
		all = append(all, example{Name: fmt.Sprint("generated ", i), Schema: json.RawMessage(r.root())})
	}
	if len(all) < 200 {
		t.Fatalf("%d schemas; want 200", len(all))
	}
	for name, v := range vocabs {
		bounded, ended, complete := 0, 0, 0
		for i, e := range all {
			g := compiled(t, JSONSchema(string(e.Schema)), v)
			for seed := range 3 {
				text := write(t, g, uint64(1000*i+seed), 512, nil)
				if !e.Long {
					bounded++
				}
				if !text.ended {
					continue
				}
				if complete++; !e.Long {
					ended++
				}
				if err := valid(string(e.Schema), text.bytes); err != nil {
					t.Errorf("%s, schema %s: wrote %s, which is not valid: %v", e.Name, e.Schema, text.bytes, err)
				}
			}
		}
		t.Logf("%s: %d schemas, %d complete texts, %d of %d bounded ones ended within 512 tokens", name, len(all), complete, ended, bounded)
		if ended*100 < bounded*95 {
			t.Errorf("%s: only %d of %d texts ended within 512 tokens; want 95%%", name, ended, bounded)
		}
	}
}
