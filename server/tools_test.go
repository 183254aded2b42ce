package server

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"astro/engine/enginetest"
	"astro/openai"
	"astro/sampler"
)

// saying makes the fake model write a text, as far as it is allowed to, and then end.
func saying(text string) func(*enginetest.Runner) {
	return func(r *enginetest.Runner) {
		r.Reply = func(row *sampler.Row) int32 {
			if n := len(row.Output); n < len(text) {
				return byteToken(text[n])
			}
			return 0
		}
	}
}

const twoTools = `,"tools":[{"type":"function","function":{"name":"add","parameters":{"type":"object","properties":{"a":{"$ref":"#/$defs/small"},"b":{"type":"boolean"}},
	"required":["a","b"],"additionalProperties":false,"$defs":{"small":{"enum":[1,2]}}}}},{"type":"function","function":{"name":"stop_it"}}]`

// What a model writes in its family's format becomes calls, whole and streamed alike.
func TestToolCallsAuto(t *testing.T) {
	h := start(t, setup{runner: saying(`{"name": "add", "parameters": {"a": 1, "b": true}}; {"name": "stop_it", "parameters": {}}`)})
	const want = `[{"type":"function","function":{"name":"add","arguments":"{\"a\": 1, \"b\": true}"}},{"type":"function","function":{"name":"stop_it","arguments":"{}"}}]`
	id := regexp.MustCompile(`"id":"call_[0-9a-f]{24}",`)
	r := h.send(t, "POST", "/v1/chat/completions", chatWith(twoTools))
	answer := decode[openai.ChatAnswer](t, r)
	calls := id.ReplaceAllString(string(openai.Encode(answer.Choices[0].Message.ToolCalls)), "")
	if calls != want || answer.Choices[0].FinishReason != "tool_calls" || !strings.Contains(string(r.body), `"content":null`) {
		t.Errorf("got %s", r.body)
	}
	var parts []openai.ToolCall
	finish := ""
	for _, e := range events(t, h.send(t, "POST", "/v1/chat/completions", chatWith(twoTools+`,"stream":true`)).body) {
		var chunk openai.ChatChunk
		if err := json.Unmarshal([]byte(e), &chunk); err != nil {
			t.Fatal(err)
		}
		for _, c := range chunk.Choices {
			parts = append(parts, c.Delta.ToolCalls...)
			if c.FinishReason != nil {
				finish = *c.FinishReason
			}
		}
	}
	if streamed := id.ReplaceAllString(string(openai.Encode(wholeCalls(parts))), ""); streamed != want || finish != "tool_calls" || len(parts) < 10 {
		t.Errorf("streamed %s in %d parts, %s", streamed, len(parts), finish)
	}
}

func TestToolsNotCalled(t *testing.T) {
	h := start(t, setup{runner: saying(`{"name": "add"} is what I would call`)})
	for _, choice := range []string{"", `,"tools":[{"type":"function","function":{"name":"other"}}]`, twoTools + `,"tool_choice":"none"`} {
		answer := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(choice)))
		if m := answer.Choices[0].Message; m.ToolCalls != nil || !strings.HasPrefix(m.Content, `{"name": "add"}`) || answer.Choices[0].FinishReason != "stop" {
			t.Errorf("%s: got %+v (%s)", choice, m, answer.Choices[0].FinishReason)
		}
	}
}

// A forced call follows the schema of its tool, whatever the model would say.
func TestToolCallsForced(t *testing.T) {
	h := start(t, setup{options: longContext})
	arguments := regexp.MustCompile(`^\{"a": ?[12], ?"b": ?(true|false)\}$`)
	for seed := range 8 {
		body := chatWith(twoTools + fmt.Sprintf(`,"seed":%d,"max_tokens":200,"tool_choice":{"type":"function","function":{"name":"add"}}`, seed))
		c := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", body)).Choices[0]
		if calls := c.Message.ToolCalls; len(calls) != 1 || calls[0].Function.Name != "add" || !arguments.MatchString(calls[0].Function.Arguments) || c.FinishReason != "stop" {
			t.Errorf("named: got %+v (%s)", c.Message, c.FinishReason)
		}
		body = chatWith(twoTools + fmt.Sprintf(`,"seed":%d,"max_tokens":300,"tool_choice":"required","parallel_tool_calls":%v`, seed, seed%2 == 0))
		c = decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", body)).Choices[0]
		if c.FinishReason == "length" {
			continue
		}
		if n := len(c.Message.ToolCalls); n < 1 || seed%2 == 1 && n > 1 || c.FinishReason != "tool_calls" {
			t.Errorf("required: got %+v (%s)", c.Message, c.FinishReason)
		}
		for _, call := range c.Message.ToolCalls {
			if call.Function.Name == "add" && !arguments.MatchString(call.Function.Arguments) {
				t.Errorf("required: got %+v", call)
			}
		}
	}
}

