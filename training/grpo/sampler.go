package grpo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
)

// Sample is one finished answer to a Request.
type Sample struct {
	Tokens   []int32   // drawn, the end of sequence included
	Logprobs []float32 // of Tokens under the raw logits, as they were when each was drawn
	Version  int64     // of the Policy that drew them
	Finish   engine.FinishReason
	Err      error // with engine.FinishError
}

// add takes an Event.
func (s *Sample) add(e engine.Event) {
	if s.Version = e.Version; e.HasToken {
		s.Tokens, s.Logprobs = append(s.Tokens, e.Choice.Token), append(s.Logprobs, e.Choice.Logprob)
	}
	if e.Finish != "" {
		s.Finish, s.Err = e.Finish, e.Err
	}
}

// Sampler answers Requests with the current Policy.
type Sampler interface {
	// Sample answers all Requests, each with its N samples, in order.
	Sample(ctx context.Context, requests []engine.Request) ([][]Sample, error)
	// Publish makes a Policy current; its Version must be higher. It takes a reference of its own.
	Publish(p *model.Policy) error
	// Version is the current Policy's.
	Version() int64
}

// Live samples through an Engine that serves others too.
type Live struct {
	engine   *engine.Engine
	inFlight int
}

// NewLive keeps at most inFlight Requests in the engine at a time.
func NewLive(e *engine.Engine, inFlight int) *Live { return &Live{e, max(1, inFlight)} }

// Sample implements Sampler. An error ends all of its Requests.
func (l *Live) Sample(ctx context.Context, requests []engine.Request) ([][]Sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	samples := make([][]Sample, len(requests))
	places := make(chan struct{}, l.inFlight)
	var readers sync.WaitGroup
	for i, r := range requests {
		places <- struct{}{}
		stream, err := l.engine.Submit(ctx, r)
		if err != nil {
			cancel(fmt.Errorf("submit a group: %w", err))
			break
		}
		readers.Go(func() {
			defer func() { <-places }()
			defer stream.Close()
			var err error
			if samples[i], err = collect(ctx, stream, r.N); err != nil {
				cancel(err)
			}
		})
	}
	readers.Wait()
	return samples, context.Cause(ctx)
}

// collect reads a stream to its end.
func collect(ctx context.Context, stream *engine.Stream, n int) ([]Sample, error) {
	samples := make([]Sample, n)
	for {
		event, err := stream.Next(ctx)
		if err == io.EOF {
			return samples, nil
		}
		if err == nil && event.Finish == engine.FinishCancel {
			err = errors.New("a group was cancelled")
		}
		if err != nil {
			return nil, err
		}
		samples[event.Index].add(event)
	}
}

// Publish implements Sampler by a Swap.
func (l *Live) Publish(p *model.Policy) error { return l.engine.Swap(p) }

// Version implements Sampler.
func (l *Live) Version() int64 { return l.engine.Version() }

// LockStep drives a Scheduler and a Runner itself, without a goroutine or a clock: the same Requests give the same batches in the same
// order, so that even rounding is the same in every run. It has no other user.
type LockStep struct {
	config  engine.Config
	runner  engine.Runner
	close   func()
	version int64
	passes  uint64 // of the model, so far
	tokens  uint64 // drawn
}

// Counts are the tokens that were drawn so far, and the slots that there were in all steps to draw them in.
func (l *LockStep) Counts() (drawn, slots uint64) {
	return l.tokens, l.passes * uint64(l.config.MaxSlots)
}

// NewLockStep uses a Runner that has published version and has the pools of config.
func NewLockStep(runner engine.Runner, config engine.Config, version int64) *LockStep {
	return &LockStep{config: config, runner: runner, close: func() {}, version: version}
}

// pageTokens is the page size of OpenLockStep.
const pageTokens = 16

// contextStep is what OpenLockStep rounds lengths up to, so that uses of almost one length share their compiled programs.
const contextStep = 4 * pageTokens

// OpenLockStep makes a Runner for so many sequences of at most contextTokens side by side; keys and values have the dtype of first's
// matrices. It takes a reference of first.
func OpenLockStep(d *device.Device, first *model.Policy, slots, contextTokens int) (*LockStep, error) {
	contextTokens = max(contextTokens, min(first.Weights.Config.MaxPositions, (contextTokens+contextStep-1)/contextStep*contextStep))
	c := engine.DefaultConfig(first.Weights.Config.Vocab, slots, contextTokens)
	c.EOS, c.PageTokens, c.PrefixCache = first.Weights.Config.EOS, pageTokens, false // a group shares its prompt all the same
	c.ChunkTokens = min(c.ChunkTokens, contextTokens)
	c.Pages = slots * ((contextTokens+pageTokens-1)/pageTokens + 1) // all at full length, and one to spare for each
	runner, err := engine.NewDeviceRunner(d, first, engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: slots,
		ChunkTokens: c.ChunkTokens, MaxContextTokens: contextTokens, KVType: first.Weights.Tensors[0].DType(),
		GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	if err != nil {
		return nil, fmt.Errorf("cannot start an engine for rollouts: %w", err)
	}
	c.DecodeSteps = engine.RolloutSteps(d)
	l := NewLockStep(runner, c, first.Version)
	l.close = runner.Close
	return l, nil
}

// Close frees what OpenLockStep made.
func (l *LockStep) Close() { l.close() }

// Version implements Sampler.
func (l *LockStep) Version() int64 { return l.version }

// Publish implements Sampler. Nothing runs between two calls of Sample, so that the old Policy goes at once.
func (l *LockStep) Publish(p *model.Policy) error {
	if p.Version <= l.version {
		return fmt.Errorf("publish: %w: version %d, the current one is %d", engine.ErrVersion, p.Version, l.version)
	}
	if err := l.runner.Publish(p); err != nil {
		return err
	}
	l.runner.Retire(l.version)
	l.version = p.Version
	return nil
}

// Sample implements Sampler. Each call begins with an empty Scheduler, so that what was sampled before changes nothing.
func (l *LockStep) Sample(ctx context.Context, requests []engine.Request) ([][]Sample, error) {
	scheduler, samples, err := l.submit(requests)
	if err != nil {
		return nil, err
	}
	defer func() {
		c := scheduler.Counters()
		l.passes, l.tokens = l.passes+c.Passes, l.tokens+c.OutputTokens
	}()
	for !scheduler.Idle() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		plan := scheduler.Next()
		var events []engine.Event
		if result, err := l.runner.Run(plan); err != nil {
			events = scheduler.Fail(err)
		} else {
			events = scheduler.Apply(result)
		}
		for _, e := range events {
			samples[e.Request-1][e.Index].add(e)
		}
	}
	return samples, nil
}

// submit queues all Requests; their numbers count from 1.
func (l *LockStep) submit(requests []engine.Request) (*engine.Scheduler, [][]Sample, error) {
	c := l.config
	c.MaxQueuedRequests = max(c.MaxQueuedRequests, len(requests))
	for _, r := range requests {
		c.MaxQueuedTokens += len(r.Prompt)
	}
	scheduler, samples := engine.NewScheduler(c, l.version), make([][]Sample, len(requests))
	for i, r := range requests {
		if _, err := scheduler.Submit(r); err != nil {
			return nil, nil, fmt.Errorf("submit a group: %w", err)
		}
		samples[i] = make([]Sample, r.N)
	}
	return scheduler, samples, nil
}
