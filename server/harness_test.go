package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/openai"
)

// harness is a Server on the fake engine.
type harness struct {
	*Server
	url    string
	log    *syncBuffer
	client *http.Client
}

// setup changes what start makes.
type setup struct {
	config  func(*Config)
	options func(*engine.Options)
	runner  func(*enginetest.Runner)
}

// start runs a server until the test ends.
func start(t testing.TB, with setup) *harness {
	t.Helper()
	tok, log := testTokenizer(t), &syncBuffer{}
	o := enginetest.Options(tok.Vocab())
	if with.options != nil {
		with.options(&o)
	}
	c := Config{Engine: enginetest.Start(t, o, with.runner), Tokenizer: tok, Template: testTemplate(t), ModelNames: []string{"fake", "alias/x"},
		ContextTokens: o.Config.MaxContextTokens, Access: Access{Host: "127.0.0.1"}, Version: "test", Log: slog.New(slog.NewTextHandler(log, nil))}
	if with.config != nil {
		with.config(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	h := &harness{Server: s, url: "http://" + ln.Addr().String(), log: log, client: &http.Client{Transport: &http.Transport{}}}
	if c.Certificate != nil {
		h.url = "https://" + ln.Addr().String()
		h.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	}
	t.Cleanup(func() {
		h.client.CloseIdleConnections()
		now, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(now) // returns now's error if a test left something running
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return h
}

// syncBuffer collects log lines of many goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// reply is an answer as it came.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// send makes a request; header holds pairs.
func (h *harness) send(t testing.TB, method, path, body string, header ...string) reply {
	t.Helper()
	q, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			q.Host = header[i+1]
		}
	}
	r, err := h.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	checkDocumented(t, method, path, r.StatusCode)
	return reply{r.StatusCode, r.Header, text}
}

// checkDocumented fails for an answer of a route that /openapi.json does not list.
func checkDocumented(t testing.TB, method, path string, status int) {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	if r, _, err := find(method, path); err == nil && !slices.Contains(r.statusesOf(), status) {
		t.Errorf("%s %s answered %d; the document lists %v", method, path, status, r.statusesOf())
	}
}

// chat makes a chat body with extra members.
func chatWith(extra string) string {
	return `{"model":"fake","messages":[{"role":"user","content":"hi"}]` + extra + `}`
}

// wantError checks an error object.
func (r reply) wantError(t testing.TB, status int, code string) {
	t.Helper()
	var e openai.Error
	if err := json.Unmarshal(r.body, &e); err != nil || r.status != status || e.Code != code || e.Message == "" {
		t.Errorf("got %d %s; want %d with code %s", r.status, r.body, status, code)
	}
}

// decode reads a 200.
func decode[T any](t testing.TB, r reply) T {
	t.Helper()
	var answer T
	if err := json.Unmarshal(r.body, &answer); err != nil || r.status != 200 {
		t.Fatalf("got %d %s (%v); want an answer", r.status, r.body, err)
	}
	return answer
}

// events are the payloads of an event stream, [DONE] not included; the stream must end with it.
func events(t testing.TB, body []byte) []string {
	t.Helper()
	var all []string
	for s := bufio.NewScanner(bytes.NewReader(body)); s.Scan(); {
		if data, ok := strings.CutPrefix(s.Text(), "data: "); ok {
			all = append(all, data)
		}
	}
	if len(all) == 0 || all[len(all)-1] != "[DONE]" {
		t.Fatalf("the stream does not end with [DONE]: %s", body)
	}
	return all[:len(all)-1]
}

// eventually waits for a state that must come; nothing depends on how long it takes.
func eventually(t testing.TB, what string, state func() bool) {
	t.Helper()
	for range 12_000 { // a minute, which the race detector needs on a busy machine
		if state() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never happened: %s", what)
}

// finished counts the samples that ended for a reason.
func (h *harness) finished(reason engine.FinishReason) int {
	return int(h.Engine.Stats().Finished[reason])
}
