package openai

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

// chatBody wraps extra members into a minimal good chat request.
func chatBody(extra string) string {
	return `{"model":"m","messages":[{"role":"user","content":"hi"}]` + extra + `}`
}

// promptBody is the same for text completions.
func promptBody(extra string) string { return `{"model":"m","prompt":"hi"` + extra + `}` }

func TestChatDefaults(t *testing.T) {
	q, err := DecodeChatRequest([]byte(chatBody("")))
	if err != nil {
		t.Fatal(err)
	}
	want := &ChatRequest{Options: defaultOptions(), Messages: []Message{{Role: "user", Content: "hi"}}, Rendering: Rendering{AddGenerationPrompt: true},
		Tooling: Tooling{Choice: ToolChoice{Mode: ToolsNone}, ParallelCall: true}}
	want.Model = "m"
	if !reflect.DeepEqual(q, want) {
		t.Errorf("got %+v; want %+v", q, want)
	}
}

func TestChatAllParameters(t *testing.T) {
	q, err := DecodeChatRequest([]byte(`{"model":"m","messages":[{"role":"system","content":"s","name":null},
		{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"assistant","content":"c","refusal":null}],
		"temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.05,"presence_penalty":-2,"frequency_penalty":2,"repetition_penalty":1.1,
		"logit_bias":{"5":-100,"6":1},"seed":-7,"n":4,"max_completion_tokens":9,"max_tokens":9,"min_tokens":2,"stop":["x","y"],
		"stop_token_ids":[1,2],"include_stop_str_in_output":true,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true},
		"return_token_ids":true,"logprobs":true,"top_logprobs":3,"user":"u","metadata":{"a":"b"},"response_format":{"type":"text"}}`))
	if err != nil {
		t.Fatal(err)
	}
	seed := int64(-7)
	want := &ChatRequest{Messages: []Message{{Role: "system", Content: "s"}, {Role: "user", Content: "ab"}, {Role: "assistant", Content: "c"}}, Logprobs: true, TopLogprobs: 3,
		Rendering: Rendering{AddGenerationPrompt: true}, Tooling: Tooling{Choice: ToolChoice{Mode: ToolsNone}, ParallelCall: true},
		Options: Options{PromptLogprobs: -1, Model: "m", Temperature: 0.5, TopP: 0.9, TopK: 40, MinP: 0.05, PresencePenalty: -2, FrequencyPenalty: 2,
			RepetitionPenalty: 1.1, LogitBias: map[int32]float64{5: -100, 6: 1}, Seed: &seed, N: 4, MaxTokens: 9, MinTokens: 2,
			Stop: []string{"x", "y"}, StopTokenIDs: []int32{1, 2}, IncludeStop: true, IgnoreEOS: true, Stream: true, IncludeUsage: true,
			ReturnTokenIDs: true, Metadata: map[string]string{"a": "b"}, User: "u", streamOptions: true}}
	if !reflect.DeepEqual(q, want) {
		t.Errorf("got %+v\nwant %+v", q, want)
	}
}

func TestPromptForms(t *testing.T) {
	for form, want := range map[string][]Prompt{
		`"ab"`:        {{Text: "ab"}},
		`["a","b"]`:   {{Text: "a"}, {Text: "b"}},
		`[1,2]`:       {{IDs: []int32{1, 2}}},
		`[[1],[2,3]]`: {{IDs: []int32{1}}, {IDs: []int32{2, 3}}},
		`""`:          {{}},
	} {
		q, err := DecodeCompletionRequest([]byte(`{"model":"m","prompt":` + form + `}`))
		if err != nil || !reflect.DeepEqual(q.Prompts, want) {
			t.Errorf("prompt %s: got %+v, %v; want %+v", form, q, err, want)
		}
	}
}

