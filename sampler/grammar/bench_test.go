package grammar

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// largeVocab looks like that of Llama 3: 128,000 tokens, most of them words with and without a space before them, in several
// scripts, all numbers of up to three digits, runs of spaces up to 128, and what programs are made of.
func largeVocab(t testing.TB) *Vocab {
	const size = 128_000
	r := rand.New(rand.NewPCG(1, 1))
	seen := map[string]bool{}
	var tokens [][]byte
	add := func(s string) {
		if !seen[s] && len(tokens) < size {
			seen[s], tokens = true, append(tokens, []byte(s))
		}
	}
	for b := range 256 {
		add(string([]byte{byte(b)}))
	}
	for n := range 1000 {
		add(fmt.Sprint(n))
		add(fmt.Sprintf("%02d", n%100))
		add(fmt.Sprintf("%03d", n))
	}
	for n := 2; n <= 128; n++ {
		add(fmt.Sprintf("%*s", n, ""))
	}
	marks := []rune(`{}[]":,.;()<>/\=+-*&|!?'_#$%@`)
	for range 6000 {
		s := ""
		for range 1 + r.IntN(4) {
			s += string(marks[r.IntN(len(marks))])
		}
		add([]string{"", " "}[r.IntN(2)] + s + []string{"", "\n", " "}[r.IntN(3)])
	}
	syllables := []string{"a", "in", "er", "tion", "st", "re", "con", "de", "la", "mo", "ing", "o", "th", "qu", "ver", "ly", "es", "ma", "ni", "to"}
	for len(tokens) < size {
		s := ""
		from, letters := 0, 0
		switch r.IntN(10) {
		case 0:
			from, letters = 0x430, 32
		case 1:
			from, letters = 0x4E00, 3000
		case 2:
			from, letters = 0x3B1, 24
		}
		for range 1 + r.IntN(4) {
			if letters > 0 {
				s += string(rune(from + r.IntN(letters)))
			} else {
				s += syllables[r.IntN(len(syllables))]
			}
		}
		if letters == 0 && r.IntN(4) == 0 {
			s = string(s[0]-32) + s[1:]
		}
		add([]string{"", " "}[r.IntN(2)] + s)
	}
	v, err := NewVocab(append(tokens, nil), []int32{size})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// benchmarkStates are common places in a text: the beginning of it, under a Spec.
var benchmarkStates = []struct {
	name, text string
	spec       Spec
}{
	{"object-start", ``, JSONObject()},
	{"string-free", `{"a":"he`, JSONObject()},
	{"any-value", `{"a":`, JSONObject()},
	{"string-bounded", `{"name":"he`, JSONSchema(benchmarkSchema)},
	{"string-near-end", `{"name":"hehehehehehehehehehehehehehehehehehehehehehehehehehehehehehe`, JSONSchema(benchmarkSchema)},
	{"key", `{"name":"x",`, JSONSchema(benchmarkSchema)},
	{"number", `{"name":"x","age":`, JSONSchema(benchmarkSchema)},
	{"enum", `{"name":"x","age":3,"color":"`, JSONSchema(benchmarkSchema)},
	{"after-value", `{"name":"x","age":3,"color":"red"`, JSONSchema(benchmarkSchema)},
	{"pattern", `"ab`, JSONSchema(`{"type":"string","pattern":"^[\\w .,-]{1,200}$"}`)},
	{"regex", `he`, Regex(`[a-z ]+( [A-Z][a-z]*)*\.`)},
}

const benchmarkSchema = `{"type":"object","properties":{"name":{"type":"string","maxLength":64},"age":{"type":"integer","minimum":0,"maximum":150},
	"color":{"enum":["red","green","blue"]},"tags":{"type":"array","items":{"type":"string","maxLength":20},"maxItems":8}},"required":["name"],"additionalProperties":false}`

func at(t testing.TB, g *Grammar, text string) State {
	s := g.Start()
	for i := range len(text) {
		next, err := g.Next(s, int32(text[i]))
		if err != nil {
			t.Fatal(err)
		}
		s = next
	}
	return s
}

// BenchmarkMask is the cost of a mask of 128,000 tokens: cold (nothing is known of any state), uncached (states are known, the
// mask is not) and cached.
func BenchmarkMask(b *testing.B) {
	v := largeVocab(b)
	b.Logf("%d nodes", len(v.nodes))
	mask := make([]uint64, v.Words())
	for _, c := range benchmarkStates {
		g := compiled(b, c.spec, v)
		s := at(b, g, c.text)
		run := func(kind string, before func()) {
			b.Run(c.name+"/"+kind, func(b *testing.B) {
				for b.Loop() {
					before()
					g.Mask(s, mask)
				}
			})
		}
		run("cold", func() {
			g.states.forget()
			g.masks.forget()
		})
		run("uncached", func() {
			e := g.alike(g.lookup(s), 0)
			if e.mask != nil {
				g.masks.unlink(e.mask)
				e.mask = nil
			}
		})
		run("cached", func() {})
	}
}

// BenchmarkNext is a step of a token of six bytes.
func BenchmarkNext(b *testing.B) {
	v := largeVocab(b)
	g := compiled(b, JSONSchema(benchmarkSchema), v)
	s := at(b, g, `{"name":"he`)
	id := int32(0)
	for i, t := range v.tokens {
		if len(t) == 6 && t[0] >= 'a' {
			id = int32(i)
		}
	}
	for b.Loop() {
		if _, err := g.Next(s, id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	v := byteVocab(b)
	for b.Loop() {
		compiled(b, JSONSchema(benchmarkSchema), v)
	}
}
