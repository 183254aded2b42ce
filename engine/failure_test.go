package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/model"
)

// TestSec_R06FailuresStayInTheirStep: an error and a panic end the Requests of their step, are reported once each, and the next
// Request is served.
func TestSec_R06FailuresStayInTheirStep(t *testing.T) {
	var reports []string
	o := enginetest.Options(32)
	o.OnFailure = func(err error) { reports = append(reports, err.Error()) }
	e := enginetest.Start(t, o, func(r *enginetest.Runner) {
		r.OnRun = func(step int, _ *engine.Plan) error {
			switch step {
			case 0:
				return errors.New("out of device memory")
			case 1:
				panic("a kernel met a negative length")
			}
			return nil
		}
	})
	for _, want := range []engine.FinishReason{engine.FinishError, engine.FinishError, engine.FinishLength} {
		if got := read(t, submit(t, e, request(1, 1, 2, 3)))[0]; got.finish != want {
			t.Errorf("finish %q; want %q", got.finish, want)
		}
	}
	e.Close()
	if len(reports) != 2 || !strings.Contains(reports[0], "out of device memory") ||
		!strings.Contains(reports[1], "negative length") || !strings.Contains(reports[1], "goroutine") {
		t.Errorf("reports %q; want the error, and the panic with its stack", reports)
	}
}

// TestUnhealthyAfterThreeFailures: three failed steps in a row make Progress an error, one good step heals it.
func TestUnhealthyAfterThreeFailures(t *testing.T) {
	e := enginetest.Start(t, enginetest.Options(32), func(r *enginetest.Runner) {
		r.OnRun = func(step int, _ *engine.Plan) error {
			if step < 3 {
				return errors.New("device lost")
			}
			return nil
		}
	})
	for i := range 3 {
		if err := e.Progress(); err != nil {
			t.Errorf("after %d failures: %v; want healthy", i, err)
		}
		read(t, submit(t, e, request(1, 1)))
	}
	waitFor(t, func() bool { return e.Stats().Failures == 3 })
	if err := e.Progress(); err == nil || !strings.Contains(err.Error(), "device lost") {
		t.Errorf("progress %v; want an error that names the cause", err)
	}
	read(t, submit(t, e, request(1, 1)))
	if err := e.Progress(); err != nil {
		t.Errorf("progress after a good step: %v", err)
	}
}

// TestSec_R06OneRowFails: a row's own failure ends that Request alone; its neighbour in the same step is right.
func TestSec_R06OneRowFails(t *testing.T) {
	o := enginetest.Options(32)
	e := enginetest.Start(t, o, func(r *enginetest.Runner) {
		r.OnRow = func(row *engine.Row) error {
			if row.Start == 0 && row.Tokens[0] == 9 {
				return errors.New("logits are not finite")
			}
			return nil
		}
	})
	good := request(4, 1, 2, 3)
	a, b := submit(t, e, good), submit(t, e, request(4, 9, 2, 3))
	if got := read(t, b)[0]; got.finish != engine.FinishError {
		t.Errorf("finish %q; want error", got.finish)
	}
	if got, want := read(t, a)[0], enginetest.Reference(o.Config, good, 1, 0); !slices.Equal(got.tokens, want.Output) {
		t.Errorf("the neighbour got %v; want %v", got.tokens, want.Output)
	}
}

// TestProgressFindsAHungStep with a clock of its own: idle for an hour is fine, a step that hangs is not, and Submit is
// refused when too many wait for it.
func TestProgressFindsAHungStep(t *testing.T) {
	var now atomic.Int64
	enter, leave := make(chan bool), make(chan bool)
	o := enginetest.Options(32)
	o.Config.MaxQueuedRequests = 2
	o.Clock = func() time.Time { return time.Unix(1000+now.Load(), 0) }
	o.StepTimeout = 10 * time.Second
	e := enginetest.Start(t, o, func(r *enginetest.Runner) {
		r.OnRun = func(int, *engine.Plan) error { enter <- true; <-leave; return nil }
	})
	waitFor(t, func() bool { return e.Stats().BusySince.IsZero() })
	now.Add(3600)
	if err := e.Progress(); err != nil {
		t.Errorf("idle for an hour: %v", err)
	}
	r := request(1, 1)
	r.MaxTokens = 1
	s := submit(t, e, r)
	<-enter
	now.Add(11)
	if err := e.Progress(); err == nil || !strings.Contains(err.Error(), "11s") {
		t.Errorf("progress %v; want an error that says 11s", err)
	}
	refused := 0
	for range 4 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := e.Submit(ctx, r); errors.Is(err, engine.ErrQueueFull) {
			refused++
		}
		cancel()
	}
	if refused != 2 {
		t.Errorf("%d of 4 requests were refused during a hung step; want 2", refused)
	}
	r.Class = engine.Batch
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	if _, err := e.Submit(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the other class is full, too: %v", err)
	}
	cancel()
	leave <- true
	read(t, s)
	if err := e.Progress(); err != nil {
		t.Errorf("after the step: %v", err)
	}
}

// TestSwapErrors: versions only grow, and what the Runner refuses changes nothing.
func TestSwapErrors(t *testing.T) {
	e := enginetest.Start(t, enginetest.Options(32), nil)
	if err := e.Swap(model.NewPolicy(1, nil)); !errors.Is(err, engine.ErrVersion) {
		t.Errorf("swap to the current version: %v; want ErrVersion", err)
	}
	if err := e.Swap(model.NewPolicy(2, nil)); err != nil || e.Version() != 2 {
		t.Errorf("swap: %v, version %d; want 2", err, e.Version())
	}
	if _, err := e.Submit(t.Context(), engine.Request{Prompt: []int32{1}, N: 1, MaxTokens: 1, Version: 1, Params: request(1).Params}); !errors.Is(err, engine.ErrUnknownVersion) {
		t.Errorf("a request for a retired version: %v; want ErrUnknownVersion", err)
	}
}

// TestHooksMayPanic: a hook's panic is counted and nobody's answer suffers.
func TestHooksMayPanic(t *testing.T) {
	o := enginetest.Options(32)
	o.OnCompletion = func(engine.Completion) { panic("the store is gone") }
	e := enginetest.Start(t, o, nil)
	if got := read(t, submit(t, e, request(1, 1)))[0]; got.finish != engine.FinishLength || e.Stats().HookPanics != 1 {
		t.Errorf("finish %q, %d hook panics; want length and 1", got.finish, e.Stats().HookPanics)
	}
}

// TestDrainGivesUp: Drain ends with its ctx when a client does not read, and says what is left.
func TestDrainGivesUp(t *testing.T) {
	o := enginetest.Options(32)
	o.StreamEvents = 2
	e := enginetest.Start(t, o, nil)
	submit(t, e, request(1, 1))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := e.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 sequences") {
		t.Errorf("drain: %v; want the deadline and 1 sequence", err)
	}
}

// waitFor polls what another goroutine is about to make true.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for range 5000 {
		if condition() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the condition did not come true")
}