// Every optional parameter may be null, which is the same as leaving it out.
func TestNullIsDefault(t *testing.T) {
	names := []string{"logprobs", "echo", "best_of", "max_tokens", "response_format", "user", "unknown_thing"}
	for name := range unsupported {
		names = append(names, name)
	}
	for name := range optionFields {
		if name != "model" {
			names = append(names, name)
		}
	}
	for _, name := range names {
		got, err := DecodeCompletionRequest([]byte(promptBody(`,"` + name + `":null`)))
		want, _ := DecodeCompletionRequest([]byte(promptBody("")))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: null gave %+v, %v", name, got, err)
		}
	}
}

// badOptions holds members that no endpoint takes, with the param and code of the answer.
var badOptions = []struct{ member, param, code string }{
	{`"temperature":-0.1`, "temperature", "decimal_below_min_value"},
	{`"temperature":2.1`, "temperature", "decimal_above_max_value"},
	{`"temperature":1e999`, "temperature", "invalid_value"},
	{`"temperature":"1"`, "temperature", "invalid_type"},
	{`"temperature":[1]`, "temperature", "invalid_type"},
	{`"top_p":0`, "top_p", "decimal_below_min_value"},
	{`"top_p":1.01`, "top_p", "decimal_above_max_value"},
	{`"top_k":-2`, "top_k", "integer_below_min_value"},
	{`"top_k":1.5`, "top_k", "invalid_type"},
	{`"min_p":1.5`, "min_p", "decimal_above_max_value"},
	{`"presence_penalty":2.5`, "presence_penalty", "decimal_above_max_value"},
	{`"frequency_penalty":-2.5`, "frequency_penalty", "decimal_below_min_value"},
	{`"repetition_penalty":0`, "repetition_penalty", "decimal_below_min_value"},
	{`"n":0`, "n", "integer_below_min_value"},
	{`"n":129`, "n", "integer_above_max_value"},
	{`"n":9223372036854775808`, "n", "invalid_type"},
	{`"max_tokens":-1`, "max_tokens", "integer_below_min_value"},
	{`"max_tokens":5,"min_tokens":6`, "min_tokens", "invalid_value"},
	{`"seed":9223372036854775808`, "seed", "invalid_type"},
	{`"stop":""`, "stop", "string_below_min_length"},
	{`"stop":["a",""]`, "stop[1]", "string_below_min_length"},
	{`"stop":["a","b","c","d","e"]`, "stop", "array_above_max_length"},
	{`"stop":[1]`, "stop[0]", "invalid_type"},
	{`"stop":{"a":1}`, "stop", "invalid_type"},
	{`"stop_token_ids":[-1]`, "stop_token_ids[0]", "integer_below_min_value"},
	{`"stop_token_ids":[2147483648]`, "stop_token_ids[0]", "integer_above_max_value"},
	{`"logit_bias":{"a":1}`, "logit_bias.a", "invalid_value"},
	{`"logit_bias":{"01":1}`, "logit_bias.01", "invalid_value"},
	{`"logit_bias":{"1":101}`, "logit_bias.1", "decimal_above_max_value"},
	{`"logit_bias":[1]`, "logit_bias", "invalid_type"},
	{`"stream":"true"`, "stream", "invalid_type"},
	{`"stream_options":{}`, "stream_options", "invalid_value"},
	{`"stream":true,"stream_options":{"continuous_usage_stats":1}`, "stream_options.continuous_usage_stats", "invalid_type"},
	{`"response_format":{}`, "response_format.type", "missing_required_parameter"},
	{`"response_format":{"type":"xml"}`, "response_format", "invalid_value"},
	{`"response_format":{"type":"json_schema"}`, "response_format.json_schema", "missing_required_parameter"},
	{`"response_format":{"type":"json_schema","json_schema":{"schema":{}}}`, "response_format.json_schema.name", "missing_required_parameter"},
	{`"response_format":{"type":"json_object"},"structured_outputs":{"regex":"a"}`, "structured_outputs.regex", "invalid_value"},
	{`"structured_outputs":{"choice":[]}`, "structured_outputs.choice", "empty_array"},
	{`"structured_outputs":{"grammar":"root ::= x"}`, "structured_outputs.grammar", "unsupported_parameter"},
	{`"prompt_logprobs":21`, "prompt_logprobs", "integer_above_max_value"},
	{`"prompt_logprobs":1,"stream":true`, "prompt_logprobs", "invalid_value"},
	{`"allowed_token_ids":[]`, "allowed_token_ids", "empty_array"},
	{`"cache_salt":""`, "cache_salt", "invalid_value"},
	{`"cache_salt":"a@b"`, "cache_salt", "invalid_value"},
	{`"request_id":"a b"`, "request_id", "invalid_value"},
	{`"priority":1048577`, "priority", "integer_above_max_value"},
	{`"truncate_prompt_tokens":0`, "truncate_prompt_tokens", "integer_below_min_value"},
	{`"guided_json":{}`, "guided_json", "unsupported_parameter"},
	{`"temperature":1,"temperature":1`, "temperature", "duplicate_parameter"},
	{`"metadata":{"a":"1","a":"2"}`, "metadata.a", "duplicate_parameter"},
	{`"model":7`, "model", "duplicate_parameter"},
}

