package engine

import (
	"context"
	"io"
	"sync"
	"time"
)

// Stream carries the Events of one Request, those of its samples mixed in the order in which they happened. One goroutine
// at a time may call Next; the other methods may be called from anywhere.
//
// It is bounded: a sample with Options.StreamEvents unread Events is not scheduled until half of them have been read. A Step that drew
// several tokens for it may have gone beyond by the rest of them.
type Stream struct {
	engine  *Engine
	request Request
	number  uint64 // the Scheduler's; set on the engine's goroutine before Submit returns

	mu      sync.Mutex
	events  []Event
	unread  []int  // by sample
	stalled []bool // by sample
	left    int    // samples whose last Event has not arrived
	times   Times
	closed  bool
	detach  func() bool   // from Submit's ctx
	arrived chan struct{} // holds one token when Next may have something to look at
}

// Times says when a Request got how far; zero = not yet. By Options.Clock.
type Times struct {
	Submitted time.Time // it was handed to Submit
	Admitted  time.Time // its first sample got a slot: what is before that is the queue
}

func newStream(e *Engine, r Request) *Stream {
	return &Stream{engine: e, request: r, unread: make([]int, r.N), stalled: make([]bool, r.N), left: r.N, arrived: make(chan struct{}, 1),
		times: Times{Submitted: e.options.Clock()}}
}

// Times may be called at any time.
func (s *Stream) Times() Times {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.times
}

func (s *Stream) admit(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times.Admitted = now
}

// Request is what was submitted, with the id and seed that Submit filled in.
func (s *Stream) Request() Request { return s.request }

// Next returns the next Event; io.EOF after the last sample's last one, ErrStreamClosed after Close, ctx's error if that
// ends first.
func (s *Stream) Next(ctx context.Context) (Event, error) {
	for {
		event, ok, err := s.pop()
		if ok || err != nil {
			return event, err
		}
		select {
		case <-s.arrived:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// pop takes the oldest Event, if there is one, and lets its sample go on when there is room again.
func (s *Stream) pop() (event Event, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return Event{}, false, ErrStreamClosed
	case len(s.events) == 0 && s.left == 0:
		return Event{}, false, io.EOF
	case len(s.events) == 0:
		return Event{}, false, nil
	}
	event = s.events[0]
	s.events = append(s.events[:0], s.events[1:]...)
	i := event.Index
	s.unread[i]--
	if s.stalled[i] && s.unread[i] <= s.engine.options.StreamEvents/2 {
		s.stalled[i] = false
		s.post(func() { s.engine.scheduler.Stall(s.number, i, false) })
	}
	return event, true, nil
}

// push adds an Event on the engine's goroutine. full: the sample must wait; ended: it was the Request's last Event.
func (s *Stream) push(event Event) (full, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if event.Finish != "" {
		s.left--
	}
	if !s.closed {
		s.events = append(s.events, event)
		s.unread[event.Index]++
		full = s.unread[event.Index] >= s.engine.options.StreamEvents
		s.stalled[event.Index] = full
	}
	if s.left == 0 && s.detach != nil {
		s.detach()
	}
	s.signal()
	return full, s.left == 0
}

// Stop ends one sample with FinishStop before the next step, because the caller has seen what it waited for, a stop string
// for example. Its Completion keeps the first tokens output tokens, whatever was drawn since; tokens < 0 keeps all. A
// sample that has finished is left as it is.
func (s *Stream) Stop(index, tokens int) {
	s.post(func() { s.engine.deliver(s.engine.scheduler.Stop(s.number, index, tokens)) })
}

// Close ends the stream: unread Events are dropped, and what still runs is cancelled before the next step. It may be called
// more than once.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed, s.events = true, nil
	if s.left > 0 {
		s.cancel()
	}
	s.signal()
}

// cancelWith cancels the Request when ctx ends; its Events say so.
func (s *Stream) cancelWith(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left > 0 {
		s.detach = context.AfterFunc(ctx, s.cancel)
	}
}

func (s *Stream) cancel() {
	s.post(func() { s.engine.deliver(s.engine.scheduler.Cancel(s.number)) })
}

// post leaves a command for the engine's goroutine. Once the engine is closed, all samples have been cancelled anyway.
func (s *Stream) post(command func()) { _ = s.engine.mailbox.post(command) }

// signal wakes Next; s.mu is held.
func (s *Stream) signal() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}
