package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"astro/openai"
)

// A bad parameter is refused by every endpoint that generates, in the same words: what one checks, all check.
func TestSec_R17ChecksAreOnAllEndpoints(t *testing.T) {
	h := start(t, setup{})
	all := map[string]func(string) string{"/v1/chat/completions": chatWith, "/v1/completions": textWith, "/v1/responses": responseWith, "/v1/messages": messageWith}
	check := func(paths []string, member string) {
		t.Helper()
		said := map[string]bool{}
		for _, path := range paths {
			got := h.send(t, "POST", path, all[path](","+member))
			var e openai.Error
			if err := json.Unmarshal(got.body, &e); err != nil || got.status != 400 {
				t.Errorf("%s with %s: got %d %s", path, member, got.status, got.body)
			}
			message, _, _ := strings.Cut(e.Message, " at byte ")
			said[message] = true
		}
		if len(said) != 1 {
			t.Errorf("%s: %d different answers: %v", member, len(said), said)
		}
	}
	every := []string{"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"}
	for _, name := range []string{"top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "min_tokens", "priority", "seed",
		"stop_token_ids", "allowed_token_ids", "logit_bias", "cache_salt", "request_id", "structured_outputs", "stream", "ignore_eos"} {
		for _, value := range []string{"1e400", "99999999999999999999", `"../x"`, "[[]]", `[-1]`, `[99999]`, `{"99999":1}`, `{"json":7}`, `{"json":{"not":{}}}`, `{"regex":"("}`, "NaN"} {
			if name == "structured_outputs" && strings.HasPrefix(value, `{"9`) {
				continue // an unknown constraint, which is ignored
			}
			check(every, fmt.Sprintf(`%q:%s`, name, value))
		}
	}
	check(every, `"structured_outputs":{"choice":["a"]},"ignore_eos":true`)
	check(every, `"min_tokens":9999,"ignore_eos":true,"seed":1,"seed":2`)
	for _, kwargs := range []string{"7", `{"messages":[]}`, `{"tools":1}`, `{"bos_token":"x"}`} {
		check([]string{"/v1/chat/completions", "/v1/responses", "/v1/messages"}, `"chat_template_kwargs":`+kwargs)
	}
}
