package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"
)

// Options are a Config and what the shell around the Scheduler needs.
type Options struct {
	Config Config

	Version      int64            // of the first Policy, which the Runner has published already; 0 = 1
	StreamEvents int              // Events that a sample's stream holds before its Sequence must wait; 0 = 64
	StepTimeout  time.Duration    // Progress is an error when work has waited this long for a step to end; 0 = 30 s
	Switch       bool             // a new current Policy goes on with what runs already, each token marked with its version; else that finishes on its own
	OnCompletion func(Completion) // gets every finished sample before its last Event leaves; on the engine's goroutine: be quick
	OnFailure    func(error)      // gets every failed step once, with the stack of a panic; on the engine's goroutine
	OnStep       func(StepInfo)   // gets every step that did not fail; on the engine's goroutine
	Clock        func() time.Time // nil = time.Now; only progress is timed
	Random       io.Reader        // of ids, seeds and the cache secret; nil = crypto/rand
}

// StepInfo is what one step did.
type StepInfo struct {
	Rows   int           // of the Plan
	Tokens int           // of prompts that were read, and drawn ones; over all steps of a Request, the tokens that its usage has
	Took   time.Duration // by the Runner

	// Host is what the engine's goroutine did besides running programs since the step before this one, or since it woke up: commands,
	// Events, planning, packing. A step's own Events are sent after it is told, so they count to the next one.
	Host time.Duration
}

