package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"astro/openai/client"
)

// runner is one level at work.
type runner struct {
	*asker
	level
	samples chan Sample // ends that nobody has counted yet
}

// runLevel warms up and measures.
func runLevel(ctx context.Context, c *Config, a *asker, l level) (Figures, error) {
	r := &runner{asker: a, level: l, samples: make(chan Sample, MaxConcurrency)}
	if err := r.warm(ctx); err != nil {
		return Figures{}, err
	}
	begin, used := c.elapsed(), cpuTime()
	go func() {
		defer close(r.samples)
		if l.concurrency > 0 {
			r.closed(ctx, begin)
		} else {
			r.open(ctx, begin)
		}
	}()
	samples := r.collect(begin)
	if ctx.Err() != nil {
		return Figures{}, context.Cause(ctx)
	}
	f := figure(samples, c.MaxTokens, c.SLO)
	f.Level, f.Concurrency, f.Rate, f.Warmup = l.String(), l.concurrency, l.rate, r.warmups()
	f.over(c.elapsed()-begin, cpuTime()-used)
	return f, nil
}

// warmups is the number of requests before the level that are not counted.
func (r *runner) warmups() int {
	if r.config.Warmup >= 0 {
		return r.config.Warmup
	}
	const least = 4
	return max(r.concurrency, least)
}

// warm sends requests that are not counted: connections are made, and servers compile and allocate. All of them failing ends the run.
func (r *runner) warm(ctx context.Context) error {
	n := r.warmups()
	if n == 0 {
		return nil
	}
	failures := make(chan error, n)
	var next atomic.Int64
	r.work(min(n, max(1, r.concurrency)), func(rec *recorder) bool {
		i := int(next.Add(1)) - 1
		if i >= n || ctx.Err() != nil {
			return false
		}
		failures <- rec.run(ctx, r.asker, r.body(warmupStream+uint64(r.index), uint64(i)), 0).Err
		return true
	})
	close(failures)
	var last error
	failed := 0
	for err := range failures {
		if err != nil {
			last = err
			failed++
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed == n {
		return fmt.Errorf("every warm-up request failed, the last with: %w", last)
	}
	return nil
}

// work runs step on some goroutines, each with a recorder of its own, until it says false.
func (r *runner) work(workers int, step func(*recorder) bool) {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for rec := r.recorder(); step(rec); {
			}
		})
	}
	all.Wait()
}

// recorder has room for an answer with one event for each token.
func (r *runner) recorder() *recorder {
	const eventBytes, spare = 320, 8
	events := r.config.MaxTokens + spare
	return &recorder{elapsed: r.config.elapsed, marks: make([]mark, 0, events), raw: make([]byte, 0, events*eventBytes)}
}

// closed keeps a number of requests in flight: who has an answer asks again. What is in flight when the time is up still counts.
func (r *runner) closed(ctx context.Context, begin time.Duration) {
	var next atomic.Int64
	c := r.config
	r.work(r.concurrency, func(rec *recorder) bool {
		i := next.Add(1) - 1
		if c.Requests > 0 && i >= int64(c.Requests) || ctx.Err() != nil || i >= MaxRequests {
			return false
		}
		body := r.body(uint64(r.index), uint64(i))
		pause(ctx, rec.failed)
		start := c.elapsed()
		if c.Duration > 0 && start-begin >= c.Duration {
			return false
		}
		s := rec.run(ctx, r.asker, body, start)
		rec.failed = s.Err
		r.samples <- s
		return true
	})
}

// pause keeps a server that refuses from being asked as fast as it can refuse: for what it says in Retry-After, within bounds.
func pause(ctx context.Context, err error) {
	const least, most = 50 * time.Millisecond, 2 * time.Second
	if err == nil {
		return
	}
	wait := least
	var status *client.StatusError
	if errors.As(err, &status) {
		wait = min(most, max(least, status.RetryAfter))
	}
	sleep(ctx, wait)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// arrivals gives the moments of a Poisson process, after its beginning.
func (r *runner) arrivals() func() time.Duration {
	const stream = 1 << 42
	random, at := r.prompts.random(stream, uint64(r.index)), 0.
	return func() time.Duration {
		at += random.ExpFloat64() / r.rate
		return time.Duration(at * float64(time.Second))
	}
}

// open sends each request when it arrives, whatever became of those before it. Latency counts from the arrival, so that a server (or
// this program) that falls behind cannot hide it.
func (r *runner) open(ctx context.Context, begin time.Duration) {
	var all sync.WaitGroup
	defer all.Wait()
	free := make(chan *recorder, MaxConcurrency)
	var inFlight atomic.Int64
	c, next := r.config, r.arrivals()
	for i := range MaxRequests {
		due := next()
		if c.Requests > 0 && i >= c.Requests || c.Duration > 0 && due >= c.Duration {
			return
		}
		body := r.body(uint64(r.index), uint64(i))
		if sleep(ctx, due-(c.elapsed()-begin)); ctx.Err() != nil {
			return
		}
		if inFlight.Load() >= MaxConcurrency {
			r.samples <- Sample{Kind: NotSent, Err: errors.New("too many requests are in flight: the server does not keep up with the rate"), Start: begin + due}
			continue
		}
		inFlight.Add(1)
		all.Go(func() {
			rec := r.take(free)
			r.samples <- rec.run(ctx, r.asker, body, begin+due)
			free <- rec
			inFlight.Add(-1)
		})
	}
}

// take finds a recorder that nobody uses, or makes one.
func (r *runner) take(free chan *recorder) *recorder {
	select {
	case rec := <-free:
		return rec
	default:
		return r.recorder()
	}
}

// collect gathers samples and says how far the level is, until all have come.
func (r *runner) collect(begin time.Duration) []Sample {
	const every = 200 * time.Millisecond
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var samples []Sample
	p := Progress{Level: r.String(), Requests: r.config.Requests, Duration: r.config.Duration}
	tell := func() {
		if p.Done = len(samples); r.config.Progress != nil {
			p.Elapsed = r.config.elapsed() - begin
			r.config.Progress(p)
		}
	}
	for {
		select {
		case s, more := <-r.samples:
			if !more {
				p.Ended = true
				tell()
				return samples
			}
			if samples = append(samples, s); s.Kind != OK {
				p.Failed++
			}
		case <-ticker.C:
			tell()
		}
	}
}

// cpuTime is what this process has used of all processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
