package chat

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestMessageAsSeen: what a template sees of a message, key by key in their order.
func TestMessageAsSeen(t *testing.T) {
	for want, m := range map[string]Message{
		`{"role": "user", "content": ""}`: {Role: "user"},
		`{"role": "a", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": {"z": 1, "a": [2.5]}}}]}`: {Role: "a", NoContent: true, ToolCalls: []ToolCall{{"1", "f", ` {"z": 1, "a": [2.5]}`}}},
		`{"role": "", "content": "c", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}`:               {Content: "c", ToolCalls: []ToolCall{{"", "f", ""}}},
		`{"role": "", "content": "", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{\"cut\": "}}]}`:      {ToolCalls: []ToolCall{{Name: "f", Arguments: `{"cut": `}}},
		`{"role": "", "content": "", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "[1]"}}]}`:             {ToolCalls: []ToolCall{{Name: "f", Arguments: "[1]"}}},
		`{"role": "", "content": "", "tool_calls": []}`:                                                         {ToolCalls: []ToolCall{}},
		`{"role": "tool", "content": "5", "name": "n", "tool_call_id": "i", "more": 1}`:                         {Role: "tool", Content: "5", Name: "n", ToolCallID: "i", Extra: map[string]any{"more": 1, "none": nil}},
		`{"role": "", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}`:               {Parts: []string{"a", "b"}},
		`{"thinking": "t", "role": "", "content": "c", "reasoning_content": "t"}`:                               {Content: "c", Extra: map[string]any{"thinking": "t"}},
		`{"thinking": "r", "role": "", "content": "c", "reasoning": "r", "reasoning_content": "r"}`:             {Content: "c", Extra: map[string]any{"reasoning": "r"}},
		`{"thinking": "x", "role": "", "content": "c", "reasoning": "r", "reasoning_content": "x", "zzz": "z"}`: {Content: "c", Extra: map[string]any{"reasoning": "r", "reasoning_content": "x", "zzz": "z"}},
	} {
		segments, err := mustParse(t, `{{ messages[0] | tojson }}`).Render(Input{Messages: []Message{m}})
		if got := Join(segments); err != nil || got != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}

// TestPartsWhereStringsBelong: a template that knows only strings gets the parts' text; one that looks at the parts gets them.
func TestPartsWhereStringsBelong(t *testing.T) {
	in := Input{Messages: []Message{{Role: "user", Parts: []string{"ab ", "c"}}}}
	for source, want := range map[string]string{
		`{{ c }}`: "ab c", `{{ c | trim }}`: "ab c", `{{ '<' + c + '>' }}`: "<ab c>", `{{ '<' ~ c }}`: "<ab c", `{{ c.split(' ')[1] }}`: "c", `{{ c.startswith('ab') }}`: "True", `{{ 'b ' in c }}{{ 'z' in c }}`: "TrueFalse",
		`{{ c is string }}{{ c | length }}`: "False2", `{% for p in c %}[{{ p.text }}]{% endfor %}`: "[ab ][c]", `{{ c | map(attribute='text') | join('|') }}`: "ab |c", `{{ c[1].text }}`: "c",
		`{% if c is not string %}{{ raise_exception('strings only') }}{% endif %}{{ c is string }}{{ c }}`: "Trueab c",
	} {
		segments, err := mustParse(t, `{% set c = messages[0].content %}`+source).Render(in)
		if got := Join(segments); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", source, got, err, want)
		}
	}
}

// TestKwargs: a request may set variables, within limits, and none that decides what the conversation is.
func TestKwargs(t *testing.T) {
	vars, err := ParseKwargs(json.RawMessage(`{"enable_thinking": false, "date_string": "<s>", "n": 1, "list": [1, 2.5, null, {"z": 1, "a": "]]]]]]]]]]\"[[[["}]}`))
	if err != nil {
		t.Fatal(err)
	}
	segments, err := mustParse(t, `{{ enable_thinking }}{{ n + 1 }}{{ list | tojson }}{{ date_string }}`).WithSpecial(map[string]string{"bos_token": "<s>"}).Render(Input{Vars: vars})
	if want := (Segment{`False2[1, 2.5, null, {"z": 1, "a": "]]]]]]]]]]\"[[[["}]<s>`, false}); err != nil || len(segments) != 1 || segments[0] != want {
		t.Errorf("got %v, %v; want %v", segments, err, want)
	}
	for object, want := range map[string]string{
		`[]`: "not a JSON object", `{"a":`: "not a JSON object", `"a"`: "not a JSON object", ``: "not a JSON object",
		`{"messages": []}`: `"messages" belongs to the server`, `{"tools": 1}`: "belongs", `{"documents": 1}`: "belongs", `{"add_generation_prompt": true}`: "belongs", `{"bos_token": "x"}`: "belongs", `{"image_token": "x"}`: "belongs", `{"additional_special_tokens": []}`: "belongs",
		`{"raise_exception": 1}`: "belongs", `{"range": 1}`: "belongs", `{"loop": 1}`: "belongs", `{"chat_template": "x"}`: "belongs",
		`{"": 1}`: "cannot be a variable", `{"a b": 1}`: "cannot be a variable", `{"1a": 1}`: "cannot be a variable", `{"__x": 1}`: "cannot be a variable", `{"é": 1}`: "cannot be a variable", `{"` + strings.Repeat("a", maxKwargNameBytes+1) + `": 1}`: "at most 64",
		`{"a": ` + strings.Repeat("[", maxKwargDepth+1) + strings.Repeat("]", maxKwargDepth+1) + `}`: "more than 8 lists or maps", `{"a": "` + strings.Repeat("a", maxKwargsBytes) + `"}`: "at most 32768 are accepted", manyKwargs(maxKwargs + 1): "at most 64 are accepted",
	} {
		if vars, err := ParseKwargs(json.RawMessage(object)); err == nil || !strings.Contains(err.Error(), want) || vars != nil {
			t.Errorf("%.80s: got %v, %v; want an error with %q", object, vars, err, want)
		}
	}
	for _, object := range []string{`{}`, `null`, manyKwargs(maxKwargs), `{"a": ` + strings.Repeat("[", maxKwargDepth) + strings.Repeat("]", maxKwargDepth) + `}`} {
		if vars, err := ParseKwargs(json.RawMessage(object)); err != nil || vars == nil {
			t.Errorf("%.80s: got %v, %v; want variables", object, vars, err)
		}
	}
}

func manyKwargs(n int) string {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = `"` + strings.Repeat("a", i+1) + `": 1`
	}
	return "{" + strings.Join(fields, ",") + "}"
}
