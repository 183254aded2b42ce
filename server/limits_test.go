package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/openai"
	"astro/server/auth"
)

// limitedKey makes a server with one key that has limits; send asks with it.
func limitedKey(t *testing.T, l auth.Limits, with setup) (h *harness, send func(body string) reply) {
	k, secret := newKey(t, auth.Key{Scopes: auth.Inference, Limits: l})
	with.config = func(c *Config) { c.Access.Keys = []auth.Key{k} }
	h = start(t, with)
	return h, func(body string) reply {
		return h.send(t, "POST", "/v1/completions", body, "Authorization", "Bearer "+secret)
	}
}

// wantRetry checks a 429 and the seconds that it names.
func (r reply) wantRetry(t *testing.T, least, most int) {
	t.Helper()
	r.wantError(t, 429, "rate_limit_exceeded")
	if seconds, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || seconds < least || seconds > most {
		t.Errorf("got Retry-After %q; want %d to %d", r.header.Get("Retry-After"), least, most)
	}
}

// A key that may have two requests under way gets a third one after one has ended, however it ended.
func TestConcurrencyOfAKey(t *testing.T) {
	g := newGate()
	h, send := limitedKey(t, auth.Limits{ConcurrentRequests: 2}, setup{runner: g.hold(0)})
	defer g.open()
	answers := make(chan reply, 2)
	for _, stream := range []bool{true, false} {
		go func() { answers <- send(textWith(fmt.Sprintf(`,"stream":%t,"max_tokens":3`, stream))) }()
	}
	eventually(t, "both are under way", func() bool { return h.inFlightCalls() == 2 })
	send(textWith("")).wantRetry(t, 1, 1)
	g.open()
	for range 2 {
		if got := <-answers; got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	for range 5 {
		send(`{"model":"fake"}`).wantError(t, 400, "missing_required_parameter")
	}
	eventually(t, "the account is empty", func() bool { return h.runningVisits() == 0 })
}

// runningVisits counts the requests of all keys.
func (s *Server) runningVisits() (n int) {
	s.visits.mu.Lock()
	defer s.visits.mu.Unlock()
	for i := range s.Access.Keys {
		n += s.visits.ledger.Running(s.Access.Keys[i].ID)
	}
	return n
}

// Tokens are charged before a request runs, and what it leaves unused is given back.
func TestTokensOfAKey(t *testing.T) {
	h, send := limitedKey(t, auth.Limits{TokensPerMinute: 100}, setup{})
	whole := func(extra string) int {
		t.Helper()
		return decode[openai.CompletionAnswer](t, send(textWith(extra))).Usage.Value.TotalTokens
	}
	send(textWith(`,"max_tokens":50,"n":2`)).wantError(t, 400, "request_above_quota")
	if got := whole(`,"max_tokens":48,"allowed_token_ids":[0,50],"logit_bias":{"0":100}`); got > 10 { // ends at once
		t.Fatalf("the answer has %d tokens", got)
	}
	if got := whole(`,"max_tokens":78,"ignore_eos":true`); got != 80 {
		t.Errorf("got %d tokens; want 80", got)
	}
	send(textWith(`,"max_tokens":48`)).wantRetry(t, 15, 25)
	send(textWith(`,"max_tokens":48,"stream":true`)).wantRetry(t, 15, 25)
	if got := whole(`,"max_tokens":2,"stream":false`); got > 4 {
		t.Errorf("got %d tokens", got)
	}
	if h.runningVisits() != 0 {
		t.Error("a visit did not end")
	}
}

// A request that names no max_tokens asks for as much as its key may have.
func TestDefaultFitsTheQuota(t *testing.T) {
	h, _ := limitedKey(t, auth.Limits{}, setup{})
	k, secret := newKey(t, auth.Key{Scopes: auth.Inference, Limits: auth.Limits{TokensPerMinute: 60}})
	h.SetKeys([]auth.Key{k})
	answer := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(`,"ignore_eos":true,"n":2`), "Authorization", "Bearer "+secret))
	if u := answer.Usage; u.CompletionTokens != 2*(30-u.PromptTokens) {
		t.Errorf("got %+v; want a total within 2 x 30", u)
	}
}

