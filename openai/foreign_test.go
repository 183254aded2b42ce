package openai

import (
	"reflect"
	"strings"
	"testing"
)

// decodeChat is how the other APIs' requests must look once they are read.
func decodeChat(t *testing.T, body string) *ChatRequest {
	t.Helper()
	q, err := DecodeChatRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func decodeResponses(t *testing.T, body string) *ResponsesRequest {
	t.Helper()
	q, err := DecodeResponsesRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func decodeMessages(t *testing.T, body string) *MessagesRequest {
	t.Helper()
	q, err := DecodeMessagesRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

const (
	chatTalk = `{"model":"m","temperature":0.5,"max_tokens":9,"messages":[{"role":"system","content":"be kind"},{"role":"user","content":"weather?"},
		{"role":"assistant","content":"I look","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}}]},
		{"role":"tool","tool_call_id":"c1","content":"rain"},{"role":"user","content":"and then?"}],
		"tools":[{"type":"function","function":{"name":"f","description":"looks","parameters":{"type":"object"}}}],"parallel_tool_calls":false,"tool_choice":`
	responsesTalk = `{"model":"m","temperature":0.5,"max_output_tokens":9,"instructions":"be kind","input":[{"role":"user","content":[{"type":"input_text","text":"wea"},
		{"type":"input_text","text":"ther?"}]},{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"I look"}]},
		{"type":"function_call","call_id":"c1","name":"f","arguments":"{\"x\": 1}"},{"type":"function_call_output","call_id":"c1","output":"rain"},
		{"type":"message","role":"user","content":"and then?"}],
		"tools":[{"type":"function","name":"f","description":"looks","parameters":{"type":"object"},"strict":true}],"parallel_tool_calls":false,"tool_choice":`
	messagesTalk = `{"model":"m","temperature":0.5,"max_tokens":9,"system":[{"type":"text","text":"be ","cache_control":{"type":"ephemeral"}},{"type":"text","text":"kind"}],
		"messages":[{"role":"user","content":"weather?"},{"role":"assistant","content":[{"type":"text","text":"I look"},{"type":"tool_use","id":"c1","name":"f","input":{"x": 1}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"rain"}]},{"type":"text","text":"and then?"}]}],
		"tools":[{"name":"f","description":"looks","input_schema":{"type":"object"}}],"tool_choice":{"disable_parallel_tool_use":true,`
)

// The same conversation becomes the same request, whichever API it came over.
func TestForeignRequestsBecomeChats(t *testing.T) {
	for chat, others := range map[string][2]string{
		`"auto"}`:     {`"auto"}`, `"type":"auto"}}`},
		`"none"}`:     {`"none"}`, `"type":"none"}}`},
		`"required"}`: {`"required"}`, `"type":"any"}}`},
		`{"type":"function","function":{"name":"f"}}}`: {`{"type":"function","name":"f"}}`, `"type":"tool","name":"f"}}`},
	} {
		want := decodeChat(t, chatTalk+chat)
		want.Tools[0].Raw = []byte(`{"type":"function","function":{"name":"f","description":"looks","parameters":{"type":"object"}}}`)
		if got := decodeResponses(t, responsesTalk+others[0]).ChatRequest; !reflect.DeepEqual(&got, want) {
			t.Errorf("responses: got  %+v\nwant %+v", got, *want)
		}
		if got := decodeMessages(t, messagesTalk+others[1]).ChatRequest; !reflect.DeepEqual(&got, want) {
			t.Errorf("messages: got  %+v\nwant %+v", got, *want)
		}
	}
}

func TestForeignDefaults(t *testing.T) {
	q := decodeResponses(t, `{"model":"m","input":"hi","store":true,"background":false,"truncation":"disabled","include":[],"tools":[],"tool_choice":"auto","n":1}`)
	if want := decodeChat(t, chatBody("")); q.MaxTokens != -1 || q.Choice != want.Choice || len(q.Messages) != 1 || q.Ignored != nil || q.Stream {
		t.Errorf("got %+v", q)
	}
	m := decodeMessages(t, `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"I am"}],"stop_sequences":["a","b"],
		"top_k":3,"metadata":{"user_id":"x"},"thinking":{"type":"disabled"},"tools":[]}`)
	if !m.ContinueFinalMessage || m.AddGenerationPrompt || len(m.Stop) != 2 || m.TopK != 3 || m.Ignored != nil {
		t.Errorf("got %+v", m)
	}
	m = decodeMessages(t, `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"tool_result","tool_use_id":"c"},{"type":"text","text":"b"}]}]}`)
	if want := []Message{{Role: "user", Content: "a"}, {Role: "tool", ToolCallID: "c"}, {Role: "user", Content: "b"}}; !reflect.DeepEqual(m.Messages, want) || m.ContinueFinalMessage {
		t.Errorf("got %+v", m.Messages)
	}
	if q, err := DecodeCountRequest([]byte(`{"model":"m","messages":[{"role":"user","content":"hi"}],"new_thing":1}`)); err != nil || len(q.Ignored) != 1 {
		t.Errorf("got %+v, %v", q, err)
	}
}

func TestTextFormats(t *testing.T) {
	for format, want := range map[string]Constraint{
		`{"type":"text"}`:        {},
		`{"type":"json_object"}`: {Kind: JSONObject, Param: "text.format"},
		`{"type":"json_schema","name":"x","schema":{"type":"object"},"strict":true}`: {Kind: JSONSchema, Param: "text.format", Schema: []byte(`{"type":"object"}`)},
	} {
		q := decodeResponses(t, `{"model":"m","input":"hi","text":{"verbosity":"low","format":`+format+`}}`)
		if !reflect.DeepEqual(q.Constraint, want) || string(q.Settings.Text.Format) != format {
			t.Errorf("%s: got %+v, repeated as %s", format, q.Constraint, q.Settings.Text.Format)
		}
	}
}

// badResponses and badMessages are members, or whole bodies, beside the parameter that the error must name and its code.
var badResponses = [][3]string{
	{`"previous_response_id":"resp_1"`, "previous_response_id", "unsupported_parameter"}, {`"conversation":"c"`, "conversation", "unsupported_parameter"},
	{`"background":true`, "background", "unsupported_parameter"}, {`"include":["reasoning.encrypted_content"]`, "include", "unsupported_parameter"},
	{`"truncation":"auto"`, "truncation", "unsupported_parameter"}, {`"reasoning":{"effort":"high"}`, "reasoning", "unsupported_parameter"},
	{`"prompt":{"id":"p"}`, "prompt", "unsupported_parameter"}, {`"top_logprobs":3`, "top_logprobs", "unsupported_parameter"}, {`"n":2`, "n", "unsupported_parameter"},
	{`"response_format":{"type":"text"}`, "response_format", "unsupported_parameter"}, {`"return_token_ids":true`, "return_token_ids", "unsupported_parameter"},
	{`"tools":[{"type":"web_search"}]`, "tools[0].type", "invalid_value"}, {`"tools":[{"type":"function"}]`, "tools[0].name", "missing_required_parameter"},
	{`"tools":[{"name":"f"}]`, "tools[0].type", "missing_required_parameter"}, {`"tool_choice":{"type":"function"}`, "tool_choice.name", "missing_required_parameter"},
	{`"tool_choice":"required"`, "tool_choice", "invalid_value"}, {`"tool_choice":{"type":"file_search"}`, "tool_choice.type", "invalid_value"},
	{`"text":{"format":{"type":"xml"}}`, "text.format", "invalid_value"}, {`"text":{"format":{}}`, "text.format.type", "missing_required_parameter"},
	{`"text":{"format":{"type":"json_schema","name":"x"}}`, "text.format.schema", "missing_required_parameter"},
	{`"text":{"format":{"type":"json_schema","schema":{}}}`, "text.format.name", "missing_required_parameter"}, {`"text":{"verbosity":"loud"}`, "text.verbosity", "invalid_value"},
	{`"text":{"format":{"type":"json_object"}},"tools":[{"type":"function","name":"f"}],"tool_choice":"required"`, "tool_choice", "invalid_value"},
	{`"metadata":{"a":1}`, "metadata.a", "invalid_type"}, {`"metadata":{"a":"` + strings.Repeat("x", 513) + `"}`, "metadata.a", "string_above_max_length"},
	{`"max_output_tokens":0`, "max_output_tokens", "integer_below_min_value"}, {`"temperature":3`, "temperature", "decimal_above_max_value"},
	{`"stream_options":{"include_obfuscation":true}`, "stream_options", "invalid_value"}, {`"input":[]`, "input", "empty_array"}, {`"input":7`, "input", "invalid_type"},
	{`"input":[{"role":"user"}]`, "input[0].content", "missing_required_parameter"}, {`"input":[{"content":"x"}]`, "input[0].role", "missing_required_parameter"},
	{`"input":[{"role":"tool","content":"x"}]`, "input[0].role", "invalid_value"}, {`"input":[{"type":"reasoning","summary":[]}]`, "input[0].type", "unsupported_content"},
	{`"input":[{"role":"user","content":[{"type":"input_image","image_url":"http://x"}]}]`, "input[0].content[0]", "unsupported_content"},
	{`"input":[{"type":"function_call","name":"f","arguments":"{}"}]`, "input[0].call_id", "missing_required_parameter"},
	{`"input":[{"type":"function_call_output","call_id":"c"}]`, "input[0].output", "missing_required_parameter"},
	{`"input":null`, "input", "missing_required_parameter"},
}

var badMessages = [][3]string{
	{`"max_tokens":null`, "max_tokens", "missing_required_parameter"}, {`"max_tokens":0`, "max_tokens", "integer_below_min_value"}, {`"temperature":1.5`, "temperature", "decimal_above_max_value"},
	{`"top_k":-1`, "top_k", "integer_below_min_value"}, {`"thinking":{"type":"enabled","budget_tokens":1024}`, "thinking", "unsupported_parameter"},
	{`"thinking":{}`, "thinking.type", "missing_required_parameter"}, {`"stop":["a"]`, "stop", "unsupported_parameter"}, {`"stop_sequences":[""]`, "stop_sequences[0]", "string_below_min_length"},
	{`"stop_sequences":"a"`, "stop_sequences", "invalid_type"}, {`"mcp_servers":[{}]`, "mcp_servers", "unsupported_parameter"}, {`"n":2`, "n", "unsupported_parameter"},
	{`"tools":[{"type":"bash_20250124","name":"bash"}]`, "tools[0].type", "invalid_value"}, {`"tools":[{"name":"f"}]`, "tools[0].input_schema", "missing_required_parameter"},
	{`"tools":[{"input_schema":{}}]`, "tools[0].name", "missing_required_parameter"}, {`"tools":[{"name":"f","input_schema":7}]`, "tools[0].input_schema", "invalid_type"},
	{`"tool_choice":{"type":"any"}`, "tool_choice", "invalid_value"}, {`"tool_choice":{"type":"tool"}`, "tool_choice.name", "missing_required_parameter"},
	{`"tool_choice":"auto"`, "tool_choice", "invalid_type"}, {`"tool_choice":{}`, "tool_choice.type", "missing_required_parameter"}, {`"messages":[]`, "messages", "empty_array"},
	{`"messages":null`, "messages", "missing_required_parameter"}, {`"messages":[{"role":"system","content":"x"}]`, "messages[0].role", "invalid_value"},
	{`"messages":[{"role":"user"}]`, "messages[0].content", "missing_required_parameter"}, {`"messages":[{"content":"x"}]`, "messages[0].role", "missing_required_parameter"},
	{`"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"http://x"}}]}]`, "messages[0].content[0]", "unsupported_content"},
	{`"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":[{"type":"image"}]}]}]`, "messages[0].content[0].content[0]", "unsupported_content"},
	{`"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"x"}]}]`, "messages[0].content[0]", "unsupported_content"},
	{`"messages":[{"role":"user","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]}]`, "messages[0]", "invalid_value"},
	{`"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":[]}]}]`, "messages[0].content[0].input", "invalid_type"},
	{`"messages":[{"role":"assistant","content":[{"type":"tool_use","name":"f","input":{}}]}]`, "messages[0].content[0].id", "missing_required_parameter"},
	{`"messages":[{"role":"user","content":[{"type":"tool_result"}]}]`, "messages[0].content[0].tool_use_id", "missing_required_parameter"},
	{`"messages":[{"role":"user","content":[{"text":"x"}]}]`, "messages[0].content[0].type", "missing_required_parameter"},
	{`"system":[{"type":"image"}]`, "system[0]", "unsupported_content"}, {`"chat_template_kwargs":7`, "chat_template_kwargs", "invalid_type"},
}

// withMember is a good body in which one member is another.
func withMember(good, member string) string {
	name, _, _ := strings.Cut(member, ":")
	for _, m := range []string{`"input":"hi"`, `"max_tokens":5`, `"messages":[{"role":"user","content":"hi"}]`} {
		if strings.HasPrefix(m, name+":") {
			return strings.Replace(good, m, member, 1)
		}
	}
	return good[:len(good)-1] + "," + member + "}"
}

const (
	goodResponse = `{"model":"m","input":"hi"}`
	goodMessage  = `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}`
)

// What is not there, or not right, is refused by its name.
func TestForeignRefusals(t *testing.T) {
	check := func(member, param, code string, err *Error) {
		t.Helper()
		if err == nil || err.Status != 400 || err.Param != param || err.Code != code {
			t.Errorf("%s: got %+v; want %s about %s", member, err, code, param)
		}
	}
	for _, c := range badResponses {
		_, err := DecodeResponsesRequest([]byte(withMember(goodResponse, c[0])))
		check(c[0], c[1], c[2], err)
	}
	for _, c := range badMessages {
		_, err := DecodeMessagesRequest([]byte(withMember(goodMessage, c[0])))
		check(c[0], c[1], c[2], err)
	}
}

// Every parameter that is read has a schema of its API, and no other has.
func TestForeignSchemasNameTheParameters(t *testing.T) {
	for name := range shared(responsesSchemas, responsesUnsupported) {
		body := strings.Replace(goodResponse, `"`+name+`":"`, `"other":"`, 1)
		if _, err := DecodeResponsesRequest([]byte(withMember(body, `"`+name+`":[3.5]`))); err == nil || !strings.HasPrefix(err.Param, name) {
			t.Errorf("/v1/responses does not read %s: %v", name, err)
		}
	}
	for name := range shared(messagesSchemas, messagesUnsupported) {
		body := strings.Replace(goodMessage, `"`+name+`":"`, `"other":"`, 1)
		if _, err := DecodeMessagesRequest([]byte(withMember(body, `"`+name+`":[3.5]`))); err == nil || !strings.HasPrefix(err.Param, name) {
			t.Errorf("/v1/messages does not read %s: %v", name, err)
		}
	}
}

// Errors have Anthropic's types, by their status.
func TestMessageErrors(t *testing.T) {
	for want, err := range map[string]*Error{
		"invalid_request_error": missing("x"), "authentication_error": InvalidAPIKey(), "permission_error": InsufficientScope("admin", ""),
		"not_found_error": ModelNotFound("x", nil), "request_too_large": BodyTooLarge(1), "rate_limit_error": RateLimited("x"), "api_error": Internal("x"),
		"overloaded_error": Unavailable("x"), "timeout_error": TimedOut(1),
	} {
		if got := NewMessageError(err, "id"); got.Error.Type != want || got.Error.Message != err.Message {
			t.Errorf("%v: got %+v; want %s", err, got, want)
		}
	}
	if got, want := string(Encode(NewMessageError(&Error{Status: 405, Message: "m"}, ""))), `{"type":"error","error":{"type":"invalid_request_error","message":"m"},"request_id":null}`; got != want {
		t.Errorf("got %s", got)
	}
}
