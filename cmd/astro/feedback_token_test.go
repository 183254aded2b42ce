package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"astro/openai"
)

// asked sends a JSON body and gives the answer with its text.
func (a *astro) asked(t *testing.T, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "POST", a.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", openai.JSONType)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

// From the key file to a browser's vote: a page of an allowed origin reads the token and rates with it; after two rotations and a SIGHUP
// the token is worth nothing, and a new answer's is.
func TestServeFeedbackTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens.json")
	rotate := func() {
		t.Helper()
		if out, _, err := runStore(t, "", "keys", "rotate-feedback", file); err != nil || !strings.Contains(out, "signs feedback tokens") {
			t.Fatalf("got %q, %v", out, err)
		}
	}
	rotate()
	const origin = "https://chat.example"
	a := startServe(t, []string{"ASTRO_API_KEY=sk-a"}, demo, "--backend", "go", "--store", t.TempDir(), "--feedback-tokens", file, "--cors-origin", origin)
	ask := func() (id, token string) {
		t.Helper()
		answer, text := a.asked(t, "/v1/chat/completions", fmt.Sprintf(`{"model":"countdown-base","user":"ann","messages":[{"role":"user","content":%q}]}`, problem),
			"Authorization", "Bearer sk-a", "Origin", origin)
		if answer.StatusCode != 200 || !strings.Contains(answer.Header.Get("Access-Control-Expose-Headers"), "x-feedback-token") {
			t.Fatalf("got %d %v %s", answer.StatusCode, answer.Header, text)
		}
		_, rest, _ := strings.Cut(text, `"id":"`)
		id, _, _ = strings.Cut(rest, `"`)
		return id, answer.Header.Get("x-feedback-token")
	}
	rate := func(id, token, reward string) (int, string) {
		t.Helper()
		answer, text := a.asked(t, "/v1/feedback", fmt.Sprintf(`{"completion_id":%q,"reward":%s}`, id, reward), "x-feedback-token", token, "Origin", origin)
		return answer.StatusCode, text
	}
	id, token := ask()
	for _, c := range []struct {
		reward string
		status int
		want   string
	}{{"1", 200, `"rater":"ann"`}, {"1", 200, `"duplicate":true`}, {"-1", 409, "feedback_conflict"}} {
		if status, text := rate(id, token, c.reward); status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("reward %s: got %d %s; want %d with %s", c.reward, status, text, c.status, c.want)
		}
	}
	rotate()
	rotate()
	a.Process.Signal(syscall.SIGHUP)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(a.log.String(), "keys of feedback tokens read again"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the keys were not read again: %s", a.log)
		}
	}
	if status, text := rate(id, token, "1"); status != 401 || !strings.Contains(text, "invalid_feedback_token") {
		t.Errorf("after two rotations: got %d %s", status, text)
	}
	fresh, good := ask()
	if status, text := rate(fresh, good, "1"); status != 200 {
		t.Errorf("a new answer: got %d %s", status, text)
	}
	a.end(t)
	if strings.Contains(a.log.String(), token[:20]) {
		t.Errorf("the log holds a token: %s", a.log)
	}
}
