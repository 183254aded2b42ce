package search

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"astro/engine"
	"astro/sampler"
)

// EnginePolicy draws through an engine, with others if need be. All draws of a call are submitted at once: what they share with each
// other and with earlier ones is computed once and kept in pages.
type EnginePolicy struct {
	engine *engine.Engine
	params sampler.Params
	gate   gate
}

// Bounds on what an EnginePolicy leaves with its engine at a time, so that the queue has room for others.
const (
	maxFlyingRequests = 512
	maxFlyingTokens   = 512 << 10 // of prompts
)

// NewEnginePolicy draws with the given Params but for their seed. Priors are the model's own at any temperature.
func NewEnginePolicy(e *engine.Engine, params sampler.Params) *EnginePolicy {
	p := &EnginePolicy{engine: e, params: params}
	p.gate.changed = sync.NewCond(&p.gate.mu)
	return p
}

// Sample implements Policy. Each draw waits for its own answer alone, in no order: what it gets does not depend on it.
func (p *EnginePolicy) Sample(ctx context.Context, draws []Draw) []Drawn {
	out := make([]Drawn, len(draws))
	var readers sync.WaitGroup
	for i := range draws {
		readers.Go(func() {
			if err := p.gate.enter(ctx, len(draws[i].Prompt)); err != nil {
				out[i].Err = err
				return
			}
			defer p.gate.leave(len(draws[i].Prompt))
			out[i] = p.sample(ctx, &draws[i])
		})
	}
	readers.Wait()
	return out
}

func (p *EnginePolicy) sample(ctx context.Context, d *Draw) Drawn {
	stream, err := p.submit(ctx, request(d, p.params))
	if err != nil {
		return Drawn{Err: refusal(err)}
	}
	defer stream.Close()
	c := newCollector(d)
	for {
		event, err := stream.Next(ctx)
		if errors.Is(err, io.EOF) {
			return c.drawn()
		}
		if err != nil {
			return Drawn{Err: err}
		}
		if keep, stop := c.add(&event); stop {
			stream.Stop(event.Index, keep)
		}
	}
}

// submit waits for room in the queue, which others may have filled.
func (p *EnginePolicy) submit(ctx context.Context, r engine.Request) (*engine.Stream, error) {
	const pause = 20 * time.Millisecond
	for {
		stream, err := p.engine.Submit(ctx, r)
		if !errors.Is(err, engine.ErrQueueFull) {
			return stream, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func request(d *Draw, params sampler.Params) engine.Request {
	params.Seed = d.Seed
	return engine.Request{Prompt: d.Prompt, N: d.N, Params: params, Seeded: true, MaxTokens: d.Limit.MaxTokens,
		StopTokens: d.Limit.StopTokens, Class: engine.Batch, Version: d.Version}
}

// refusal sorts what Submit may answer.
func refusal(err error) error {
	switch {
	case errors.Is(err, engine.ErrPromptTooLong):
		return &Failure{FailedPrompt, err}
	case errors.Is(err, engine.ErrClosed), errors.Is(err, engine.ErrDraining):
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return err
}

// collector makes samples of the Events of one Draw.
type collector struct {
	draw     *Draw
	samples  []Sample
	logprobs [][]float64
	version  int64
	err      error
}

func newCollector(d *Draw) *collector {
	return &collector{draw: d, samples: make([]Sample, d.N), logprobs: make([][]float64, d.N)}
}

// add takes an Event. stop: its sample is whole with the first keep tokens, and the engine need not go on with it.
func (c *collector) add(e *engine.Event) (keep int, stop bool) {
	s := &c.samples[e.Index]
	if s.End != "" { // it was whole before; what the engine had under way is dropped
		return 0, false
	}
	if e.HasToken {
		s.Tokens, s.Drawn = append(s.Tokens, e.Choice.Token), s.Drawn+1
		c.logprobs[e.Index] = append(c.logprobs[e.Index], float64(e.Choice.Logprob))
		c.version = e.Version
	}
	ended := e.Finish == engine.FinishStop && !slices.Contains(c.draw.Limit.StopTokens, e.StopID)
	if c.draw.Limit.StepEnd != nil && e.HasToken && !ended {
		if keep, ok := c.draw.Limit.StepEnd(s.Tokens); ok {
			s.End = EndStep
			s.Tokens = s.Tokens[:min(max(keep, 1), len(s.Tokens))]
			return len(s.Tokens), e.Finish == ""
		}
	}
	switch {
	case e.Finish == engine.FinishStop && ended:
		s.End = EndSequence
	case e.Finish == engine.FinishStop:
		s.End = EndStep
	case e.Finish == engine.FinishLength:
		s.End = EndLength
	case e.Finish == engine.FinishError:
		c.err = errors.Join(c.err, e.Err)
	case e.Finish != "":
		c.err = errors.Join(c.err, fmt.Errorf("sample %d ended with %s", e.Index, e.Finish))
	}
	return 0, false
}

// drawn is the answer once all samples have ended.
func (c *collector) drawn() Drawn {
	if c.err != nil {
		return Drawn{Err: c.err}
	}
	for i := range c.samples {
		for _, l := range c.logprobs[i][:len(c.samples[i].Tokens)] {
			c.samples[i].Logprob += l
		}
	}
	return Drawn{Samples: c.samples, Version: c.version}
}

// gate bounds what is in flight. A draw above the bound alone may enter when nothing else is there.
type gate struct {
	mu               sync.Mutex
	changed          *sync.Cond
	requests, tokens int
}

func (g *gate) enter(ctx context.Context, tokens int) error {
	defer context.AfterFunc(ctx, g.wake)()
	g.mu.Lock()
	defer g.mu.Unlock()
	for ctx.Err() == nil && g.requests > 0 && (g.requests >= maxFlyingRequests || g.tokens+tokens > maxFlyingTokens) {
		g.changed.Wait()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	g.requests, g.tokens = g.requests+1, g.tokens+tokens
	return nil
}

func (g *gate) leave(tokens int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests, g.tokens = g.requests-1, g.tokens-tokens
	g.changed.Broadcast()
}

// wake lets those that wait see that their ctx has ended.
func (g *gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changed.Broadcast()
}
