package feedback_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"astro/feedback"
)

// rounds of each pair: the store and the baseline take turns, so that both see the same disk.
const benchRounds = 8

// BenchmarkAcknowledged stores completions of 60 tokens from 1, 16 and 64 goroutines, each waiting for its acknowledgement. The baseline is the
// least that anybody must do on this disk: append as many records of 700 bytes as there are writers, then one fdatasync.
func BenchmarkAcknowledged(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			s := opened(b, filepath.Join(b.TempDir(), "state.db"))
			raw, err := os.OpenFile(filepath.Join(b.TempDir(), "raw"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
			noError(b, err)
			defer raw.Close()
			var stored, appended time.Duration
			before, n := s.Stats(), 0
			for b.Loop() {
				for range benchRounds {
					stored += timed(func() { storeMany(b, s, writers, &n) })
					appended += timed(func() { appendMany(b, raw, writers) })
				}
			}
			done := float64(n)
			after := s.Stats()
			b.ReportMetric(done/stored.Seconds(), "acks/s")
			b.ReportMetric(done/appended.Seconds(), "raw-acks/s")
			b.ReportMetric(float64(after.Operations-before.Operations)/float64(after.Commits-before.Commits), "ops/commit")
		})
	}
}

// benchEach is what each writer stores in a round.
const benchEach = 20

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func storeMany(b *testing.B, s *feedback.Store, writers int, n *int) {
	var wait sync.WaitGroup
	var failed atomic.Bool
	first := *n
	for w := range writers {
		wait.Go(func() {
			for i := range benchEach {
				c := answer(fmt.Sprint("c", first+w*benchEach+i))
				c.Prompt, c.Output, c.Logprobs, c.Spans = c.Prompt[:30], c.Output[:30], c.Logprobs[:30], []feedback.Span{{Version: 1, End: 30}}
				if s.Add(b.Context(), c) != nil {
					failed.Store(true)
				}
			}
		})
	}
	wait.Wait()
	if *n += writers * benchEach; failed.Load() {
		b.Fatal("an operation failed")
	}
}

func appendMany(b *testing.B, f *os.File, writers int) {
	record := make([]byte, 700)
	for range benchEach {
		for range writers {
			_, err := f.Write(record)
			noError(b, err)
		}
		noError(b, syscall.Fdatasync(int(f.Fd())))
	}
}
