package grammar

import (
	"fmt"
	"testing"
)

// TestCache: what was used last stays, within the bytes; Specs that differ in anything have different keys.
func TestCache(t *testing.T) {
	v := byteVocab(t)
	grammars := map[string]*Grammar{}
	var keys []string
	for i := range 4 {
		spec := Choice(fmt.Sprint("text ", i))
		g, err := Compile(spec, v, Limits{CacheBytes: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, spec.Key())
		grammars[spec.Key()] = g
	}
	one := grammars[keys[0]].Bytes()
	c := NewCache(3 * one)
	for _, key := range keys[:3] {
		c.Put(key, grammars[key])
	}
	if c.Get(keys[0]) != grammars[keys[0]] || c.Bytes() != 3*one {
		t.Fatalf("%d bytes are kept; want three of %d", c.Bytes(), one)
	}
	c.Put(keys[3], grammars[keys[3]])
	c.Put(keys[3], grammars[keys[3]])
	for i, want := range []bool{true, false, true, true} {
		if got := c.Get(keys[i]) != nil; got != want {
			t.Errorf("grammar %d is kept: %v; want %v", i, got, want)
		}
	}
	if c.Bytes() != 3*one {
		t.Errorf("%d bytes; want %d", c.Bytes(), 3*one)
	}
	small := NewCache(one - 1)
	if small.Put(keys[0], grammars[keys[0]]); small.Get(keys[0]) != nil || small.Bytes() != 0 {
		t.Error("a grammar that is larger than the cache is kept")
	}
}

func TestKeys(t *testing.T) {
	seen := map[string]int{}
	for i, s := range []Spec{JSONObject(), JSONSchema(""), JSONSchema("{}"), Regex("{}"), Choice("{}"), Choice("a", "b"), Choice("ab"), Choice("b", "a"), Choice("a", "b", ""), {Kind: KindChoice, Text: "a", Choices: []string{"b"}}} {
		if j, ok := seen[s.Key()]; ok {
			t.Errorf("specs %d and %d have one key", j, i)
		}
		seen[s.Key()] = i
	}
	if JSONSchema("{}").Key() != JSONSchema("{}").Key() {
		t.Error("equal specs have different keys")
	}
}