func (o Options) withDefaults() Options {
	if o.Version == 0 {
		o.Version = 1
	}
	if o.StreamEvents == 0 {
		o.StreamEvents = 64
	}
	if o.StepTimeout == 0 {
		o.StepTimeout = 30 * time.Second
	}
	if o.OnCompletion == nil {
		o.OnCompletion = func(Completion) {}
	}
	if o.OnFailure == nil {
		o.OnFailure = func(error) {}
	}
	if o.OnStep == nil {
		o.OnStep = func(StepInfo) {}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	return o
}

// Engine is the loop between a Scheduler and a Runner. One goroutine owns both; everything else reaches them through a
// mailbox that is emptied between two steps. All methods may be called from any goroutine.
type Engine struct {
	options   Options
	runner    Runner
	scheduler *Scheduler
	streams   map[uint64]*Stream
	progress  progress
	hostSince time.Time // where StepInfo.Host of the next step begins
	newest    int64     // version that was ever published

	mailbox mailbox
	done    chan struct{} // closed when the loop has ended
	drained chan struct{} // closed when draining is over
}

// New starts an Engine. The Runner must have the pools that the Config describes and have published Options.Version. It
// belongs to the Engine until Close returns; closing it is the caller's.
func New(runner Runner, options Options) (*Engine, error) {
	o := options.withDefaults()
	if o.Version < 1 || o.StreamEvents < 1 || o.StepTimeout < 0 {
		return nil, fmt.Errorf("engine options: version %d, %d stream events, step timeout %v; want at least 1, 1 and 0",
			o.Version, o.StreamEvents, o.StepTimeout)
	}
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	e := &Engine{options: o, runner: runner, streams: map[uint64]*Stream{}, done: make(chan struct{}), drained: make(chan struct{})}
	if len(o.Config.CacheSecret) == 0 {
		e.options.Config.CacheSecret = make([]byte, 32)
		if _, err := io.ReadFull(o.Random, e.options.Config.CacheSecret); err != nil {
			return nil, fmt.Errorf("engine: draw the cache secret: %w", err)
		}
	}
	e.mailbox.wake = make(chan struct{}, 1)
	e.scheduler, e.newest = NewScheduler(e.options.Config, o.Version), o.Version
	e.progress.update(e.scheduler)
	go e.loop()
	return e, nil
}

// Submit queues a Request and returns the stream of its Events. It fills Request.ID if that is empty, and draws
// Params.Seed unless Seeded is set. The Request is cancelled when ctx ends, which Events with FinishCancel tell.
//
// Errors: ErrInvalidRequest, ErrPromptTooLong (a *PromptTooLongError), ErrQueueFull, ErrUnknownVersion, ErrDraining,
// ErrClosed, or ctx's. Submit waits for the step that is under way.
func (e *Engine) Submit(ctx context.Context, r Request) (*Stream, error) {
	if err := e.options.Config.validate(&r); err != nil {
		return nil, err
	}
	if err := e.identify(&r); err != nil {
		return nil, err
	}
	s := newStream(e, r)
	answer := make(chan error, 1)
	if err := e.mailbox.submit(r.Class, e.options.Config.MaxQueuedRequests, func() { answer <- e.accept(s) }); err != nil {
		return nil, err
	}
	if err := e.await(ctx, answer); err != nil {
		s.Close() // it may have been accepted in spite of ctx
		return nil, err
	}
	s.cancelWith(ctx)
	return s, nil
}

// accept is Submit's part on the engine's goroutine.
func (e *Engine) accept(s *Stream) error {
	number, err := e.scheduler.Submit(s.request)
	if err == nil {
		s.number = number
		e.streams[number] = s
	}
	return err
}

// identify gives a Request its id and seed.
func (e *Engine) identify(r *Request) error {
	var random [24]byte
	if _, err := io.ReadFull(e.options.Random, random[:]); err != nil {
		return fmt.Errorf("engine: draw a request id: %w", err)
	}
	if r.ID == "" {
		r.ID = hex.EncodeToString(random[:16])
	}
	if !r.Seeded {
		r.Seeded, r.Params.Seed = true, binary.LittleEndian.Uint64(random[16:])
	}
	return nil
}

// Config is the Scheduler's, as the Engine was made with.
func (e *Engine) Config() Config { return e.options.Config }

// Drain refuses new Requests with ErrDraining and waits until all others have finished, or ctx ends. It may be called more
// than once. There is no way back; Close comes next.
func (e *Engine) Drain(ctx context.Context) error {
	if err := e.mailbox.drain(); err != nil {
		return err
	}
	select {
	case <-e.drained:
		return nil
	case <-e.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("drain engine: %w; %d sequences are left", ctx.Err(), e.Stats().Sequences())
	}
}

// Close cancels whatever is left and ends the loop after the step under way. Streams stay readable to their end.
func (e *Engine) Close() {
	e.mailbox.close()
	<-e.done
}

// await waits for the loop's answer to a command.
func (e *Engine) await(ctx context.Context, answer <-chan error) error {
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-e.done:
	}
	select {
	case err := <-answer: // the last thing it did
		return err
	default:
		return ErrClosed
	}
}

// mailbox holds commands for the engine's goroutine, in order.
type mailbox struct {
	wake chan struct{} // holds one token when there may be something to do

	mu       sync.Mutex
	commands []func()
	submits  [Classes]int // of commands, so that they are bounded too while a step takes long
	draining bool
	closed   bool
}

func (m *mailbox) post(command func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.commands = append(m.commands, command)
	m.ring()
	return nil
}

func (m *mailbox) submit(class Class, maxSubmits int, command func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return ErrClosed
	case m.draining:
		return ErrDraining
	case m.submits[class] >= maxSubmits:
		return fmt.Errorf("%w (%d wait for the step under way)", ErrQueueFull, m.submits[class])
	}
	m.submits[class]++
	m.commands = append(m.commands, command)
	m.ring()
	return nil
}

func (m *mailbox) drain() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.draining = true
	m.ring()
	return nil
}

func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.ring()
}

// ring wakes the loop; m.mu is held.
func (m *mailbox) ring() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take empties the mailbox.
func (m *mailbox) take() (commands []func(), draining, closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	commands, m.commands, m.submits = m.commands, nil, [Classes]int{}
	return commands, m.draining, m.closed
}
