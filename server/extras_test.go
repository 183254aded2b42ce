package server

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"astro/openai"
)

// textWith makes a completions body with extra members.
func textWith(extra string) string { return `{"model":"fake","prompt":"hi"` + extra + `}` }

func TestAllowedTokens(t *testing.T) {
	h := start(t, setup{})
	body := textWith(fmt.Sprintf(`,"max_tokens":20,"allowed_token_ids":[%d,%d]`, byteToken('a'), byteToken('b')))
	answer := decode[openai.CompletionAnswer](t, h.send(t, "POST", "/v1/completions", body))
	if text := answer.Choices[0].Text; len(text) != 20 || strings.Trim(text, "ab") != "" || strings.Trim(text, "a") == "" || strings.Trim(text, "b") == "" {
		t.Errorf("got %q; want 20 characters, some a and some b", text)
	}
	h.send(t, "POST", "/v1/completions", textWith(`,"allowed_token_ids":[258]`)).wantError(t, 400, "invalid_value")
	h.send(t, "POST", "/v1/completions", textWith(`,"allowed_token_ids":[0],"min_tokens":1`)).wantError(t, 400, "invalid_value")
}

func TestRequestIDOfTheBody(t *testing.T) {
	h := start(t, setup{})
	for _, stream := range []string{"", `,"stream":true`} {
		r := h.send(t, "POST", "/v1/completions", textWith(`,"request_id":"mine-1"`+stream))
		if got := r.header.Get("x-request-id"); got != "mine-1" {
			t.Errorf("the body's id became %q", got)
		}
		r = h.send(t, "POST", "/v1/completions", textWith(`,"request_id":"mine-1"`+stream), "x-request-id", "header-1")
		if got := r.header.Get("x-request-id"); got != "header-1" {
			t.Errorf("the header's id became %q", got)
		}
	}
}

func TestPromptLogprobs(t *testing.T) {
	h := start(t, setup{})
	type scores []map[string]struct {
		Logprob float64 `json:"logprob"`
		Rank    int     `json:"rank"`
		Text    string  `json:"decoded_token"`
	}
	check := func(what string, s scores, tokens string) {
		t.Helper()
		if len(s) != len(tokens) || s[0] != nil {
			t.Fatalf("%s: %d entries, the first %v; want %d, the first null", what, len(s), s[0], len(tokens))
		}
		for i, entry := range s[1:] {
			own, there := entry[fmt.Sprint(byteToken(tokens[i+1]))]
			if !there || own.Logprob >= 0 || own.Text != tokens[i+1:i+2] || len(entry) < 2 || len(entry) > 3 {
				t.Errorf("%s: token %d has %v", what, i+1, entry)
			}
		}
	}
	var text struct {
		Choices []struct {
			Scores scores `json:"prompt_logprobs"`
		} `json:"choices"`
	}
	r := h.send(t, "POST", "/v1/completions", textWith(`,"prompt_logprobs":2,"max_tokens":1`))
	if err := json.Unmarshal(r.body, &text); err != nil {
		t.Fatal(err)
	}
	check("completions", text.Choices[0].Scores, "hi")
	var chat struct {
		Scores scores `json:"prompt_logprobs"`
	}
	r = h.send(t, "POST", "/v1/chat/completions", `{"model":"fake","messages":[{"role":"u","content":"hi"}],"prompt_logprobs":2,"max_tokens":1}`)
	r.wantError(t, 400, "invalid_value")
	r = h.send(t, "POST", "/v1/chat/completions", chatWith(`,"prompt_logprobs":2,"max_tokens":1`))
	if err := json.Unmarshal(r.body, &chat); err != nil {
		t.Fatal(err)
	}
	if len(chat.Scores) != len("<user: hi?") { // bos is one token
		t.Errorf("a chat has %d scores", len(chat.Scores))
	}
	if strings.Contains(string(h.send(t, "POST", "/v1/completions", textWith("")).body), "prompt_logprobs") {
		t.Error("scores that nobody wanted")
	}
}

func TestTokensAsIDs(t *testing.T) {
	h := start(t, setup{})
	r := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(`,"max_tokens":3,"ignore_eos":true,"logprobs":true,"return_tokens_as_token_ids":true,"return_token_ids":true`)))
	for i, p := range r.Choices[0].Logprobs.Content {
		if want := fmt.Sprintf("token_id:%d", r.Choices[0].TokenIDs[i]); p.Token != want {
			t.Errorf("token %d is %q; want %q", i, p.Token, want)
		}
	}
}

func TestWeightVersions(t *testing.T) {
	h := start(t, setup{})
	const wanted = `,"max_tokens":3,"ignore_eos":true,"n":2,"return_weight_versions":true`
	r := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(wanted)))
	want := []openai.VersionSpan{{Version: 1, Start: 0, End: 3}}
	for _, c := range r.Choices {
		if !reflect.DeepEqual(c.Versions, want) {
			t.Errorf("got %v; want %v", c.Versions, want)
		}
	}
	spans := 0
	for _, e := range events(t, h.send(t, "POST", "/v1/completions", textWith(wanted+`,"stream":true`)).body) {
		spans += strings.Count(e, `"weight_versions":[{"version":1,"start":0,"end":3}]`)
	}
	if spans != 2 {
		t.Errorf("a stream of 2 choices has %d lists of versions", spans)
	}
}

