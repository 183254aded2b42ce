package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"astro/engine"
	"astro/engine/enginetest"
)

// soaking says that ASTRO_SOAK asks for the long forms: make soak.
func soaking() bool { return os.Getenv("ASTRO_SOAK") != "" }

// load is what many connections saw.
type load struct {
	mu       sync.Mutex
	perToken []time.Duration // of each answer: its time over its tokens
	answers  int
	failed   []string
}

// ask keeps one connection busy until stop, or for some requests.
func (l *load) ask(h *harness, seed uint64, requests int, stop <-chan struct{}) {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	rng := rand.New(rand.NewPCG(seed, 3))
	for i := 0; i < requests; i++ {
		select {
		case <-stop:
			return
		default:
		}
		tokens, stream := 4+rng.IntN(28), rng.IntN(2) == 0
		body := strings.Replace(chatWith(fmt.Sprintf(`,"max_tokens":%d,"ignore_eos":true,"stream":%t`, tokens, stream)), `"hi"`, `"`+strings.Repeat("word ", rng.IntN(20))+`"`, 1)
		begin := time.Now()
		answer, err := client.Post(h.url+"/v1/chat/completions", "application/json", strings.NewReader(body))
		if err != nil {
			l.add(0, err.Error())
			continue
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		wrong := ""
		if err != nil || answer.StatusCode != 200 || stream && !strings.HasSuffix(string(text), "data: [DONE]\n\n") {
			wrong = fmt.Sprintf("status %d, %v: %.200s", answer.StatusCode, err, text)
		}
		l.add(time.Since(begin)/time.Duration(tokens), wrong)
	}
}

func (l *load) add(perToken time.Duration, wrong string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers++
	if wrong != "" {
		l.failed = append(l.failed, wrong)
		return
	}
	l.perToken = append(l.perToken, perToken)
}

// report prints percentiles and fails for answers that were not right.
func (l *load) report(t *testing.T) {
	t.Helper()
	slices.Sort(l.perToken)
	if len(l.failed) > 0 || len(l.perToken) == 0 {
		t.Fatalf("%d of %d answers failed, the first: %.300s", len(l.failed), l.answers, append(l.failed, "none")[0])
	}
	at := func(p int) time.Duration { return l.perToken[(len(l.perToken)-1)*p/100] }
	t.Logf("%d answers; host time per token and connection: p50 %v, p99 %v, most %v", l.answers, at(50), at(99), at(100))
}

// liveBytes is the heap after a collection.
func liveBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// wide is an engine that takes many at once.
func wide(o *engine.Options) {
	o.Config.MaxSlots, o.Config.Pages, o.Config.MaxQueuedRequests, o.Config.StepTokens = 64, 64*256/4, 512, 64+256
}

// TestSoak: many connections at once, for a minute with ASTRO_SOAK. Every answer is right, and memory ends where it was when all
// connections were there.
func TestSoak(t *testing.T) {
	connections, requests, lasts := 32, 6, time.Hour
	if soaking() {
		connections, requests, lasts = 256, 1<<30, time.Minute
	}
	h := start(t, setup{options: wide, config: func(c *Config) { c.Limits = DefaultLimits() }})
	phase := func(lasts time.Duration) *load {
		l, stop := &load{}, make(chan struct{})
		timer := time.AfterFunc(lasts, func() { close(stop) })
		defer timer.Stop()
		var clients sync.WaitGroup
		for c := range connections {
			clients.Go(func() { l.ask(h, uint64(c), requests, stop) })
		}
		clients.Wait()
		return l
	}
	phase(lasts / 6).report(t)
	before := liveBytes()
	phase(lasts).report(t)
	eventually(t, "nothing is left", func() bool { s := h.Engine.Stats(); return s.Sequences() == 0 && s.Pages.Held == 0 })
	after := liveBytes()
	t.Logf("%d connections; live heap %d KiB before, %d KiB after", connections, before>>10, after>>10)
	if after > before+16<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
}

// abortPhase is a point in a request's life at which its client goes away.
type abortPhase struct {
	name    string
	options func(*engine.Options)
	body    string
	wait    func(*rand.Rand, net.Conn) // until the client goes
}

func abortPhases() []abortPhase {
	long := strings.Replace(chatWith(`,"n":2,"ignore_eos":true,"max_tokens":100,"stream":%t`), `"hi"`, `"`+strings.Repeat("x", 100)+`"`, 1)
	short := chatWith(`,"n":2,"ignore_eos":true,"max_tokens":200,"stream":%t`)
	atOnce := func(*rand.Rand, net.Conn) {}
	soon := func(rng *rand.Rand, _ net.Conn) { time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond) }
	return []abortPhase{
		{"sent", wide, short, atOnce},
		{"in the queue", func(o *engine.Options) { wide(o); o.Config.MaxSlots = 2 }, short, soon},
		{"in prefill", func(o *engine.Options) { wide(o); o.Config.ChunkTokens = 1 }, long, soon},
		{"in decode", wide, short, func(rng *rand.Rand, c net.Conn) {
			c.SetReadDeadline(time.Now().Add(time.Duration(rng.IntN(20)) * time.Millisecond))
			io.ReadFull(c, make([]byte, 1+rng.IntN(2000))) // as much as has come
		}},
	}
}

// TestAbortStorm: clients that go away in every phase, 2,000 in each with ASTRO_SOAK, by sixteen at a time. Nothing of them stays: no
// sequence, page, goroutine or file; and the server answers.
func TestAbortStorm(t *testing.T) {
	aborts := 48
	if soaking() {
		aborts = 2000
	}
	for _, p := range abortPhases() {
		t.Run(p.name, func(t *testing.T) {
			goroutines, files := runtime.NumGoroutine(), openFiles(t)
			h := start(t, setup{options: p.options, runner: func(r *enginetest.Runner) { g := newGate(); g.open(); g.hold(0)(r) }})
			var clients sync.WaitGroup
			for c := range 16 {
				clients.Go(func() { abort(t, h, p, uint64(c), aborts/16) })
			}
			clients.Wait()
			eventually(t, "nothing of them is left", func() bool {
				s := h.Engine.Stats()
				return s.Sequences() == 0 && s.Pages.Held == 0 && h.inFlightCalls() == 0 && openFiles(t) <= files+2
			})
			if got := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"max_tokens":2`)); got.status != 200 {
				t.Errorf("a good request got %d %s", got.status, got.body)
			}
			if soaking() { // it takes fasthttp ten seconds to end the goroutines of its pool
				h.client.CloseIdleConnections()
				if err := h.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				eventually(t, "all goroutines but the engine's and fasthttp's clock have ended", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
			}
		})
	}
}

// abort is one client that goes away again and again.
func abort(t *testing.T, h *harness, p abortPhase, seed uint64, times int) {
	rng := rand.New(rand.NewPCG(seed, 9))
	ways := []string{"close", "half-close", "reset"}
	for range times {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Error(err)
			return
		}
		body := fmt.Sprintf(p.body, rng.IntN(2) == 0)
		fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		p.wait(rng, conn)
		leave[ways[rng.IntN(3)]](conn)
		conn.Close()
	}
}
