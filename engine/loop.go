package engine

import (
	"fmt"
	"runtime/debug"
	"time"
)

// loop is the engine's goroutine: commands, then a step, until Close. When nothing can run it sleeps. Only the way out by Close
// closes done: a broken invariant ends the process, and nobody may take that for an orderly end and exit before it is told.
func (e *Engine) loop() {
	e.hostSince = e.options.Clock()
	for {
		e.progress.busy(e.options.Clock())
		commands, draining, closed := e.mailbox.take()
		for _, command := range commands {
			command()
		}
		if closed {
			e.deliver(e.scheduler.CancelAll())
			e.settle()
			close(e.done)
			return
		}
		stepped := e.step()
		if !stepped {
			e.settle()
		}
		if draining && e.scheduler.Idle() {
			e.endDrain()
		}
		if !stepped {
			e.sleep()
		}
	}
}

// step runs one Plan and says whether there was one. The numbers are renewed before the Events leave: who has seen an Event
// sees it counted.
func (e *Engine) step() bool {
	plan := e.scheduler.Next()
	for _, number := range e.scheduler.Admitted() {
		if s := e.streams[number]; s != nil {
			s.admit(e.options.Clock())
		}
	}
	if plan.Empty() {
		return false
	}
	var events []Event
	begin := e.options.Clock()
	result, err := e.run(plan)
	if err == nil {
		info := StepInfo{Rows: len(plan.Rows), Took: e.options.Clock().Sub(begin), Host: e.hostTime(result.Busy)}
		events = e.scheduler.Apply(result)
		info.Tokens = tokensOf(plan, events)
		e.protect(func() { e.options.OnStep(info) })
	} else {
		e.hostTime(0)
		events = e.scheduler.Fail(err)
	}
	e.progress.stepped(e.options.Clock(), err)
	e.settle()
	e.deliver(events)
	return true
}

// hostTime is the time since it was asked last, or since the loop woke up, without the device's part of it.
func (e *Engine) hostTime(busy time.Duration) time.Duration {
	now := e.options.Clock()
	host := now.Sub(e.hostSince) - busy
	e.hostSince = now
	return max(0, host)
}

// tokensOf is StepInfo.Tokens.
func tokensOf(plan *Plan, events []Event) (n int) {
	for i := range plan.Rows {
		row := &plan.Rows[i]
		if len(row.Tokens) > 1 || row.Sample == nil { // else it feeds the token that was drawn before
			n += len(row.Tokens)
		}
	}
	for i := range events {
		if events[i].HasToken {
			n++
		}
	}
	return n
}

// run executes a Plan and makes a panic an error: it concerns the Sequences of this Plan, not the process. What a Runner
// that panicked left in its pools nobody knows, so the content of all pages counts as lost.
func (e *Engine) run(plan *Plan) (result Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the runner panicked: %v: %w", r, ErrPoolsLost)
			e.protect(func() { e.options.OnFailure(fmt.Errorf("%w\n%s", err, debug.Stack())) })
		}
	}()
	result, err = e.runner.Run(plan)
	if err == nil && len(result.Rows) != len(plan.Rows) {
		err = fmt.Errorf("the runner answered %d rows of %d", len(result.Rows), len(plan.Rows))
	}
	if err != nil {
		err = fmt.Errorf("run a step of %d rows: %w", len(plan.Rows), err)
		e.protect(func() { e.options.OnFailure(err) })
	}
	return result, err
}

// deliver hands Events to their streams. A stream that is full makes its Sequence wait.
func (e *Engine) deliver(events []Event) {
	for i := range events {
		event := &events[i]
		if event.completion != nil {
			e.protect(func() { e.options.OnCompletion(*event.completion) })
		}
		s := e.streams[event.Request]
		full, ended := s.push(*event)
		if ended {
			delete(e.streams, event.Request)
		}
		if full && event.Finish == "" {
			e.scheduler.Stall(event.Request, event.Index, true)
		}
	}
}

// protect runs a hook. Its panic is its own affair; Requests go on.
func (e *Engine) protect(hook func()) {
	defer func() {
		if r := recover(); r != nil {
			e.progress.hookPanicked(fmt.Errorf("a hook panicked: %v", r))
		}
	}()
	hook()
}

// settle does what follows operations: retired versions leave the Runner, the public numbers are renewed.
func (e *Engine) settle() {
	for _, v := range e.scheduler.TakeRetired() {
		e.runner.Retire(v)
	}
	e.progress.update(e.scheduler)
}

func (e *Engine) endDrain() {
	select {
	case <-e.drained:
	default:
		close(e.drained)
	}
}

// sleep waits for the mailbox. If something could have run all the same, progress stays busy, so that Progress finds out.
func (e *Engine) sleep() {
	if !e.scheduler.Runnable() {
		e.progress.idle()
	}
	<-e.mailbox.wake
	e.hostSince = e.options.Clock()
}