func TestBadOptions(t *testing.T) {
	for _, c := range badOptions {
		_, chat := DecodeChatRequest([]byte(chatBody("," + c.member)))
		_, text := DecodeCompletionRequest([]byte(promptBody("," + c.member)))
		for _, err := range []*Error{chat, text} {
			if err == nil || err.Status != 400 || err.Param != c.param || err.Code != c.code {
				t.Errorf("%s: got %+v; want param %q, code %q", c.member, err, c.param, c.code)
			}
		}
	}
}

func TestBadChat(t *testing.T) {
	message := func(m string) string { return `{"model":"m","messages":[` + m + `]}` }
	for _, c := range []struct{ body, param, code string }{
		{`{"messages":[{"role":"user","content":"a"}]}`, "model", "missing_required_parameter"},
		{`{"model":"","messages":[{"role":"user","content":"a"}]}`, "model", "missing_required_parameter"},
		{`{"model":"m"}`, "messages", "missing_required_parameter"},
		{`{"model":"m","messages":[]}`, "messages", "empty_array"},
		{message(`"a"`), "messages[0]", "invalid_type"},
		{message(`{"content":"a"}`), "messages[0].role", "missing_required_parameter"},
		{message(`{"role":"user"}`), "messages[0].content", "missing_required_parameter"},
		{message(`{"role":"user","content":null}`), "messages[0].content", "missing_required_parameter"},
		{message(`{"role":"pirate","content":"a"}`), "messages[0].role", "invalid_value"},
		{message(`{"role":"tool","content":"a"}`), "messages[0].tool_call_id", "missing_required_parameter"},
		{message(`{"role":"assistant","content":"a","tool_calls":[{}]}`), "messages[0].tool_calls[0].function", "missing_required_parameter"},
		{message(`{"role":"assistant","tool_calls":[]}`), "messages[0].content", "missing_required_parameter"},
		{message(`{"role":"assistant","tool_calls":[{"type":"x"}]}`), "messages[0].tool_calls[0].type", "invalid_value"},
		{message(`{"role":"assistant","tool_calls":[{"function":{"arguments":"{}"}}]}`), "messages[0].tool_calls[0].function.name", "missing_required_parameter"},
		{message(`{"role":"user","content":"a","tool_calls":[{"function":{"name":"f","arguments":""}}]}`), "messages[0].tool_calls", "invalid_value"},
		{chatBody(`,"tools":[]`), "tools", "empty_array"},
		{chatBody(`,"tools":[{}]`), "tools[0].type", "missing_required_parameter"},
		{chatBody(`,"tools":[{"type":"function"}]`), "tools[0].function", "missing_required_parameter"},
		{chatBody(`,"tools":[{"type":"retrieval"}]`), "tools[0].type", "invalid_value"},
		{chatBody(`,"tools":[{"type":"function","function":{"name":"a b"}}]`), "tools[0].function.name", "invalid_value"},
		{chatBody(`,"tools":[{"type":"function","function":{"name":"a","parameters":[]}}]`), "tools[0].function.parameters", "invalid_type"},
		{chatBody(`,"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"a"}}]`), "tools", "invalid_value"},
		{chatBody(`,"tool_choice":"auto"`), "tool_choice", "invalid_value"},
		{chatBody(`,"tool_choice":"any"`), "tool_choice", "invalid_value"},
		{chatBody(`,"tool_choice":{"type":"function"}`), "tool_choice.function.name", "missing_required_parameter"},
		{chatBody(`,"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":{"type":"function","function":{"name":"b"}}`), "tool_choice", "invalid_value"},
		{chatBody(`,"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"required","response_format":{"type":"json_object"}`), "tool_choice", "invalid_value"},
		{chatBody(`,"add_generation_prompt":true,"continue_final_message":true`), "continue_final_message", "invalid_value"},
		{chatBody(`,"chat_template_kwargs":[]`), "chat_template_kwargs", "invalid_type"},
		{chatBody(`,"chat_template":"x"`), "chat_template", "unsupported_parameter"},
		{message(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://x"}}]}`), "messages[0].content[0]", "unsupported_content"},
		{message(`{"role":"user","content":[{"text":"a"}]}`), "messages[0].content[0].type", "missing_required_parameter"},
		{message(`{"role":"user","content":[{"type":"text"}]}`), "messages[0].content[0].text", "missing_required_parameter"},
		{chatBody(`,"logprobs":1`), "logprobs", "invalid_type"},
		{chatBody(`,"top_logprobs":1`), "top_logprobs", "invalid_value"},
		{chatBody(`,"logprobs":true,"top_logprobs":21`), "top_logprobs", "integer_above_max_value"},
		{chatBody(`,"max_tokens":0`), "max_tokens", "integer_below_min_value"},
		{chatBody(`,"max_tokens":1,"max_completion_tokens":2`), "max_tokens", "invalid_value"},
	} {
		if _, err := DecodeChatRequest([]byte(c.body)); err == nil || err.Param != c.param || err.Code != c.code {
			t.Errorf("%s: got %+v; want param %q, code %q", c.body, err, c.param, c.code)
		}
	}
}

func TestBadCompletion(t *testing.T) {
	many := strings.Repeat(`"a",`, MaxPrompts)
	for _, c := range []struct{ body, param, code string }{
		{`{"model":"m"}`, "prompt", "missing_required_parameter"},
		{`{"model":"m","prompt":[]}`, "prompt", "empty_array"},
		{`{"model":"m","prompt":[[]]}`, "prompt[0]", "empty_array"},
		{`{"model":"m","prompt":[1,"a"]}`, "prompt[1]", "invalid_type"},
		{`{"model":"m","prompt":["a",1]}`, "prompt[1]", "invalid_type"},
		{`{"model":"m","prompt":[[1],[-1]]}`, "prompt[1][0]", "integer_below_min_value"},
		{`{"model":"m","prompt":{}}`, "prompt", "invalid_type"},
		{`{"model":"m","prompt":[` + many + `"a"]}`, "prompt", "array_above_max_length"},
		{`{"model":"m","prompt":[` + many[:4*9-1] + `],"n":128}`, "n", "invalid_value"},
		{promptBody(`,"max_tokens":0`), "max_tokens", "integer_below_min_value"},
		{promptBody(`,"max_tokens":0,"echo":true,"n":2`), "n", "invalid_value"},
		{promptBody(`,"logprobs":true`), "logprobs", "invalid_type"},
		{promptBody(`,"logprobs":21`), "logprobs", "integer_above_max_value"},
		{promptBody(`,"best_of":2`), "best_of", "unsupported_parameter"},
		{promptBody(`,"suffix":"x"`), "suffix", "unsupported_parameter"},
	} {
		if _, err := DecodeCompletionRequest([]byte(c.body)); err == nil || err.Param != c.param || err.Code != c.code {
			t.Errorf("%.80s: got %+v; want param %q, code %q", c.body, err, c.param, c.code)
		}
	}
}

// What is not one JSON object is refused, with a message and without a param.
func TestBadJSON(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)
	for _, body := range []string{
		"", " ", "[]", `"x"`, "1", "null", "{", "{]", `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1}x`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`,
		`{"a":+1}`, `{"a":NaN}`, `{"a":Infinity}`, `{"a":tru}`, `{"a":"\x"}`, `{"a":"\ud800"}`, `{"a":"\ud800\u0041"}`, `{"a":"\u12"}`,
		"{\"a\":\"\n\"}", "{\"a\":\"\xff\"}", "\xef\xbb\xbf{}", `{'a':1}`, `{"a":1 "b":2}`, `{"a":[1 2]}`, `{"a":"`, `{"a":` + deep + `}`,
	} {
		for _, err := range decodeBoth([]byte(body)) {
			if err == nil || err.Status != 400 || err.Message == "" {
				t.Errorf("%q: got %+v; want a 400", body, err)
			}
		}
	}
}

func decodeBoth(body []byte) [2]*Error {
	_, chat := DecodeChatRequest(body)
	_, text := DecodeCompletionRequest(body)
	return [2]*Error{chat, text}
}

func TestIgnoredParameters(t *testing.T) {
	q, err := DecodeChatRequest([]byte(`{"model":"m","messages":[{"role":"user","content":"a","mood":1}],"Temperature":9,"x\r\ny":1,"user":"u"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"messages[0].mood", "Temperature", "x??y"}
	if !reflect.DeepEqual(q.Ignored, want) || q.Temperature != 1 {
		t.Errorf("got %q, temperature %v; want %q, 1", q.Ignored, q.Temperature, want)
	}
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, `,"p%d":1`, i)
	}
	if q, err = DecodeChatRequest([]byte(chatBody(many.String()))); err != nil || len(q.Ignored) != maxIgnored {
		t.Errorf("got %d ignored names, %v; want %d", len(q.Ignored), err, maxIgnored)
	}
}

// Whole numbers may be written as decimals; Go's and JSON's spellings of extreme values are read exactly.
func TestNumbers(t *testing.T) {
	for literal, want := range map[string]int64{"0": 0, "-0": 0, "2.0": 2, "2e1": 20, "-9223372036854775808": math.MinInt64,
		"9223372036854775807": math.MaxInt64, "9007199254740992.0": 1 << 53} {
		q, err := DecodeChatRequest([]byte(chatBody(`,"seed":` + literal)))
		if err != nil || *q.Seed != want {
			t.Errorf("seed %s: got %v; want %d", literal, err, want)
		}
	}
}

func TestEscapes(t *testing.T) {
	q, err := DecodeCompletionRequest([]byte(`{"model":"m","prompt":"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\u0000é😀"}`))
	if want := "a\"\\/\b\f\n\r\té😀\x00é😀"; err != nil || q.Prompts[0].Text != want {
		t.Errorf("got %+v, %v; want %q", q, err, want)
	}
}

func TestChatWithTools(t *testing.T) {
	const tool = `{"type":"function","function":{"name":"add","description":"adds","strict":true,"parameters":{"type":"object"}}}`
	q, err := DecodeChatRequest([]byte(`{"model":"m","tools":[` + tool + `],"tool_choice":{"type":"function","function":{"name":"add"}},"parallel_tool_calls":false,
		"messages":[{"role":"user","content":"1+1","name":"me"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",
		"function":{"name":"add","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"2"}],
		"continue_final_message":true,"chat_template_kwargs":{"a":[1]}}`))
	if err != nil {
		t.Fatal(err)
	}
	messages := []Message{{Role: "user", Content: "1+1", Name: "me"},
		{Role: "assistant", NoContent: true, ToolCalls: []ToolCall{{ID: "c1", Type: "function", Function: FunctionCall{"add", `{"a":1}`}}}},
		{Role: "tool", Content: "2", ToolCallID: "c1"}}
	tooling := Tooling{Tools: []Tool{{"add", []byte(`{"type":"object"}`), []byte(tool)}}, Choice: ToolChoice{ToolsNamed, "add"}}
	rendering := Rendering{ContinueFinalMessage: true, Kwargs: []byte(`{"a":[1]}`)}
	if !reflect.DeepEqual(q.Messages, messages) || !reflect.DeepEqual(q.Tooling, tooling) || !reflect.DeepEqual(q.Rendering, rendering) {
		t.Errorf("got %+v", q)
	}
}

func TestConstraints(t *testing.T) {
	for member, want := range map[string]Constraint{
		`"response_format":{"type":"text"}`:        {},
		`"response_format":{"type":"json_object"}`: {Kind: JSONObject, Param: "response_format"},
		`"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"null"}}}`: {Kind: JSONSchema, Param: "response_format", Schema: []byte(`{"type":"null"}`)},
		`"response_format":{"type":"json_schema","json_schema":{"name":"n"}}`:                                        {Kind: JSONSchema, Param: "response_format", Schema: []byte(`{}`)},
		`"structured_outputs":{"json":true}`:                                                                         {Kind: JSONSchema, Param: "structured_outputs.json", Schema: []byte(`true`)},
		`"structured_outputs":{"regex":"a+","json":null}`:                                                            {Kind: Regex, Param: "structured_outputs.regex", Pattern: "a+"},
		`"structured_outputs":{"choice":["a","b"]}`:                                                                  {Kind: Choice, Param: "structured_outputs.choice", Choices: []string{"a", "b"}},
		`"structured_outputs":{"json_object":true}`:                                                                  {Kind: JSONObject, Param: "structured_outputs.json_object"},
		`"structured_outputs":{"json_object":false}`:                                                                 {},
	} {
		chat, bad := DecodeChatRequest([]byte(chatBody("," + member)))
		text, worse := DecodeCompletionRequest([]byte(promptBody("," + member)))
		if bad != nil || worse != nil || !reflect.DeepEqual(chat.Constraint, want) || !reflect.DeepEqual(text.Constraint, want) {
			t.Errorf("%s: got %+v, %v; want %+v", member, chat, bad, want)
		}
	}
}

func TestTokenizeRequests(t *testing.T) {
	q, err := DecodeTokenizeRequest([]byte(`{"messages":[{"role":"user","content":"a"}],"add_generation_prompt":false,"return_token_strs":true}`))
	if err != nil || q.Text != nil || len(q.Messages) != 1 || q.AddGenerationPrompt || !q.Strings {
		t.Errorf("got %+v, %v", q, err)
	}
	q, err = DecodeTokenizeRequest([]byte(`{"prompt":"","add_special_tokens":false}`))
	if err != nil || q.Text == nil || q.AddSpecial {
		t.Errorf("got %+v, %v", q, err)
	}
	for body, param := range map[string]string{`{}`: "prompt", `{"prompt":"a","messages":[{"role":"user","content":"a"}]}`: "messages", `{"prompt":["a"]}`: "prompt"} {
		if _, err := DecodeTokenizeRequest([]byte(body)); err == nil || err.Param != param {
			t.Errorf("%s: got %v; want an error about %s", body, err, param)
		}
	}
	ids, err := DecodeDetokenizeRequest([]byte(`{"tokens":[1,2]}`))
	if err != nil || len(ids.Tokens) != 2 {
		t.Errorf("got %+v, %v", ids, err)
	}
	for body, param := range map[string]string{`{}`: "tokens", `{"tokens":[-1]}`: "tokens[0]", `{"tokens":"a"}`: "tokens"} {
		if _, err := DecodeDetokenizeRequest([]byte(body)); err == nil || err.Param != param {
			t.Errorf("%s: got %v; want an error about %s", body, err, param)
		}
	}
}