func TestContinuousUsage(t *testing.T) {
	h := start(t, setup{})
	last := 0
	all := events(t, h.send(t, "POST", "/v1/completions", textWith(`,"max_tokens":4,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}`)).body)
	for _, e := range all {
		var a openai.CompletionAnswer
		if err := json.Unmarshal([]byte(e), &a); err != nil || a.Usage.Value == nil || a.Usage.Value.PromptTokens != 2 || a.Usage.Value.CompletionTokens < last {
			t.Fatalf("got %s (%v)", e, err)
		}
		last = a.Usage.Value.CompletionTokens
	}
	if last != 4 {
		t.Errorf("the last count is %d; want 4", last)
	}
}

func TestTruncatedPrompt(t *testing.T) {
	h := start(t, setup{})
	r := decode[openai.CompletionAnswer](t, h.send(t, "POST", "/v1/completions", `{"model":"fake","prompt":"abcdef","truncate_prompt_tokens":2,"echo":true,"max_tokens":0}`))
	if r.Choices[0].Text != "ef" || r.Usage.Value.PromptTokens != 2 {
		t.Errorf("got %q of %d tokens; want the last two", r.Choices[0].Text, r.Usage.Value.PromptTokens)
	}
}

func TestCacheSalt(t *testing.T) {
	h := start(t, setup{})
	cached := func(extra string) int {
		body := `{"model":"fake","prompt":"` + strings.Repeat("a", 40) + `","max_tokens":1` + extra + `}`
		return decode[openai.CompletionAnswer](t, h.send(t, "POST", "/v1/completions", body)).Usage.Value.PromptDetails.CachedTokens
	}
	if cached("") != 0 || cached("") == 0 {
		t.Error("the prefix cache does not work without a salt")
	}
	if cached(`,"cache_salt":"s"`) != 0 || cached(`,"cache_salt":"s"`) == 0 || cached(`,"cache_salt":"t"`) != 0 {
		t.Error("requests of different salts share prefixes, or those of one do not")
	}
}

func TestTokenizeRoutes(t *testing.T) {
	h := start(t, setup{config: func(c *Config) { c.TokenizerInfo = json.RawMessage(`{"bos_token":"<bos>"}`) }})
	ids := func(text string) (ids []int32) {
		for i := range len(text) {
			ids = append(ids, byteToken(text[i]))
		}
		return ids
	}
	got := decode[openai.TokenizeAnswer](t, h.send(t, "POST", "/tokenize", `{"prompt":"hi <bos>","return_token_strs":true}`))
	if !reflect.DeepEqual(got.Tokens, ids("hi <bos>")) || got.Count != 8 || got.MaxModelLen != h.ContextTokens || got.Strings[0] != "h" {
		t.Errorf("got %+v", got)
	}
	chat := decode[openai.TokenizeAnswer](t, h.send(t, "POST", "/tokenize", `{"model":"fake","messages":[{"role":"user","content":"hi"}]}`))
	if want := append([]int32{1}, ids("user: hi?")...); !reflect.DeepEqual(chat.Tokens, want) {
		t.Errorf("got %v; want %v", chat.Tokens, want)
	}
	open := decode[openai.TokenizeAnswer](t, h.send(t, "POST", "/tokenize", `{"messages":[{"role":"user","content":"hi"}],"add_generation_prompt":false}`))
	if want := append([]int32{1}, ids("user: hi")...); !reflect.DeepEqual(open.Tokens, want) {
		t.Errorf("got %v; want %v", open.Tokens, want)
	}
	back := decode[openai.DetokenizeAnswer](t, h.send(t, "POST", "/detokenize", `{"tokens":[1,106,107]}`))
	if back.Prompt != "<bos>hi" {
		t.Errorf("got %q", back.Prompt)
	}
	h.send(t, "POST", "/detokenize", `{"tokens":[258]}`).wantError(t, 400, "invalid_value")
	h.send(t, "POST", "/tokenize", `{"model":"other","prompt":"a"}`).wantError(t, 404, "model_not_found")
	if info := h.send(t, "GET", "/tokenizer_info", ""); info.status != 200 || string(info.body) != `{"bos_token":"<bos>"}` {
		t.Errorf("got %d %s", info.status, info.body)
	}
}

func TestContinuedMessage(t *testing.T) {
	h := start(t, setup{})
	body := `{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}],"continue_final_message":true}`
	got := decode[openai.TokenizeAnswer](t, h.send(t, "POST", "/tokenize", body))
	if text := h.textOf(got.Tokens); text != "<bos>user: hiassistant: yo" {
		t.Errorf("got %q", text)
	}
	h.send(t, "POST", "/v1/chat/completions", chatWith(`,"chat_template_kwargs":{"messages":[]}`)).wantError(t, 400, "invalid_value")
}
