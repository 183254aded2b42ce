package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/openai"
)

// withRoutes adds routes until the test ends.
func withRoutes(t *testing.T, more ...route) {
	old := routes
	routes = append(append([]route{}, old...), more...)
	t.Cleanup(func() { routes = old })
}

// A panic in a handler is a 500 with the id of a log entry; a panic in a stream is an error event. The server goes on.
func TestSec_R23PanicsStayInTheirRequest(t *testing.T) {
	withRoutes(t,
		route{method: "GET", path: "/panic", open: true, handle: func(*Server, *fasthttp.RequestCtx, string) *openai.Error { panic("secret detail") }},
		route{method: "GET", path: "/panic-stream", open: true, handle: func(s *Server, ctx *fasthttp.RequestCtx, id string) *openai.Error {
			s.startStream(ctx, id, func(*eventWriter) { panic("secret detail") })
			return nil
		}})
	h := start(t, setup{})
	got := h.send(t, "GET", "/panic", "", "x-request-id", "my-id")
	got.wantError(t, 500, "internal_error")
	stream := h.send(t, "GET", "/panic-stream", "")
	if text := string(got.body) + string(stream.body); strings.Contains(text, "secret") || !strings.Contains(string(stream.body), `data: {"error":`) {
		t.Errorf("got %s", text)
	}
	if log := h.log.String(); strings.Count(log, "secret detail") != 2 || !strings.Contains(log, "my-id") {
		t.Errorf("the log does not hold both panics with their ids: %s", log)
	}
	if h.send(t, "GET", "/health", "").status != 200 {
		t.Error("the server did not go on")
	}
}

// A device that fails one step fails the requests of that step, as 500 or as an event, and the next request works.
func TestEngineFailure(t *testing.T) {
	fail := make(chan error, 1)
	h := start(t, setup{runner: func(r *enginetest.Runner) {
		r.OnRun = func(int, *engine.Plan) error {
			select {
			case err := <-fail:
				return err
			default:
				return nil
			}
		}
	}})
	fail <- errors.New("device at 0xdeadbeef is on fire")
	got := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"n":3`))
	got.wantError(t, 500, "internal_error")
	eventually(t, "the engine is idle", func() bool { return h.Engine.Stats().Sequences() == 0 }) // else a step of the first could take the second failure
	fail <- errors.New("device at 0xdeadbeef is on fire")
	stream := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"stream":true`))
	if last := events(t, stream.body); !strings.Contains(last[len(last)-1], `"code":"internal_error"`) {
		t.Errorf("the stream ended with %s", last[len(last)-1])
	}
	if text := string(got.body) + string(stream.body); strings.Contains(text, "fire") {
		t.Errorf("internal text reached the client: %s", text)
	}
	if !strings.Contains(h.log.String(), "on fire") {
		t.Error("the log does not say why")
	}
	if got := h.send(t, "POST", "/v1/chat/completions", chatWith("")); got.status != 200 {
		t.Errorf("the next request got %d %s", got.status, got.body)
	}
}

// A full queue is a 429 that says when to come back; the others are answered.
func TestQueueFull(t *testing.T) {
	g := newGate()
	h := start(t, setup{runner: g.hold(0), options: func(o *engine.Options) { o.Config.MaxQueuedRequests, o.Config.MaxSlots = 1, 1 }})
	defer g.open()
	h.post(t, chatWith(""))
	eventually(t, "a request runs", func() bool { return g.begun() > 0 })
	h.post(t, chatWith(""))
	eventually(t, "a request waits to be submitted", func() bool { return h.inFlightCalls() == 2 })
	var got reply
	eventually(t, "the queue is full", func() bool {
		quick := make(chan reply, 1)
		go func() { quick <- h.send(t, "POST", "/v1/chat/completions", chatWith("")) }()
		select {
		case got = <-quick:
			return got.status == 429
		case <-time.After(100 * time.Millisecond):
			return false // this one waits, too: the next is refused
		}
	})
	got.wantError(t, 429, "rate_limit_exceeded")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// /ready follows the engine, /health does not.
func TestReadyFollowsTheEngine(t *testing.T) {
	g := newGate()
	h := start(t, setup{runner: g.hold(0), options: func(o *engine.Options) { o.StepTimeout = 20 * time.Millisecond }})
	defer g.open()
	if h.send(t, "GET", "/ready", "").status != 200 {
		t.Error("an idle engine is not ready")
	}
	h.post(t, chatWith(`,"max_tokens":1`))
	eventually(t, "a hung step makes it unready", func() bool { return h.send(t, "GET", "/ready", "").status == 503 })
	if h.send(t, "GET", "/health", "").status != 200 {
		t.Error("the process is not healthy")
	}
	g.open()
	eventually(t, "it is ready again", func() bool { return h.send(t, "GET", "/ready", "").status == 200 })
}

// What the model decides about a request: vocabulary, context, names.
func TestModelChecks(t *testing.T) {
	h := start(t, setup{})
	chat, text := "/v1/chat/completions", "/v1/completions"
	for _, c := range []struct {
		path, body string
		status     int
		code       string
	}{
		{chat, strings.Replace(chatWith(""), "fake", "nope", 1), 404, "model_not_found"},
		{chat, chatWith(`,"max_tokens":10000`), 400, "context_length_exceeded"},
		{chat, strings.Replace(chatWith(""), "hi", strings.Repeat("x", 300), 1), 400, "context_length_exceeded"},
		{chat, chatWith(`,"stop_token_ids":[100000]`), 400, "invalid_value"},
		{chat, chatWith(`,"logit_bias":{"100000":1}`), 400, "invalid_value"},
		{text, `{"model":"fake","prompt":[1,100000]}`, 400, "invalid_value"},
		{text, `{"model":"fake","prompt":"x","min_tokens":17}`, 400, "invalid_value"},
		{chat, `{`, 400, ""},
	} {
		h.send(t, "POST", c.path, c.body).wantError(t, c.status, c.code)
	}
}