func TestRequestsOfAKey(t *testing.T) {
	_, send := limitedKey(t, auth.Limits{RequestsPerMinute: 2}, setup{})
	for range 2 {
		if got := send(textWith(`,"max_tokens":1`)); got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	send(textWith(`,"max_tokens":1`)).wantRetry(t, 25, 30)
}

// The cost of a request is known and refused before the engine hears of it.
func TestSec_R04Cost(t *testing.T) {
	h := start(t, setup{config: func(c *Config) { c.Limits = DefaultLimits(); c.Limits.RequestTokens = 500 }})
	prompts := func(n int) string { return "[" + strings.Repeat(`"hi",`, n-1) + `"hi"]` }
	for body, code := range map[string]string{
		textWith(`,"n":128,"max_tokens":2`):                                              "request_too_expensive",
		textWith(`,"max_tokens":250,"n":2`):                                              "request_too_expensive",
		`{"model":"fake","prompt":` + prompts(256) + `,"max_tokens":1}`:                  "request_too_expensive",
		textWith(`,"n":129`):                                                             "integer_above_max_value",
		`{"model":"fake","prompt":` + prompts(257) + `}`:                                 "array_above_max_length",
		`{"model":"fake","prompt":` + prompts(256) + `,"n":5}`:                           "invalid_value",
		textWith(`,"max_tokens":9007199254740993`):                                       "integer_above_max_value",
		textWith(`,"max_tokens":1e99`):                                                   "invalid_type",
		`{"model":"fake","prompt":""}`:                                                   "",
		`{"model":"fake","prompt":[]}`:                                                   "",
		`{"model":"fake","prompt":[[]]}`:                                                 "",
		`{"model":"fake","prompt":"` + strings.Repeat("x", 300) + `","max_tokens":1}`:    "context_length_exceeded",
		`{"model":"fake","prompt":"` + strings.Repeat("x", 200) + `","n":2,"best_of":2}`: "",
	} {
		got := h.send(t, "POST", "/v1/completions", body)
		var e openai.Error
		if e.UnmarshalJSON(got.body); code != "" {
			got.wantError(t, 400, code)
		} else if got.status != 400 && !strings.Contains(body, "best_of") {
			t.Errorf("%.100s: got %d %s", body, got.status, got.body)
		}
	}
	h.send(t, "POST", "/v1/chat/completions", `{"model":"fake","messages":[]}`).wantError(t, 400, "empty_array")
	if s := h.Engine.Stats(); s.PromptTokens > 2*200 {
		t.Errorf("the engine has read %d tokens", s.PromptTokens)
	}
	if got := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"n":8`)); got.status != 200 { // its share of the limit, since it names none
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// Every number of every request has a least and a most value.
func TestSec_R04NumbersAreBounded(t *testing.T) {
	count := 0
	var check func(path string, schema any)
	check = func(path string, schema any) {
		switch s := schema.(type) {
		case openai.Object:
			if kind := s["type"]; kind == "number" || kind == "integer" {
				if count++; s["minimum"] == nil || s["maximum"] == nil {
					t.Errorf("%s has no bounds: %v", path, s)
				}
			}
			if s["type"] == "array" && s["maxItems"] == nil {
				t.Errorf("%s has no longest length", path)
			}
			for name, inner := range s {
				check(path+"/"+name, inner)
			}
		case map[string]openai.Object:
			for name, inner := range s {
				check(path+"/"+name, inner)
			}
		case []openai.Object:
			for i, inner := range s {
				check(fmt.Sprintf("%s/%d", path, i), inner)
			}
		}
	}
	for _, r := range routes {
		if r.page.request != "" {
			check(r.page.request, openai.Schemas()[r.page.request])
		}
	}
	if count < 20 {
		t.Errorf("only %d numbers were found", count)
	}
}

// A request that has not ended in time is cut, in the queue as in the middle of its answer, and its pages are free again.
func TestRequestTimeout(t *testing.T) {
	g := newGate()
	g.open()
	h := start(t, setup{runner: g.hold(0), options: func(o *engine.Options) { longContext(o); o.Config.MaxSlots = 1 }, config: func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.RequestTimeout = 300 * time.Millisecond
	}})
	var done sync.WaitGroup
	for range 3 { // one runs, the others wait
		done.Go(func() {
			got := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"ignore_eos":true`))
			got.wantError(t, 504, "request_deadline_exceeded")
			if got.header.Get("x-should-retry") != "false" {
				t.Error("clients are not told to leave it")
			}
		})
	}
	done.Wait()
	stream := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"ignore_eos":true,"stream":true`))
	if all := events(t, stream.body); len(all) < 2 || !strings.Contains(all[len(all)-1], `"code":"request_deadline_exceeded"`) {
		t.Errorf("the stream ended with %s", all[len(all)-1])
	}
	eventually(t, "nothing is left", func() bool { s := h.Engine.Stats(); return s.Sequences() == 0 && s.Pages.Held == 0 })
}

// fakeConn is a connection from an address.
type fakeConn struct {
	net.Conn
	from string
}

func (c *fakeConn) RemoteAddr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", c.from)
	if err != nil {
		panic(err)
	}
	return a
}

// fakeListener gives connections and errors in order.
type fakeListener struct {
	net.Listener
	next chan any
}

func (l *fakeListener) Accept() (net.Conn, error) {
	switch x := (<-l.next).(type) {
	case error:
		return nil, x
	case string:
		mine, _ := net.Pipe()
		return &fakeConn{mine, x}, nil
	}
	return nil, net.ErrClosed
}

// One address has so many connections and no more; loopback and other addresses are not touched, and a process without a free file
// goes on.
func TestConnectionsOfAnAddress(t *testing.T) {
	from := &fakeListener{next: make(chan any, 100)}
	s := &Server{limits: Limits{ConnectionsPerIP: 2}}
	l := s.listener(from)
	accept := func(want string, given ...any) net.Conn {
		t.Helper()
		for _, g := range given {
			from.next <- g
		}
		c, err := l.Accept()
		if err != nil || c.RemoteAddr().String() != want {
			t.Fatalf("got %v, %v; want %s", c, err, want)
		}
		return c
	}
	first := accept("10.0.0.1:1", "10.0.0.1:1")
	accept("10.0.0.1:2", "10.0.0.1:2")
	accept("10.0.0.2:1", "10.0.0.1:3", os.NewSyscallError("accept", syscall.EMFILE), "[::ffff:10.0.0.1]:3", "10.0.0.2:1")
	first.Close()
	first.Close() // twice is once
	accept("10.0.0.1:4", "10.0.0.1:4")
	accept("[2001:db8::1]:1", "10.0.0.1:5", "[2001:db8::1]:1")
	accept("[2001:db8::2]:1", "[2001:db8::2]:1")
	accept("[2001:db8:0:1::1]:1", "[2001:db8::3]:1", "[2001:db8:0:1::1]:1")
	for i := range 5 {
		accept(fmt.Sprintf("127.0.0.1:%d", i+1), fmt.Sprintf("127.0.0.1:%d", i+1))
	}
	from.next <- nil
	if _, err := l.Accept(); err != net.ErrClosed {
		t.Errorf("got %v; want the listener's end", err)
	}
}

// After many requests, broken and broken off ones among them, no goroutine, page, file or place on a key's account is left.
// ASTRO_SOAK makes it more than 10,000 of them.
func TestSec_R11NothingLeaks(t *testing.T) {
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	k, secret := newKey(t, auth.Key{Scopes: auth.Inference, Limits: auth.Limits{ConcurrentRequests: 1000, TokensPerMinute: auth.MaxPerMinute}})
	h := start(t, setup{config: func(c *Config) { c.Access.Keys = []auth.Key{k} }})
	rounds := 8
	if os.Getenv("ASTRO_SOAK") != "" {
		rounds = 180
	}
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() { hammer(t, h, secret, rounds) })
	}
	done.Wait()
	eventually(t, "all pages are given back", func() bool { return h.Engine.Stats().Pages.Held == 0 })
	eventually(t, "all requests have left the account", func() bool { return h.runningVisits() == 0 })
	h.client.CloseIdleConnections()
	if err := h.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	defer func() {
		if t.Failed() {
			stacks := make([]byte, 1<<20)
			t.Logf("%s", stacks[:runtime.Stack(stacks, true)])
		}
	}()
	const stay = 2 // the engine's, and fasthttp's clock, which the first server of a process starts
	eventually(t, "all other goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines+stay })
	eventually(t, "all files are closed", func() bool { return openFiles(t) <= files })
}

// hammer sends rounds of good, bad and abandoned requests.
func hammer(t *testing.T, h *harness, secret string, rounds int) {
	key := []string{"Authorization", "Bearer " + secret}
	for range rounds {
		h.send(t, "POST", "/v1/chat/completions", chatWith(`,"n":3,"max_tokens":9,"stop":"a"`), key...)
		h.send(t, "POST", "/v1/chat/completions", chatWith(`,"n":3,"max_tokens":9,"stream":true`), key...)
		h.send(t, "POST", "/v1/chat/completions", chatWith(`,"n":0`), key...)
		h.send(t, "POST", "/v1/chat/completions", chatWith(``))
		h.send(t, "POST", "/tokenize", `{"prompt":"hi"}`, key...)
		for _, stream := range []bool{true, false} {
			h.post(t, chatWith(fmt.Sprintf(`,"n":3,"stream":%t`, stream)), key...).Close()
		}
	}
}

// openFiles counts the files of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc/self/fd to count files in")
	}
	return len(all)
}

// A thousand clients that say nothing, and some that send one byte at a time, do not keep others out; they are gone after the header's
// time.
func TestSec_R12SilentClients(t *testing.T) {
	h := start(t, setup{config: func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.HeaderTimeout = time.Second
	}})
	silent := make([]net.Conn, 300)
	for i := range silent {
		c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if silent[i] = c; i%2 == 0 {
			c.Write([]byte("POST /v1/comp"))
		}
	}
	if got := h.send(t, "POST", "/v1/completions", textWith(`,"max_tokens":2`)); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	for _, c := range silent {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatal("a silent client was not cut")
		}
	}
}

// A body in a hundred thousand chunks is a body; it takes no more memory than its bytes.
func TestSec_R12ManyChunks(t *testing.T) {
	h := start(t, setup{})
	body := textWith(`,"max_tokens":1` + strings.Repeat(" ", 100_000))
	var chunks strings.Builder
	for i := range len(body) {
		chunks.WriteString("1\r\n" + body[i:i+1] + "\r\n")
	}
	answer := h.raw(t, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"+
		chunks.String()+"0\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Errorf("got %.300q", answer)
	}
}

// The engine's watchdog: /ready follows a step that never ends, and names no request for it.
func TestWatchdogNeedsNoRequest(t *testing.T) {
	g := newGate()
	h := start(t, setup{runner: func(r *enginetest.Runner) { g.hold(0)(r) }, options: func(o *engine.Options) { o.StepTimeout = 20 * time.Millisecond }})
	defer g.open()
	for range 3 {
		h.post(t, chatWith(`,"stream":true`))
	}
	eventually(t, "it is not ready", func() bool { return h.send(t, "GET", "/ready", "").status == 503 })
	if got := h.send(t, "GET", "/ready", ""); !strings.Contains(string(got.body), "does not move") {
		t.Errorf("got %s", got.body)
	}
}
