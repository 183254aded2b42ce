package engine

import (
	"fmt"
	"sync"
	"time"
)

// unhealthyFailures steps failed in a row make the engine unhealthy: one may be a bad request, three are a bad device.
const unhealthyFailures = 3

// Stats is the state of an Engine in numbers, as of its last step or command.
type Stats struct {
	Load
	Counters
	Version    int64     // current Policy
	LastStep   time.Time // end of the last step; zero = none yet
	BusySince  time.Time // when the loop last had something to do; zero = it sleeps
	Failures   int       // steps failed in a row
	LastError  error     // of the last failed step
	HookPanics uint64

	Swaps       uint64        // of the current Policy
	LastSwap    time.Duration // that the engine stood still for the last one, or for the last Load
	LongestSwap time.Duration
}

// Sequences is the number of samples that have not finished.
func (s Stats) Sequences() int { return s.Waiting + s.Running }

// progress is Stats under a lock: the loop stamps it, anybody reads it, nobody waits for a step.
type progress struct {
	mu    sync.Mutex
	stats Stats
}

func (p *progress) busy(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stats.BusySince.IsZero() {
		p.stats.BusySince = now
	}
}

func (p *progress) idle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.BusySince = time.Time{}
}

func (p *progress) stepped(now time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.LastStep = now
	if err == nil {
		p.stats.Failures = 0
		return
	}
	p.stats.Failures++
	p.stats.LastError = err
}

func (p *progress) hookPanicked(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.HookPanics++
	p.stats.LastError = err
}

// stood notes for how long a change of policies kept the next step.
func (p *progress) stood(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.LastSwap, p.stats.LongestSwap = took, max(p.stats.LongestSwap, took)
}

func (p *progress) swapped() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Swaps++
}

func (p *progress) update(s *Scheduler) {
	load, counters := s.Load(), s.Counters()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Load, p.stats.Counters, p.stats.Version = load, counters, s.Version()
}

func (p *progress) read() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Stats returns the present numbers without waiting for the step under way.
func (e *Engine) Stats() Stats { return e.progress.read() }

// Progress is nil while the engine moves: a step has finished within Options.StepTimeout, or there is no work. No request
// is made up to find out; the loop stamps what it does.
func (e *Engine) Progress() error {
	s := e.Stats()
	select {
	case <-e.done:
		return ErrClosed
	default:
	}
	if s.Failures >= unhealthyFailures {
		return fmt.Errorf("the last %d steps failed: %w", s.Failures, s.LastError)
	}
	since := s.BusySince
	if s.LastStep.After(since) {
		since = s.LastStep
	}
	if waited := e.options.Clock().Sub(since); !s.BusySince.IsZero() && waited > e.options.StepTimeout {
		return fmt.Errorf("no step has ended for %v with %d sequences at work; want one every %v", waited, s.Sequences(), e.options.StepTimeout)
	}
	return nil
}
