package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"astro/engine/enginetest"
)

// Twenty drains under load: whatever was accepted is answered whole, or says that the server is going; nothing is cut without a word,
// and the drain ends within its bound.
func TestDrainsUnderLoad(t *testing.T) {
	for i := range 20 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			g := newGate()
			g.open()
			h := start(t, setup{runner: func(r *enginetest.Runner) { g.hold(0)(r) }})
			stop := make(chan struct{})
			var clients sync.WaitGroup
			for c := range 8 {
				clients.Go(func() { drainClient(t, h, c%2 == 0, stop) })
			}
			eventually(t, "the engine works", func() bool { return g.begun() > 5*i })
			bound := []time.Duration{0, 20 * time.Millisecond, time.Minute}[i%3]
			ctx, cancel := context.WithTimeout(context.Background(), bound)
			defer cancel()
			if err := h.Shutdown(ctx); err != nil && bound == time.Minute {
				t.Error(err)
			}
			close(stop)
			clients.Wait()
			eventually(t, "the engine is empty", func() bool { s := h.Engine.Stats(); return s.Sequences() == 0 && s.Pages.Held == 0 })
		})
	}
}

// drainClient asks until the server is gone.
func drainClient(t *testing.T, h *harness, stream bool, stop <-chan struct{}) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for {
		select {
		case <-stop:
			return
		default:
		}
		answer, err := client.Post(h.url+"/v1/chat/completions", "application/json", strings.NewReader(chatWith(fmt.Sprintf(`,"n":2,"max_tokens":20,"stream":%t`, stream))))
		if err != nil {
			continue // it was not accepted: the listener or an idle connection is closed
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		switch told := bytes.Contains(body, []byte(`"code":"service_unavailable"`)); {
		case err != nil:
			t.Errorf("an answer with status %d was cut after %d bytes: %v", answer.StatusCode, len(body), err)
		case answer.StatusCode == 200 && stream && !bytes.HasSuffix(body, []byte("data: [DONE]\n\n")):
			t.Errorf("a stream ended with %.100q", body[max(0, len(body)-100):])
		case answer.StatusCode == 503 && !told, answer.StatusCode != 200 && answer.StatusCode != 503:
			t.Errorf("got %d %s", answer.StatusCode, body)
		}
	}
}

// A stream may last much longer than the time that a client has to take one event.
func TestSec_R25LongStream(t *testing.T) {
	g := newGate()
	g.open()
	h := start(t, setup{runner: func(r *enginetest.Runner) { g.hold(0)(r) }, options: longContext, config: func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.WriteTimeout = 100 * time.Millisecond
	}})
	begin := time.Now()
	got := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"stream":true,"ignore_eos":true,"max_tokens":400`)) // a millisecond or more for each
	if all := events(t, got.body); !strings.Contains(all[len(all)-1], `"finish_reason":"length"`) {
		t.Errorf("%d events in %v, the last %s", len(all), time.Since(begin), all[len(all)-1])
	}
	if time.Since(begin) < 2*h.limits.WriteTimeout {
		t.Errorf("the stream lasted %v: too short to show anything", time.Since(begin))
	}
}
