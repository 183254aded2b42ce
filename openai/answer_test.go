package openai

import (
	"encoding/json"
	"math"
	"testing"
)

// goldens are answers beside the exact bytes that they must become: required fields are present even where they are null.
func goldens() map[string]any {
	stop, text, u := "stop", "Hi <é>", Usage{PromptTokens: 3, CompletionTokens: 2, TotalTokens: 5, PromptDetails: PromptDetails{CachedTokens: 1}}
	chunk := func(c ...ChunkChoice) ChatChunk {
		return ChatChunk{ID: "chatcmpl-1", Object: ChunkObject, Created: 7, Model: "m", ServiceTier: "default", SystemFingerprint: "fp", Choices: c}
	}
	usageNull, usageLast := chunk(ChunkChoice{Delta: Delta{Content: &text}}), chunk([]ChunkChoice{}...)
	usageNull.Usage, usageLast.Usage = StreamUsage{Wanted: true}, StreamUsage{Wanted: true, Value: &u}
	usageLast.Choices = []ChunkChoice{}
	prob := Logprob(-0.25)
	lists := NewCompletionLogprobs()
	lists.Append("a", nil, nil, 0)
	lists.Append("b", &prob, Top{{Token: "b", Logprob: -0.25}, {Token: "a", Logprob: -1.5}, {Token: "b", Logprob: -3}}, 1)
	one := TokenLogprob{"H", -0.5, []int{72}}
	const head = `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"m","service_tier":"default","system_fingerprint":"fp",`
	const counts = `{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":1}}`
	return map[string]any{
		head + `"choices":[{"index":1,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}`: chunk(ChunkChoice{Index: 1, Delta: FirstDelta()}),
		head + `"choices":[{"index":0,"delta":{"content":"Hi <é>"},"logprobs":null,"finish_reason":null}],"usage":null}`:                usageNull,
		head + `"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}`:                                             chunk(ChunkChoice{FinishReason: &stop}),
		head + `"choices":[],"usage":` + counts + `}`:                                                                                   usageLast,
		`{"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi <é>","refusal":null},"logprobs":{"content":[{"token":"H","logprob":-0.5,"bytes":[72],"top_logprobs":[{"token":"H","logprob":-0.5,"bytes":[72]}]}],"refusal":null},"finish_reason":"length","token_ids":[4]}],"usage":` + counts + `,"service_tier":"default","system_fingerprint":"fp","prompt_token_ids":[1,2,3]}`: ChatAnswer{
			ID: "chatcmpl-1", Object: ChatObject, Created: 7, Model: "m", ServiceTier: "default", SystemFingerprint: "fp", Usage: u, PromptTokenIDs: []int32{1, 2, 3},
			Choices: []ChatChoice{{Message: AnswerMessage{Role: "assistant", Content: text}, FinishReason: "length", TokenIDs: []int32{4},
				Logprobs: &ChatLogprobs{Content: []ChatLogprob{{one, []TokenLogprob{one}}}}}}},
		`{"id":"cmpl-1","object":"text_completion","created":7,"model":"m","choices":[{"index":0,"text":"ab","logprobs":{"tokens":["a","b"],"token_logprobs":[null,-0.25],"top_logprobs":[null,{"b":-0.25,"a":-1.5}],"text_offset":[0,1]},"finish_reason":"stop"}],"usage":` + counts + `,"system_fingerprint":"fp"}`: CompletionAnswer{
			ID: "cmpl-1", Object: CompletionObject, Created: 7, Model: "m", SystemFingerprint: "fp", Usage: StreamUsage{Wanted: true, Value: &u},
			Choices: []CompletionChoice{{Text: "ab", Logprobs: lists, FinishReason: &stop}}},
		`{"error":{"message":"Missing required parameter: 'model'.","type":"invalid_request_error","param":"model","code":"missing_required_parameter"}}`: missing("model"),
		`{"error":{"message":"x","type":"server_error","param":null,"code":null}}`:                                                                        &Error{Message: "x", Type: TypeServer},
	}
}

func TestGoldens(t *testing.T) {
	for want, answer := range goldens() {
		if got := string(Encode(answer)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestTokenText(t *testing.T) {
	for token, want := range map[string]string{"é": "é", "": "", "\xe2\x80": `bytes:\xe2\x80`, "a\x0f\xff": `bytes:\x61\x0f\xff`} {
		if got := TokenText([]byte(token)); got != want {
			t.Errorf("%q: got %s; want %s", token, got, want)
		}
	}
}

// Log-probabilities keep every bit of a float32 and have a number for what JSON cannot say.
func TestLogprob(t *testing.T) {
	for p, want := range map[float32]string{-0.1: "-0.1", -1e-7: "-1e-07", 0: "0", float32(math.Inf(-1)): "-9999", -12345: "-9999"} {
		if got := string(Encode(Logprob(p))); got != want {
			t.Errorf("%v: got %s; want %s", p, got, want)
		}
	}
	if got := string(Encode(Logprob(float32(math.NaN())))); got != "-9999" {
		t.Errorf("NaN: got %s", got)
	}
}

func TestErrorsRoundTrip(t *testing.T) {
	for _, e := range []*Error{ModelNotFound("x\xff", []string{"m"}), ContextLengthExceeded("messages", 10, 8, 3), InvalidAPIKey(), NotFound(),
		MethodNotAllowed("POST"), BodyTooLarge(8), RateLimited("full"), Unavailable("draining"), Internal("id"), UnknownParameter("a")} {
		var back Error
		if err := json.Unmarshal(Encode(e), &back); err != nil {
			t.Fatal(err)
		}
		back.Status = e.Status
		if back.Message = e.Message; back != *e || e.Status < 400 || e.Code == "" {
			t.Errorf("got %+v; want %+v", back, e)
		}
	}
}
