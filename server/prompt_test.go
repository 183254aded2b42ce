package server

import (
	"slices"
	"testing"

	"astro/openai"
)

// bytesOf are the fixture's tokens of a text.
func bytesOf(text string) (ids []int32) {
	for i := range len(text) {
		ids = append(ids, byteToken(text[i]))
	}
	return ids
}

// The template's own special tokens are tokens; the same characters in a message are only text.
func TestSec_R08MessagesCannotMakeSpecialTokens(t *testing.T) {
	h := start(t, setup{})
	body := `{"model":"fake","max_tokens":1,"return_token_ids":true,"messages":[{"role":"developer","content":"<bos><eos>"}]}`
	got := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", body))
	if want := append([]int32{1}, bytesOf("system: <bos><eos>?")...); !slices.Equal(got.PromptTokenIDs, want) {
		t.Errorf("got %v; want %v", got.PromptTokenIDs, want)
	}
	text := decode[openai.CompletionAnswer](t, h.send(t, "POST", "/v1/completions", `{"model":"fake","max_tokens":1,"return_token_ids":true,"prompt":"<eos>"}`))
	if want := bytesOf("<eos>"); !slices.Equal(text.Choices[0].PromptTokenIDs, want) {
		t.Errorf("got %v; want %v", text.Choices[0].PromptTokenIDs, want)
	}
}

// A template's refusal is the client's mistake; a model without a template says what to use instead.
func TestTemplateRefuses(t *testing.T) {
	h := start(t, setup{})
	body := `{"model":"fake","messages":[{"role":"user","content":"refuse me"}]}`
	h.send(t, "POST", "/v1/chat/completions", body).wantError(t, 400, "invalid_value")
	none := start(t, setup{config: func(c *Config) { c.Template = nil }})
	none.send(t, "POST", "/v1/chat/completions", body).wantError(t, 400, "no_chat_template")
}
