package servertest

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// pollInterval is the time between two looks at the metrics.
const pollInterval = 20 * time.Millisecond

// settled runs requests until they ran alone and no program was compiled meanwhile: only then do equal requests run in the same programs
// and compute the same numbers to the last bit. What is not compiled yet runs in a larger program, which may add in another order.
func (s *suite) settled(t *testing.T, ctx context.Context, run func()) {
	t.Helper()
	run() // leaves its prompt's pages in the cache for all that follow
	for {
		before := s.whenIdle(t, ctx)
		run()
		if s.gauges(t, ctx, "astro_programs_ready")[0] == before {
			return
		}
	}
}

// whenIdle waits until no request is in the engine, and gives the number of compiled programs.
func (s *suite) whenIdle(t *testing.T, ctx context.Context) (programs float64) {
	t.Helper()
	for {
		m := s.gauges(t, ctx, "astro_programs_ready", "vllm:num_requests_running", "vllm:num_requests_waiting")
		if m[1]+m[2] == 0 {
			return m[0]
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%g requests run, %g wait: %v", m[1], m[2], ctx.Err())
		case <-time.After(pollInterval):
		}
	}
}

// gauges reads metrics without labels, or whose labels do not matter; they must be there.
func (s *suite) gauges(t *testing.T, ctx context.Context, names ...string) []float64 {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	found := map[string]float64{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		line := lines.Text()
		name := line[:max(0, strings.IndexAny(line, "{ "))]
		if value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64); err == nil {
			found[name] = value
		}
	}
	values := make([]float64, len(names))
	for i, name := range names {
		value, there := found[name]
		if !there {
			t.Fatalf("GET /metrics: status %d, no %s", answer.StatusCode, name)
		}
		values[i] = value
	}
	return values
}
