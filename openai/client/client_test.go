package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// whole is an answer that a client accepts.
const whole = `{"choices":[{"message":{"content":"\\boxed{1}","reasoning_content":null,"reasoning":"hm"},"finish_reason":"stop"}],"usage":{"completion_tokens":3}}`

// stubborn answers with each step once and then well.
func stubborn(t *testing.T, steps ...http.HandlerFunc) (*Client, *[]time.Duration, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := int(asked.Add(1)); n <= len(steps) {
			steps[n-1](w, r)
			return
		}
		io.WriteString(w, whole)
	}))
	t.Cleanup(server.Close)
	var slept []time.Duration
	c := New(server.URL+"/v1/", "sk-1", 1)
	c.Retry = Retry{Tries: 4, Base: 8 * time.Second, Cap: 20 * time.Second, RetryAfter: time.Minute,
		sleep:  func(_ context.Context, d time.Duration) error { slept = append(slept, d); return nil },
		jitter: func() float64 { return 0.5 }}
	return &c, &slept, &asked
}

func status(code int, retryAfter, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

// drop cuts the connection, after the beginning of an answer or before.
func drop(begin string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.WriteString(connection, begin)
			connection.Close()
		}
	}
}

// Pauses: what Retry-After says plus half of 8 s, else half of a bound of 8, 16, then at most 20 s.
func TestRetry(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		steps []http.HandlerFunc
		slept []time.Duration
	}{
		"at once":                    {nil, nil},
		"429 with Retry-After":       {[]http.HandlerFunc{status(429, "7", "")}, []time.Duration{11 * s}},
		"503 with and without":       {[]http.HandlerFunc{status(503, "", ""), status(503, "2.5", "")}, []time.Duration{4 * s, 6500 * time.Millisecond}},
		"500, 502, 504":              {[]http.HandlerFunc{status(500, "", ""), status(502, "", ""), status(504, "", "")}, []time.Duration{4 * s, 8 * s, 10 * s}},
		"no answer":                  {[]http.HandlerFunc{drop("")}, []time.Duration{4 * s}},
		"half an answer":             {[]http.HandlerFunc{drop("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"choices\":[")}, []time.Duration{4 * s}},
		"half an answer that is 200": {[]http.HandlerFunc{status(200, "", `{"choices":[`)}, []time.Duration{4 * s}},
	} {
		client, slept, asked := stubborn(t, c.steps...)
		reply, err := client.Chat(context.Background(), Query{Model: "toy", Prompt: "?"})
		if err != nil || reply.Text != `\boxed{1}` || !reply.HasText || reply.Tokens != 3 || reply.Finish != "stop" || reply.Reasoning != "hm" {
			t.Errorf("%s: got %+v, error %v", name, reply, err)
		}
		if !slices.Equal(*slept, c.slept) || int(asked.Load()) != len(c.steps)+1 {
			t.Errorf("%s: slept %v in %d requests; want %v", name, *slept, asked.Load(), c.slept)
		}
	}
}

// The request is what the API wants, and what is zero is left to the server.
func TestChatRequest(t *testing.T) {
	var sent []string
	client, _, _ := stubborn(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent = append(sent, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("Authorization")+" "+string(body))
		io.WriteString(w, whole)
	})
	if _, err := client.Chat(context.Background(), Query{Model: "toy", Prompt: "hi", Temperature: 0.5, Seed: 9}); err != nil {
		t.Fatal(err)
	}
	want := `POST /v1/chat/completions application/json Bearer sk-1 {"model":"toy","messages":[{"role":"user","content":"hi"}],"temperature":0.5,"seed":9}`
	if len(sent) != 1 || sent[0] != want {
		t.Errorf("got %s\nwant %s", sent, want)
	}
}

