package engine

import (
	"context"
	"fmt"
	"time"

	"astro/model"
)

// Swap makes a new Policy current between two steps: whatever is admitted from then on runs on it, what runs already finishes on its
// own version. The Runner takes a reference; the caller keeps its own. Errors: ErrVersion, ErrClosed, the Runner's.
func (e *Engine) Swap(p *model.Policy) error {
	if err := e.runner.Prepare(p); err != nil {
		return fmt.Errorf("swap policy: %w", err)
	}
	return e.command(func() error {
		begin := e.options.Clock()
		if p.Version <= e.newest { // version and pages name weights for ever
			return fmt.Errorf("swap policy: %w: version %d, the newest so far is %d", ErrVersion, p.Version, e.newest)
		}
		if err := e.runner.Publish(p); err != nil {
			return fmt.Errorf("swap policy: %w", err)
		}
		e.newest = p.Version
		e.use(p.Version, begin)
		return nil
	})
}

// Load publishes a Policy for Requests that name its version; the current one stays. It is held until Drop. The version is a new one,
// or one that has left: then the weights must be the same as before. Errors as Swap's.
func (e *Engine) Load(p *model.Policy) error {
	if err := e.runner.Prepare(p); err != nil {
		return fmt.Errorf("load policy: %w", err)
	}
	return e.command(func() error {
		begin := e.options.Clock()
		if e.scheduler.Live(p.Version) {
			return fmt.Errorf("load policy: %w: version %d is there", ErrVersion, p.Version)
		}
		if err := e.runner.Publish(p); err != nil {
			return fmt.Errorf("load policy: %w", err)
		}
		e.newest = max(e.newest, p.Version)
		e.scheduler.Hold(p.Version)
		e.settle()
		e.progress.stood(e.options.Clock().Sub(begin))
		return nil
	})
}

// Hold keeps a version that is loaded, so that Requests may name it and Use can go back to it, until Drop. ErrUnknownVersion.
func (e *Engine) Hold(version int64) error {
	return e.command(func() error {
		if !e.scheduler.Live(version) {
			return fmt.Errorf("hold policy: %w: version %d", ErrUnknownVersion, version)
		}
		e.scheduler.Hold(version)
		return nil
	})
}

// Drop lets go of a version that was held; its weights leave with the last Sequence that runs on them, unless it is current.
func (e *Engine) Drop(version int64) error {
	return e.command(func() error {
		e.scheduler.Drop(version)
		e.settle()
		return nil
	})
}

// Use makes a loaded version current between two steps, as Swap does: a promotion, or the way back. ErrUnknownVersion.
func (e *Engine) Use(version int64) error {
	return e.command(func() error {
		if !e.scheduler.Live(version) {
			return fmt.Errorf("use policy: %w: version %d", ErrUnknownVersion, version)
		}
		e.use(version, e.options.Clock())
		return nil
	})
}

// Version is the current Policy's.
func (e *Engine) Version() int64 { return e.Stats().Version }

// command runs f on the engine's goroutine, between two steps.
func (e *Engine) command(f func() error) error {
	answer := make(chan error, 1)
	if err := e.mailbox.post(func() { answer <- f() }); err != nil {
		return err
	}
	return e.await(context.Background(), answer)
}

// use makes a live version current and notes for how long no step could run.
func (e *Engine) use(version int64, begin time.Time) {
	before := e.scheduler.Version()
	e.scheduler.Swap(version)
	if e.options.Switch && before != version && e.scheduler.Live(before) {
		e.scheduler.Move(before, version)
	}
	e.settle()
	e.progress.stood(e.options.Clock().Sub(begin))
	e.progress.swapped()
}
