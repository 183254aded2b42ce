package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"astro/openai"
)

// echoServer answers a chat with the number of messages and the last one, in two chunks.
func echoServer(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		w.Write(openai.Encode(openai.ModelList{Data: []openai.Model{{ID: "toy"}}}))
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", openai.EventType)
		body, _ := io.ReadAll(r.Body)
		q, err := openai.DecodeChatRequest(body)
		if err != nil || q.Model != "toy" || !q.Stream {
			t.Errorf("the client sent %s: %v", body, err)
			return
		}
		last := q.Messages[len(q.Messages)-1].Content
		if last == "fail" {
			w.Write(openai.Frame(openai.RateLimited("slow down")))
			return
		}
		for _, text := range []string{strings.Repeat("*", len(q.Messages)), " " + last} {
			w.Write([]byte(openai.KeepAlive))
			w.Write(openai.Frame(openai.ChatChunk{Choices: []openai.ChunkChoice{{Delta: openai.Delta{Content: &text}}}}))
		}
		w.Write([]byte(openai.Done))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestChatConversation(t *testing.T) {
	server := echoServer(t)
	var out bytes.Buffer
	in := strings.NewReader("one\n\ntwo\nfail\nthree\n/reset\nfour\n/quit\nnever\n")
	if err := converse(context.Background(), newChatClient(server.URL, ""), in, &out); err != nil {
		t.Fatal(err)
	}
	got := strings.SplitN(out.String(), "\n", 2)[1]
	want := "> * one\n> > *** two\n> \nerror: the stream ended with an error: rate_limit_exceeded: slow down\n> ***** three\n> (a new conversation)\n> * four\n> "
	if got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestChatSaysWhenNoServerRuns(t *testing.T) {
	server := echoServer(t)
	server.Close()
	err := converse(context.Background(), newChatClient(server.URL, ""), strings.NewReader(""), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "astro serve") {
		t.Errorf("got %v; want a hint to start a server", err)
	}
}
