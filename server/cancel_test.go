package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"astro/engine"
	"astro/engine/enginetest"
)

// gate lets a test hold the engine before a step.
type gate struct {
	mu    sync.Mutex
	shut  chan struct{} // closed = steps may run
	steps int           // begun
}

func newGate() *gate { return &gate{shut: make(chan struct{})} }

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.shut:
	default:
		close(g.shut)
	}
}

func (g *gate) begun() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.steps
}

// hold makes every step from number first on wait for the gate; steps after the gate is open take a millisecond, so that a long
// answer lasts longer than a cancellation.
func (g *gate) hold(first int) func(*enginetest.Runner) {
	return func(r *enginetest.Runner) {
		r.OnRun = func(step int, _ *engine.Plan) error {
			g.mu.Lock()
			g.steps++
			g.mu.Unlock()
			if step >= first {
				<-g.shut
			}
			time.Sleep(time.Millisecond)
			return nil
		}
	}
}

// post sends a chat request on a connection of its own and reads nothing; header holds pairs.
func (h *harness) post(t *testing.T, body string, header ...string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	lines := ""
	for i := 0; i < len(header); i += 2 {
		lines += header[i] + ": " + header[i+1] + "\r\n"
	}
	fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", lines, len(body), body)
	return conn
}

// longContext makes room for answers that never end by themselves during a test.
func longContext(o *engine.Options) {
	o.Config.MaxContextTokens, o.Config.Pages = 1<<16, 1<<15
	o.Config.MaxQueuedTokens = 1 << 20
}

// leave is how clients go away.
var leave = map[string]func(net.Conn){
	"close":      func(c net.Conn) { c.Close() },
	"half-close": func(c net.Conn) { c.(*net.TCPConn).CloseWrite() },
	"reset":      func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() },
}

// eachLeave runs a case for streams and whole answers, and for every way to go away.
func eachLeave(t *testing.T, run func(t *testing.T, body string, leave func(net.Conn))) {
	for _, stream := range []bool{false, true} {
		for name, f := range leave {
			t.Run(fmt.Sprintf("stream=%t/%s", stream, name), func(t *testing.T) {
				run(t, chatWith(fmt.Sprintf(`,"stream":%t,"n":2,"ignore_eos":true`, stream)), f)
			})
		}
	}
}

// A client that goes away while its request waits for a slot takes the request with it; the one that runs is not touched.
func TestSec_R24DisconnectInQueue(t *testing.T) {
	eachLeave(t, func(t *testing.T, body string, leave func(net.Conn)) {
		g := newGate()
		h := start(t, setup{runner: g.hold(1), options: func(o *engine.Options) {
			longContext(o)
			o.Config.MaxSlots = 2
		}})
		defer g.open()
		running := h.post(t, body)
		eventually(t, "the first request runs", func() bool { return g.begun() > 0 })
		g.open()
		waiting := h.post(t, body)
		eventually(t, "the second request waits", func() bool { return h.Engine.Stats().Waiting == 2 })
		leave(waiting)
		eventually(t, "the second request is cancelled", func() bool { return h.finished(engine.FinishCancel) == 2 })
		if stats := h.Engine.Stats(); stats.Running != 2 {
			t.Errorf("got %d running; want 2", stats.Running)
		}
		running.Close()
	})
}

// A client that goes away during prefill is cancelled at the end of that step, before a token was drawn.
func TestSec_R24DisconnectInPrefill(t *testing.T) {
	eachLeave(t, func(t *testing.T, body string, leave func(net.Conn)) {
		g := newGate()
		h := start(t, setup{runner: g.hold(0), options: func(o *engine.Options) {
			longContext(o)
			o.Config.ChunkTokens = 1 // the prompt takes several steps
		}})
		defer g.open()
		conn := h.post(t, body)
		eventually(t, "prefill has begun", func() bool { return g.begun() > 0 })
		leave(conn)
		eventually(t, "the server has noticed", func() bool { return h.inFlightCalls() == 0 })
		g.open()
		eventually(t, "the request is cancelled", func() bool { return h.finished(engine.FinishCancel) == 2 })
		if stats := h.Engine.Stats(); stats.Sequences() != 0 || stats.Pages.Held != 0 {
			t.Errorf("got %d sequences, %d pages held; want none", stats.Sequences(), stats.Pages.Held)
		}
	})
}

// A client that goes away between two tokens is cancelled long before its answer would end.
func TestSec_R24DisconnectInDecode(t *testing.T) {
	eachLeave(t, func(t *testing.T, body string, leave func(net.Conn)) {
		g := newGate()
		g.open()
		h := start(t, setup{runner: g.hold(0), options: longContext})
		conn := h.post(t, body)
		eventually(t, "tokens are drawn", func() bool { return g.begun() > 10 })
		leave(conn)
		eventually(t, "the request is cancelled", func() bool { return h.finished(engine.FinishCancel) == 2 })
		eventually(t, "nothing is in flight", func() bool { return h.inFlightCalls() == 0 && h.Engine.Stats().Pages.Held == 0 })
	})
}

func (s *Server) inFlightCalls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.inFlight)
}

// A client that stays connected and does not read makes its own sequences wait; others go on. After the write timeout it is cut.
func TestSec_R25SlowReader(t *testing.T) {
	h := start(t, setup{options: longContext, config: func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.WriteTimeout = 300 * time.Millisecond
	}})
	conn := h.post(t, chatWith(`,"stream":true,"ignore_eos":true,"logprobs":true,"top_logprobs":20,"n":4`))
	conn.(*net.TCPConn).SetReadBuffer(4096)
	eventually(t, "the stream has begun", func() bool { return h.Engine.Stats().Running > 0 })
	if got := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"max_tokens":5`)); got.status != 200 {
		t.Errorf("another client got %d %s", got.status, got.body)
	}
	eventually(t, "the slow reader is cut", func() bool { return h.finished(engine.FinishCancel) == 4 })
}

// A stream with nothing to say sends comments.
func TestKeepAlive(t *testing.T) {
	g := newGate()
	h := start(t, setup{runner: g.hold(0), config: func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.KeepAliveInterval = 5 * time.Millisecond
	}})
	defer g.open()
	conn := h.post(t, chatWith(`,"stream":true,"max_tokens":2`))
	r, comments := bufio.NewReader(conn), 0
	for comments < 3 {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == ": keep-alive\n" {
			comments++
		}
	}
	g.open()
	for {
		line, err := r.ReadString('\n')
		if err == io.EOF || err != nil {
			t.Fatalf("no [DONE] after the comments: %v", err)
		}
		if line == "data: [DONE]\n" {
			return
		}
	}
}
