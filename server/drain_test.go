package server

import (
	"context"
	"errors"
	"strings"
	"testing"

	"astro/engine"
)

// shutdown starts a drain and returns its end.
func (h *harness) shutdown(ctx context.Context) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- h.Shutdown(ctx) }()
	return ended
}

// A drain says 503 at once, to probes and to new work, and lets what runs finish.
func TestDrainFinishesWork(t *testing.T) {
	g := newGate()
	h := start(t, setup{runner: g.hold(0)})
	defer g.open()
	answer := make(chan reply, 1)
	go func() {
		answer <- h.send(t, "POST", "/v1/chat/completions", chatWith(`,"stream":true,"max_tokens":9,"ignore_eos":true`))
	}()
	eventually(t, "a request runs", func() bool { return g.begun() > 0 })
	ended := h.shutdown(context.Background())
	eventually(t, "it is not ready", func() bool { return h.send(t, "GET", "/ready", "").status == 503 })
	if got := h.send(t, "GET", "/health", ""); got.status != 200 {
		t.Errorf("/health: got %d", got.status)
	}
	refused := h.send(t, "POST", "/v1/chat/completions", chatWith(""))
	refused.wantError(t, 503, "service_unavailable")
	if refused.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	g.open()
	got := <-answer
	if all := events(t, got.body); !strings.Contains(all[len(all)-1], `"finish_reason":"length"`) {
		t.Errorf("the stream ended with %s", all[len(all)-1])
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A drain that runs out of time cancels what is left, which the clients are told.
func TestDrainRunsOutOfTime(t *testing.T) {
	g := newGate()
	g.open()
	h := start(t, setup{runner: g.hold(0), options: longContext})
	whole, stream := make(chan reply, 1), make(chan reply, 1)
	go func() { whole <- h.send(t, "POST", "/v1/chat/completions", chatWith(`,"ignore_eos":true`)) }()
	go func() {
		stream <- h.send(t, "POST", "/v1/chat/completions", chatWith(`,"ignore_eos":true,"stream":true`))
	}()
	eventually(t, "both run", func() bool { return h.Engine.Stats().Running == 2 })
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if err := <-h.shutdown(now); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want the context's error", err)
	}
	(<-whole).wantError(t, 503, "service_unavailable")
	if all := events(t, (<-stream).body); !strings.Contains(all[len(all)-1], `"code":"service_unavailable"`) {
		t.Errorf("the stream ended with %s", all[len(all)-1])
	}
	eventually(t, "both are cancelled", func() bool { return h.finished(engine.FinishCancel) == 2 })
}