func TestGivesUp(t *testing.T) {
	busy := status(429, "", `{"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded"}}`)
	for name, c := range map[string]struct {
		steps    []http.HandlerFunc
		asked    int
		want     string
		hopeless bool
	}{
		"after all tries":       {[]http.HandlerFunc{busy, busy, busy, busy, busy}, 4, "given up after 4 tries: the server answered 429 Too Many Requests: slow down", false},
		"a wait without end":    {[]http.HandlerFunc{status(429, "3600", "quota")}, 1, "429 Too Many Requests: quota", false},
		"a wrong key":           {[]http.HandlerFunc{status(401, "", `{"error":{"message":"Incorrect API key"}}`)}, 1, "401 Unauthorized: Incorrect API key", true},
		"a wrong request":       {[]http.HandlerFunc{status(400, "", `{"error":{"message":"bad top_p"}}`)}, 1, "bad top_p", false},
		"no OpenAI server":      {[]http.HandlerFunc{status(200, "", `{}`)}, 1, "0 choices", false},
		"a number for a code":   {[]http.HandlerFunc{status(422, "", `{"error":{"message":"bad n","type":"x","param":null,"code":422}}`)}, 1, "Entity: bad n", false},
		"no object around it":   {[]http.HandlerFunc{status(400, "", `{"object":"error","message":"bad n","code":400}`)}, 1, "Request: bad n", false},
		"another kind of page":  {[]http.HandlerFunc{status(404, "", "<html>")}, 1, "404 Not Found: <html>", true},
		"an answer without end": {[]http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxAnswerBytes+1)) }}, 1, "longer than", false},
	} {
		client, _, asked := stubborn(t, c.steps...)
		_, err := client.Chat(context.Background(), Query{})
		if err == nil || !strings.Contains(err.Error(), c.want) || int(asked.Load()) != c.asked || Hopeless(err) != c.hopeless {
			t.Errorf("%s: got %v after %d requests; want %q after %d", name, err, asked.Load(), c.want, c.asked)
		}
	}
	client, _, _ := stubborn(t)
	client.URL = "http://no host"
	if _, err := client.Chat(context.Background(), Query{}); !Hopeless(err) {
		t.Errorf("a bad address: got %v; want a hopeless error", err)
	}
}

// A prompt that does not fit is told from other refusals.
func TestTooLong(t *testing.T) {
	for body, want := range map[string]bool{
		`{"error":{"message":"too long","code":"context_length_exceeded"}}`:            true,
		`{"error":{"message":"This model's maximum context length is 8 tokens"}}`:      true,
		`{"error":{"message":"Invalid 'top_p': it is too long for a number of ours"}}`: false,
	} {
		client, _, asked := stubborn(t, status(400, "", body))
		_, err := client.Chat(context.Background(), Query{})
		var refusal *StatusError
		if !errors.As(err, &refusal) || refusal.TooLong() != want || refusal.Status != 400 || asked.Load() != 1 {
			t.Errorf("%s: got %v", body, err)
		}
	}
}

func TestWaitsEnd(t *testing.T) {
	client, _, _ := stubborn(t, status(503, "", ""))
	client.Retry.sleep = nil
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if _, err := client.Chat(ctx, Query{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v; want the context's end, not a pause of seconds", err)
	}
	slow := func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then does a server see that its client has gone
		<-r.Context().Done()
	}
	client, slept, asked := stubborn(t, slow, slow)
	client.Limit = 20 * time.Millisecond
	if _, err := client.Chat(context.Background(), Query{}); err != nil || asked.Load() != 3 || len(*slept) != 2 {
		t.Errorf("two answers that never come: got %v after %d requests; want a third to succeed", err, asked.Load())
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "12": 12 * time.Second, "0": 0, "-3": 0, "nonsense": 0, "1e300": 24 * time.Hour, "NaN": 0,
		"Tue, 04 Mar 2025 05:06:37 GMT": 30 * time.Second, "Tue, 04 Mar 2025 05:00:00 GMT": 0,
	} {
		if got := parseRetryAfter(value, now); got != want {
			t.Errorf("Retry-After %q: got %v; want %v", value, got, want)
		}
	}
}

// The pauses of many clients lie apart.
func TestJitter(t *testing.T) {
	r := DefaultRetry()
	seen := map[time.Duration]bool{}
	for range 100 {
		d := r.backoff(40)
		if d < 0 || d >= r.Cap {
			t.Fatalf("got a pause of %v; want less than %v", d, r.Cap)
		}
		seen[d] = true
	}
	if len(seen) < 90 {
		t.Errorf("got %d different pauses of 100", len(seen))
	}
}

func TestFirstModel(t *testing.T) {
	client, _, _ := stubborn(t, status(503, "", ""), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" && r.Method == "GET" && r.Header.Get("Authorization") == "Bearer sk-1" {
			io.WriteString(w, `{"data":[{"id":"one"},{"id":"two"}]}`)
		}
	}, status(200, "", `{"data":[]}`))
	if name, err := client.FirstModel(context.Background()); err != nil || name != "one" {
		t.Errorf("got %q, error %v", name, err)
	}
	if _, err := client.FirstModel(context.Background()); err == nil || !strings.Contains(err.Error(), "--model") {
		t.Errorf("a server without models: got %v", err)
	}
}
