package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"astro/openai"
)

// streaming answers every request with text as an event stream, and ends or cuts the connection.
func streaming(t *testing.T, text string, cut bool) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", openai.EventType+"; charset=utf-8")
		io.WriteString(w, text)
		if cut {
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(server.Close)
	c := New(server.URL, "", 1)
	return &c
}

// events reads a stream to its end.
func events(c *Client) ([]string, error) {
	s, err := c.Stream(context.Background(), "/v1/completions", []byte(`{}`))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var all []string
	for {
		data, err := s.Next()
		if err != nil {
			return all, err
		}
		all = append(all, string(data))
	}
}

// What the specification of server-sent events allows, as servers use it.
func TestStreamEvents(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"plain":                    {"data: {\"a\":1}\n\ndata: 2\n\ndata: [DONE]\n\n", []string{`{"a":1}`, "2"}},
		"comments and other lines": {": ping\n\nevent: message\nid: 7\ndata: 1\n\n\n: ping\n\ndata: [DONE]\n\n", []string{"1"}},
		"carriage returns":         {"data: 1\r\n\r\ndata: [DONE]\r\n\r\n", []string{"1"}},
		"no space":                 {"data:1\n\ndata:  2\n\ndata:[DONE]\n\n", []string{"1", " 2"}},
		"several lines":            {"data: {\ndata: \"a\":\ndata:1}\n\ndata: [DONE]\n\n", []string{"{\n\"a\":\n1}"}},
		"longer than the buffer":   {"data: " + long + "\n\ndata: s\n\ndata: [DONE]\n\n", []string{long, "s"}},
		"what follows the end":     {"data: [DONE]\n\ndata: 9\n\n", nil},
		"no error":                 {"data: {\"error\":null,\"id\":1}\n\ndata: [DONE]\n\n", []string{`{"error":null,"id":1}`}},
	} {
		got, err := events(streaming(t, c.text, false))
		if !errors.Is(err, io.EOF) || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %.80q, %v; want %.80q", name, got, err, c.want)
		}
	}
}

func TestStreamBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		cut    bool
		events int
		want   string
	}{
		"no [DONE]":          {"data: 1\n\n", false, 1, "without [DONE]"},
		"in an event":        {"data: 1\n\ndata: 2", false, 1, "without [DONE]"},
		"a cut":              {"data: 1\n\n", true, 1, "read the stream"},
		"an event too large": {"data: " + strings.Repeat("x", maxEventBytes), false, 0, "longer than"},
		"a stream too large": {"data: 1\n\n" + strings.Repeat(":"+strings.Repeat("x", 1<<20)+"\n", maxAnswerBytes>>20), false, 1, "longer than"},
	} {
		got, err := events(streaming(t, c.text, c.cut))
		var broken *BrokenError
		if !errors.As(err, &broken) || !strings.Contains(err.Error(), c.want) || len(got) != c.events {
			t.Errorf("%s: got %d events, %v; want %d and %q", name, len(got), err, c.events, c.want)
		}
	}
}

func TestStreamErrorObject(t *testing.T) {
	for _, text := range []string{
		string(openai.Frame(openai.Unavailable("draining"))),
		"data: {\"error\": {\"message\": \"draining\", \"type\": \"x\", \"code\": 503}}\n\n",
		"data: {\"object\": \"error\", \"message\": \"draining\"}\n\n",
	} {
		_, err := events(streaming(t, "data: 1\n\n"+text, false))
		var failure *EventError
		if !errors.As(err, &failure) || failure.Cause.Message != "draining" {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// A refusal keeps its status; a server that does not stream is told from one that broke; a limit has its own error.
func TestStreamRefused(t *testing.T) {
	client, _, asked := stubborn(t, status(429, "3", `{"error":{"message":"full"}}`), status(200, "", "{}"))
	_, err := events(client)
	var refusal *StatusError
	if !errors.As(err, &refusal) || refusal.Status != 429 || refusal.RetryAfter != 3*time.Second || asked.Load() != 1 {
		t.Errorf("got %v after %d requests; want the 429 after one", err, asked.Load())
	}
	if _, err := events(client); err == nil || !strings.Contains(err.Error(), "not with an event stream") {
		t.Errorf("an answer that is no stream: got %v", err)
	}
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", openai.EventType)
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	slow := New(silent.URL, "", 1)
	slow.Limit = 30 * time.Millisecond
	var late *TimeoutError
	if _, err := events(&slow); !errors.As(err, &late) {
		t.Errorf("a stream that says nothing: got %v", err)
	}
}

// The reader of events is in the hot loop of benchmarks: it allocates nothing once its buffer has its size.
func TestNextDoesNotAllocate(t *testing.T) {
	text := strings.Repeat("data: {\"choices\":[{\"text\":\"a\"}]}\n\n: ping\n\n", 2000)
	s := &Stream{ctx: context.Background(), lines: bufio.NewReaderSize(strings.NewReader(text), 16<<10), left: len(text)}
	if allocations := testing.AllocsPerRun(1000, func() {
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
	}); allocations > 0 {
		t.Errorf("got %v allocations in an event; want none", allocations)
	}
}

// One connection serves stream after stream.
func TestStreamsShareConnection(t *testing.T) {
	connections := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", openai.EventType)
		io.WriteString(w, "data: 1\n\n"+openai.Done)
	}))
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { connections++; return ctx }
	server.Start()
	t.Cleanup(server.Close)
	c := New(server.URL, "", 1)
	for range 20 {
		if got, err := events(&c); len(got) != 1 || !errors.Is(err, io.EOF) {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if connections != 1 {
		t.Errorf("got %d connections for 20 streams one after the other; want 1", connections)
	}
}