// Answers follow what was asked for, in both endpoints.
func TestStructuredOutput(t *testing.T) {
	h := start(t, setup{options: longContext})
	const schema = `{"type":"object","properties":{"kind":{"enum":["a","b"]},"n":{"type":"array","items":{"type":"integer","minimum":0,"maximum":9},"maxItems":3}},"required":["kind","n"],"additionalProperties":false}`
	for format, pattern := range map[string]string{
		`"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":` + schema + `}}`: `^\{"kind": ?"[ab]", ?"n": ?\[(\d(, ?\d){0,2})?\]\}$`,
		`"structured_outputs":{"json":` + schema + `}`:                                                `^\{"kind": ?"[ab]", ?"n": ?\[(\d(, ?\d){0,2})?\]\}$`,
		`"structured_outputs":{"regex":"[0-9]{3}-x?"}`:                                                `^[0-9]{3}-x?$`,
		`"structured_outputs":{"choice":["yes","no"]}`:                                                `^(yes|no)$`,
	} {
		want := regexp.MustCompile(pattern)
		for seed := range 4 {
			extra := fmt.Sprintf(`,"seed":%d,"max_tokens":200,%s`, seed, format)
			chat := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(extra)))
			text := decode[openai.CompletionAnswer](t, h.send(t, "POST", "/v1/completions", textWith(extra+`,"n":2`)))
			for _, got := range []string{chat.Choices[0].Message.Content, text.Choices[0].Text, text.Choices[1].Text} {
				if !want.MatchString(got) {
					t.Errorf("%s: got %q", format, got)
				}
			}
			if chat.Choices[0].FinishReason != "stop" {
				t.Errorf("%s: finish %s", format, chat.Choices[0].FinishReason)
			}
		}
	}
	object := decode[openai.CompletionAnswer](t, h.send(t, "POST", "/v1/completions", textWith(`,"max_tokens":400,"response_format":{"type":"json_object"}`)))
	if c := object.Choices[0]; *c.FinishReason == "stop" && !json.Valid([]byte(c.Text)) || !strings.HasPrefix(c.Text, "{") {
		t.Errorf("got %q", c.Text)
	}
}

func TestRefusedConstraints(t *testing.T) {
	h := start(t, setup{})
	for format, code := range map[string]string{
		`"structured_outputs":{"regex":"("}`:                                                                    "invalid_schema",
		`"structured_outputs":{"json":{"not":{}}}`:                                                              "unsupported_schema",
		`"structured_outputs":{"json":{"enum":[]}}`:                                                             "",
		`"structured_outputs":{"regex":"(a{1,900}){1,900}"}`:                                                    "",
		`"structured_outputs":{"choice":["a"]},"ignore_eos":true`:                                               "invalid_value",
		`"structured_outputs":{"choice":["a"]},"allowed_token_ids":[5]`:                                         "invalid_value",
		`"structured_outputs":{"json":{"$ref":"#"}}`:                                                            "",
		`"structured_outputs":{"json":{"type":"string","pattern":"(?<=a)b"}}`:                                   "",
		`"structured_outputs":{"json":{"type":"array","uniqueItems":true}}`:                                     "unsupported_schema",
		`"response_format":{"type":"json_schema","json_schema":{"name":"\u00e9","schema":{"type":"nonsense"}}}`: "invalid_schema",
	} {
		r := h.send(t, "POST", "/v1/completions", textWith(","+format))
		var e openai.Error
		if err := json.Unmarshal(r.body, &e); err != nil || r.status != 400 || e.Param == "" || code != "" && e.Code != code {
			t.Errorf("%s: got %d %s", format, r.status, r.body)
		}
	}
}

func TestMovedReferences(t *testing.T) {
	got := string(moved([]byte(`{"$ref": "#/$defs/a", "properties": {"$ref": {"$ref": "#"}, "b": {"const": "$ref", "enum": ["$ref", "#x"]}}, "x": "#y"}`), "#/$defs/t"))
	want := `{"$ref": "#/$defs/t/$defs/a", "properties": {"$ref": {"$ref": "#/$defs/t"}, "b": {"const": "$ref", "enum": ["$ref", "#x"]}}, "x": "#y"}`
	if got != want {
		t.Errorf("got %s", got)
	}
}
