package search

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"astro/engine"
	"astro/sampler"
)

// Stepper draws in lock step: it is an engine's Scheduler and Runner without the goroutine between them. Draws are submitted in
// order and steps follow one another until all have ended, so that what runs beside what is the same every time. It is for one
// goroutine, and for the Blocks of a search: a new one begins with no Prefix in its cache.
type Stepper struct {
	runner    engine.Runner
	scheduler *engine.Scheduler
	params    sampler.Params
}

// NewStepper draws with the policy version that the Runner has published, which nothing else may run meanwhile. The Runner must
// choose its programs by the Plan alone (RunnerConfig.Background = false) for two runs to agree. The Config must be valid.
func NewStepper(r engine.Runner, c engine.Config, version int64, params sampler.Params) *Stepper {
	return &Stepper{runner: r, scheduler: engine.NewScheduler(c, version), params: params}
}

// Counters are the Scheduler's.
func (s *Stepper) Counters() engine.Counters { return s.scheduler.Counters() }

// Sample implements Policy.
func (s *Stepper) Sample(ctx context.Context, draws []Draw) []Drawn {
	out := make([]Drawn, len(draws))
	flying := map[uint64]*collector{}
	at := map[uint64]int{}
	for next := 0; ; {
		for ; next < len(draws); next++ {
			number, err := s.scheduler.Submit(request(&draws[next], s.params))
			if errors.Is(err, engine.ErrQueueFull) && !s.scheduler.Idle() {
				break // until steps have made room
			}
			if err != nil {
				out[next].Err = refusal(err)
				continue
			}
			flying[number], at[number] = newCollector(&draws[next]), next
		}
		if ctx.Err() != nil {
			s.take(s.scheduler.CancelAll(), flying)
			break
		}
		if !s.step(flying) {
			break
		}
	}
	for number, c := range flying {
		out[at[number]] = c.drawn()
	}
	return out
}

// step runs one Plan; false = there was none.
func (s *Stepper) step(flying map[uint64]*collector) bool {
	plan := s.scheduler.Next()
	if plan.Empty() {
		return false
	}
	result, err := s.runner.Run(plan)
	if err == nil && len(result.Rows) != len(plan.Rows) {
		err = fmt.Errorf("the runner answered %d rows of %d", len(result.Rows), len(plan.Rows))
	}
	if err != nil {
		s.take(s.scheduler.Fail(fmt.Errorf("run a step of %d rows: %w", len(plan.Rows), err)), flying)
		return true
	}
	s.take(s.scheduler.Apply(result), flying)
	return true
}

// take gives Events to their draws. The slice is the Scheduler's, which Stop uses again.
func (s *Stepper) take(events []engine.Event, flying map[uint64]*collector) {
	for _, e := range slices.Clone(events) {
		c := flying[e.Request]
		if keep, stop := c.add(&e); stop {
			s.scheduler.Stop(e.Request, e.Index, keep) // its Event says what c knows
		}
	}
}
