package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/feedback"
	"astro/model/tokenizer"
	"astro/openai"
	"astro/server/auth"
)

// startSPM runs a server whose tokenizer is SentencePiece's, from a GGUF file.
func startSPM(t *testing.T) *harness {
	t.Helper()
	tok, err := tokenizer.LoadModel("../model/tokenizer/testdata/spm-gguf.gguf")
	if err != nil {
		t.Fatal(err)
	}
	return start(t, setup{config: func(c *Config) { c.Tokenizer, c.Store = tok, newStore(t, feedback.Options{KeepText: true}) },
		options: func(o *engine.Options) { *o = enginetest.Options(tok.Vocab()); o.Config.EOS = []int32{2} }})
}

// The space before the first word of an answer is dropped where the answer is a text of its own, and kept where it goes on with the prompt's
// or follows a grammar. The store has what was shown.
func TestSpaceBeforeTheFirstWord(t *testing.T) {
	h := startSPM(t)
	the := h.Tokenizer.Encode("the")[1]
	if text := string(h.Tokenizer.Bytes(the)); text != " the" {
		t.Fatalf("got %q", text)
	}
	only := fmt.Sprintf(`"allowed_token_ids":[%d],"max_tokens":2`, the)
	const completions, chat = "/v1/completions", "/v1/chat/completions"
	for _, c := range []struct{ path, body, want string }{
		{completions, `{"model":"fake","prompt":"of",` + only + `}`, " the the"}, {completions, `{"model":"fake","prompt":"",` + only + `}`, "the the"},
		{completions, `{"model":"fake","prompt":"of","echo":true,` + only + `}`, "of the the"},
		{completions, `{"model":"fake","prompt":"of","structured_outputs":{"choice":[" the"]}}`, " the"},
		{chat, chatWith("," + only), "the the"}, {chat, chatWith(`,"structured_outputs":{"choice":[" the"]}`), " the"},
		{chat, `{"model":"fake","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"of"}],"add_generation_prompt":false,"continue_final_message":true,` + only + `}`, " the the"},
	} {
		var answer struct {
			ID      string
			Choices []struct {
				Text    string
				Message struct{ Content string }
			}
		}
		r := h.send(t, http.MethodPost, c.path, c.body)
		if err := json.Unmarshal(r.body, &answer); err != nil || len(answer.Choices) != 1 {
			t.Fatalf("%s: got %d %s", c.body, r.status, r.body)
		}
		if got := answer.Choices[0].Text + answer.Choices[0].Message.Content; got != c.want {
			t.Errorf("%s: got %q; want %q", c.body, got, c.want)
		}
		rows, _, err := h.Store.Completion(t.Context(), auth.DefaultTenant, answer.ID)
		if err != nil || len(rows) != 1 || *rows[0].OutputText != strings.TrimPrefix(c.want, "of") {
			t.Errorf("%s: the store has %v, %v; want %q", c.body, rows, err, c.want)
		}
	}
}

// An answer follows a schema, whatever pieces spell it.
func TestSchemaWithSentencePiece(t *testing.T) {
	h := startSPM(t)
	for seed := range 20 {
		r := h.send(t, http.MethodPost, "/v1/chat/completions", chatWith(fmt.Sprintf(`,"seed":%d,"max_tokens":200,"response_format":{"type":"json_schema","json_schema":{"name":"x",`+
			`"schema":{"type":"object","properties":{"a":{"type":"array","items":{"enum":[1,"é ☃"]},"maxItems":3},"b":{"type":"boolean"}},"required":["a","b"],"additionalProperties":false}}}`, seed)))
		var answer openai.ChatAnswer
		var said struct {
			A []any
			B *bool
		}
		if err := json.Unmarshal(r.body, &answer); err != nil || len(answer.Choices) != 1 {
			t.Fatalf("got %d %s", r.status, r.body)
		}
		if c := answer.Choices[0]; c.FinishReason != "stop" || json.Unmarshal([]byte(c.Message.Content), &said) != nil || said.B == nil || len(said.A) > 3 {
			t.Errorf("seed %d: got %q, %s", seed, c.Message.Content, c.FinishReason)
		}
	}
}
