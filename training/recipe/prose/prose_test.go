package prose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"astro/training/linearize"
)

func answer(w http.ResponseWriter, text, finish string) {
	json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"message": map[string]any{"content": text}, "finish_reason": finish}}})
}

// serve answers with the handlers one after the other, the last one for ever.
func serve(t *testing.T, handlers ...http.HandlerFunc) (*Client, *int) {
	t.Helper()
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers[min(asked, len(handlers)-1)](w, r)
		asked++
	}))
	t.Cleanup(s.Close)
	c := NewClient(s.URL+"/v1/", "m", "secret", 4)
	c.Pause, c.Limit = time.Microsecond, 5*time.Second
	return c, &asked
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":{"message":"because","type":"x"}}`, code)
	}
}

// The client sends what the API wants, tries again what may pass, and nothing else.
func TestClient(t *testing.T) {
	good := func(w http.ResponseWriter, r *http.Request) {
		var q map[string]any
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer secret" ||
			q["model"] != "m" || q["max_tokens"] != 9. || q["seed"].(float64) >= 1<<31 {
			http.Error(w, fmt.Sprint(err, r.URL, q), http.StatusBadRequest)
			return
		}
		answer(w, q["messages"].([]any)[0].(map[string]any)["content"].(string), "stop")
	}
	cut := func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"choices":`)) }
	request := linearize.Request{Prompt: "hello", Temperature: .7, Seed: 1<<64 - 1, MaxTokens: 9}
	for _, c := range []struct {
		handlers []http.HandlerFunc
		asked    int
		want     string // in the error; "" = the reply is the prompt
	}{
		{[]http.HandlerFunc{good}, 1, ""},
		{[]http.HandlerFunc{status(503), status(429), cut, good}, 4, ""},
		{[]http.HandlerFunc{status(500)}, 8, "given up after 8 tries"},
		{[]http.HandlerFunc{status(400)}, 1, "400 Bad Request: because"},
		{[]http.HandlerFunc{status(401)}, 1, "401"},
		{[]http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"choices":[]}`)) }}, 1, "0 choices"},
		{[]http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"choices":[{"message":{}}]}`)) }}, 1, "no text"},
	} {
		client, asked := serve(t, c.handlers...)
		reply, err := client.Complete(context.Background(), request)
		if *asked != c.asked || (err == nil) != (c.want == "") || err == nil && reply != "hello" || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q after %d: got %q, %v after %d", c.want, c.asked, reply, err, *asked)
		}
	}
	client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, "half a st", "length") })
	if reply, err := client.Complete(context.Background(), request); reply != "" || err != nil {
		t.Errorf("a reply that was cut off: got %q, %v", reply, err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := client.Complete(ended, request); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: got %v", err)
	}
}

// counter replies with how often it was asked.
type counter struct {
	asked int
	err   error
}

func (c *counter) Complete(context.Context, linearize.Request) (string, error) {
	c.asked++
	return fmt.Sprint(c.asked), c.err
}

// A journal asks nothing twice, not even after a crash that tore its last line; another model, seed or prompt is asked.
func TestJournal(t *testing.T) {
	path, model, ctx := filepath.Join(t.TempDir(), "replies.jsonl"), &counter{}, context.Background()
	open := func(name string) *Journal {
		j, err := OpenJournal(path, name, model)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	ask := func(j *Journal, prompt string, seed uint64, want string) {
		t.Helper()
		if got, err := j.Complete(ctx, linearize.Request{Prompt: prompt, Seed: seed}); err != nil || got != want {
			t.Errorf("%s, seed %d: got %q, %v; want %q", prompt, seed, got, err, want)
		}
	}
	j := open("m")
	ask(j, "a", 1, "1")
	ask(j, "a", 2, "2")
	ask(j, "a", 1, "1")
	if _, err := OpenJournal(path, "m", model); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second holder: got %v", err)
	}
	j.Close()
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString(`{"format":1,"key":"to`)
	f.Close()
	j = open("m")
	ask(j, "a", 2, "2")
	ask(j, "b", 1, "3")
	j.Close()
	j = open("other")
	if j.Kept() != 3 {
		t.Errorf("%d replies are kept; want 3", j.Kept())
	}
	ask(j, "a", 1, "4")
	j.Close()
	os.WriteFile(path, []byte("{}\n{\n"), 0o644)
	if _, err := OpenJournal(path, "m", model); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a file of another kind: got %v", err)
	}
}

// The guard stops a run once, after the limit in a row, or at once where there is no hope.
func TestGuard(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int // questions until the stop
	}{{errors.New("away"), 3}, {&HopelessError{errors.New("wrong key")}, 1}} {
		model, stops := &counter{}, 0
		g := &Guard{Model: model, Limit: 3, Stop: func(err error) {
			if stops++; !errors.Is(err, c.err) || model.asked != 3+c.want {
				t.Errorf("stopped after %d questions by %v", model.asked, err)
			}
		}}
		for i := range 9 {
			model.err = nil
			if i == 0 || i == 1 || i > 2 { // two failures, a success, and failures from there on
				model.err = errors.New("away")
			}
			if i > 2 {
				model.err = c.err
			}
			g.Complete(context.Background(), linearize.Request{})
		}
		if stops != 1 {
			t.Errorf("%v: %d stops", c.err, stops)
		}
	}
}
