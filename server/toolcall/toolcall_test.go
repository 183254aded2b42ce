package toolcall

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// call is a whole call.
type call struct{ name, arguments string }

// parse feeds pieces and sums up.
func parse(p *Parser, pieces ...string) (content string, calls []call) {
	var text strings.Builder
	add := func(said string, deltas []Delta) {
		text.WriteString(said)
		for _, d := range deltas {
			if d.Name != "" {
				calls = append(calls, call{name: d.Name})
			}
			calls[d.Index].arguments += d.Arguments
		}
	}
	for _, piece := range pieces {
		add(p.Push(piece))
	}
	add(p.End())
	return text.String(), calls
}

var cases = []struct {
	text, content string
	calls         []call
}{
	{"hello", "hello", nil},
	{"", "", nil},
	{`{"name": "add", "parameters": {"a": 1}}`, "", []call{{"add", `{"a": 1}`}}},
	{` {"name": "add", "parameters": {"a": 1}} `, "", []call{{"add", `{"a": 1}`}}},
	{`{"type": "function", "name": "add", "parameters": {"a": {"b": [1, {"c": "}"}]}}}`, "", []call{{"add", `{"a": {"b": [1, {"c": "}"}]}}`}}},
	{`{"parameters": {"a": 1}, "name": "add"}`, "", []call{{"add", `{"a": 1}`}}},
	{`{"name": "add"}`, "", []call{{"add", `{}`}}},
	{`{"name": "add", "parameters": {}}; {"name": "sub", "parameters": {"x": "\"{"}}`, "", []call{{"add", "{}"}, {"sub", `{"x": "\"{"}`}}},
	{`[{"name": "add", "parameters": {"a": 1}}, {"name": "sub", "arguments": {}}]`, "", []call{{"add", `{"a": 1}`}, {"sub", "{}"}}},
	{"<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>\n<tool_call>\n{\"name\": \"sub\", \"arguments\": {}}\n</tool_call>", "", []call{{"add", `{"a": 1}`}, {"sub", "{}"}}},
	{"I add.\n<tool_call>{\"name\": \"add\", \"arguments\": {}}</tool_call> Done.", "I add.\nDone.", []call{{"add", "{}"}}},
	{`{"name": "other", "parameters": {}}`, `{"name": "other", "parameters": {}}`, nil},
	{`{"a": 1}`, `{"a": 1}`, nil},
	{`{"name": "add`, `{"name": "add`, nil},
	{`{"name": "add", "parameters": {"a": `, "", []call{{"add", `{"a": `}}},
	{"[1, 2]", "[1, 2]", nil},
	{" [ {\"name\": 1}]", " [ {\"name\": 1}]", nil},
	{`{"name": "add", "parameters": {"a": "<tool_call>"}}`, "", []call{{"add", `{"a": "<tool_call>"}`}}},
	{`see {"name": "add", "parameters": {}}`, `see {"name": "add", "parameters": {}}`, nil},
	{"a <tool", "a <tool", nil},
	{"<tool_call>{\"name\": \"who\"}</tool_call>", "<tool_call>{\"name\": \"who\"}</tool_call>", nil},
	{`{"name": "add", "parameters": "none"}`, "", []call{{"add", "{}"}}},
	{"}{", "}{", nil},
}

// Whatever the pieces are, an answer is the same.
func TestParser(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range cases {
		for round := range 60 {
			pieces := []string{c.text}
			if round == 1 {
				pieces = strings.Split(c.text, "")
			}
			for round > 1 && len(pieces) < min(round, len(c.text)) {
				i := r.IntN(len(pieces))
				cut := r.IntN(len(pieces[i]) + 1)
				pieces = append(pieces[:i], append([]string{pieces[i][:cut], pieces[i][cut:]}, pieces[i+1:]...)...)
			}
			content, calls := parse(New([]string{"add", "sub"}), pieces...)
			if content != c.content || !reflect.DeepEqual(calls, c.calls) {
				t.Fatalf("%q as %q: got %q and %q; want %q and %q", c.text, pieces, content, calls, c.content, c.calls)
			}
		}
	}
}

func TestNamed(t *testing.T) {
	content, calls := parse(Named("add"), `{"a"`, `: 1}`, "")
	if content != "" || !reflect.DeepEqual(calls, []call{{"add", `{"a": 1}`}}) {
		t.Errorf("got %q and %q", content, calls)
	}
}

// FuzzParser: no panic; a call is one of a known tool; without a call nothing is lost but spaces and separators at the ends.
func FuzzParser(f *testing.F) {
	for _, c := range cases {
		f.Add(c.text, 3)
	}
	f.Fuzz(func(t *testing.T, text string, cut int) {
		cut = max(0, min(cut, len(text)))
		content, calls := parse(New([]string{"add", "sub"}), text[:cut], text[cut:])
		for _, c := range calls {
			if c.name != "add" && c.name != "sub" {
				t.Errorf("%q calls %q", text, c.name)
			}
		}
		if len(calls) == 0 && strings.TrimSpace(content) != strings.TrimSpace(text) {
			t.Errorf("%q became %q", text, content)
		}
		if again, same := parse(New([]string{"add", "sub"}), text); again != content || !reflect.DeepEqual(same, calls) {
			t.Errorf("%q: in two pieces %q and %q; whole %q and %q", text, content, calls, again, same)
		}
	})
}

// TestSec_R09ToolParserIsLinear: twice the text takes about twice the time, token by token.
func TestSec_R09ToolParserIsLinear(t *testing.T) {
	run := func(n int) time.Duration {
		best := time.Hour
		for range 3 {
			for _, unit := range []string{"{", " ", "<tool_call", `{"name":`, `["`} {
				p, begin := New([]string{"add"}), time.Now()
				for range n {
					p.Push(unit)
				}
				p.End()
				best = min(best, time.Since(begin))
			}
		}
		return best
	}
	small, large := run(1<<14), run(1<<16)
	if large > 40*small+50*time.Millisecond {
		t.Errorf("four times the text took %v instead of %v", large, small)
	}
}

// TestSec_R28DeepOutput: a model that writes brackets without end is read in a loop, not by calls within calls.
func TestSec_R28DeepOutput(t *testing.T) {
	const unit, units = `[{"a":`, 1 << 16
	for _, begin := range []string{`{"name":`, `[`, `{"name": "add", "parameters": {"a":`, `<tool_call>`} {
		p, got := New([]string{"add"}), 0
		count := func(said string, deltas []Delta) {
			got += len(said)
			for _, d := range deltas {
				got += len(d.Arguments)
			}
		}
		count(p.Push(begin))
		for range units {
			count(p.Push(unit))
		}
		count(p.End())
		if got < units*len(unit) {
			t.Errorf("%s: %d bytes came out of %d", begin, got, units*len(unit))
		}
	}
}
