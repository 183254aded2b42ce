package math

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"astro/openai/client"
)

// A prompt that does not fit is an answer: it will not fit next time either. Other refusals are errors.
func TestRefusedPrompt(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":{"message":"too long","code":"context_length_exceeded"}}`:       FinishRefused,
		`{"error":{"message":"This model's maximum context length is 8 tokens"}}`: FinishRefused,
		`{"error":{"message":"bad top_p"}}`:                                       "",
	} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, body)
		}))
		reply, err := NewClient(server.URL, "toy", "", 1).Ask(context.Background(), client.Query{})
		if (err == nil) != (want != "") || reply.Finish != want || asked != 1 {
			t.Errorf("%s: got %+v, error %v after %d requests", body, reply, err, asked)
		}
		server.Close()
	}
}
