package server

import (
	"go/ast"
	"strings"
	"testing"

	"astro/openai"
)

// R5 replays its cause: a least number of tokens above the most that there can be, when the most is not given. It is refused by every
// endpoint after the default is filled in, and the engine, /health and /ready know nothing of it.
func TestSec_R05DefaultsAreCheckedToo(t *testing.T) {
	h := start(t, setup{})
	for _, g := range generating[:3] { // Anthropic's messages always say how many
		for _, member := range []string{`,"min_tokens":255`, `,"min_tokens":255,"max_tokens":null`, `,"min_tokens":16777216`, `,"min_tokens":300,"stream":true`, `,"min_tokens":255,"ignore_eos":true`} {
			h.send(t, "POST", g.path, g.with(member)).wantError(t, 400, "context_length_exceeded")
		}
	}
	h.send(t, "POST", "/v1/completions", textWith(`,"min_tokens":17`)).wantError(t, 400, "invalid_value") // OpenAI's default is 16
	if got := h.send(t, "POST", "/v1/messages", messageWith(`,"min_tokens":61`)); got.status != 400 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	for _, path := range []string{"/health", "/ready"} {
		if got := h.send(t, "GET", path, ""); got.status != 200 {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	if s := h.Engine.Stats(); s.Steps != 0 || s.Failures != 0 {
		t.Errorf("the engine has made %d steps", s.Steps)
	}
	got := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(`,"min_tokens":200`)))
	if n := got.Usage.CompletionTokens; n < 200 {
		t.Errorf("got %d tokens; want 200 at least", n)
	}
}

// The engine is asked in one place, which every generating endpoint goes through: nothing reaches it unchecked.
func TestSec_R05OnePlaceAsksTheEngine(t *testing.T) {
	uses := map[string]int{}
	for _, f := range source(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				uses[s.Sel.Name]++
			}
			return true
		})
	}
	for name, want := range map[string]int{"Submit": 1, "admit": 1, "EncodeSegments": 3} {
		if uses[name] != want {
			t.Errorf("%s is used %d times; want %d", name, uses[name], want)
		}
	}
}

// R10: what a model says is a text, or the name of a known tool with arguments that are handed on as they were written: nothing is
// evaluated, repaired or looked up, however it looks.
func TestSec_R10OutputIsData(t *testing.T) {
	for _, said := range []string{`{"name": "add", "parameters": {"a": "__import__('os').system('id')", "b": "$(id)", "c": "{{ 7*7 }}", "d": "'; DROP TABLE x; --"}}`, `{"name": "add", "parameters": __import__('os').system('id')}`,
		`{"name": "add", "parameters": {"a": 1+1}}`, `{'name': 'add', 'parameters': {}}`, `{"name": "os.system", "parameters": {"cmd": "id"}}`, `{{ 7*7 }}{% include '/etc/passwd' %}`, `<script>alert(1)</script>`, `add(a=1)`, `{"name": "add", "parameters": {"$ref": "file:///etc/passwd"}}`} {
		h := start(t, setup{runner: saying(said)})
		body := chatWith(`,"max_tokens":200,"tools":[{"type":"function","function":{"name":"add"}}]`)
		m := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", body)).Choices[0].Message
		if len(m.ToolCalls) == 0 && m.Content != said {
			t.Errorf("%s became %+v", said, m)
		}
		for _, call := range m.ToolCalls {
			if a := call.Function.Arguments; call.Function.Name != "add" || a != "{}" && !strings.Contains(said, a) {
				t.Errorf("%s became %+v", said, call)
			}
		}
	}
}

// R28 replays its cause: depth. A body of brackets as long as bodies may be, in every place that has an inside, on every route, is
// refused, and the process is there to say so.
func TestSec_R28DeepBodies(t *testing.T) {
	h := start(t, setup{})
	depth := h.limits.BodyBytes/16 - 100
	lists, objects := strings.Repeat("[", depth)+strings.Repeat("]", depth), strings.Repeat(`{"a":`, depth/2)+"1"+strings.Repeat("}", depth/2)
	for _, r := range routes {
		if !r.work || r.upload { // an upload's body is a form, which has no depth; the lines of its file have TestFilesAreChecked
			continue
		}
		for _, deep := range []string{lists, objects, lists[:depth]} {
			bodies := []string{deep, `{"model":"fake","messages":` + deep + `}`, `{"model":"fake","prompt":` + deep + `}`, `{"model":"fake","input":` + deep + `}`, `{"model":"fake","x":` + deep + `}`,
				`{"model":"fake","tools":` + deep + `}`, `{"model":"fake","structured_outputs":{"json":` + deep + `}}`, `{"model":"fake","chat_template_kwargs":` + deep + `}`}
			for _, body := range bodies {
				if got := h.send(t, "POST", r.path, body); got.status != 400 {
					t.Errorf("%s %.60s: got %d %.200s", r.path, body, got.status, got.body)
				}
			}
		}
	}
	if got := h.send(t, "GET", "/ready", ""); got.status != 200 {
		t.Errorf("got %d", got.status)
	}
}
