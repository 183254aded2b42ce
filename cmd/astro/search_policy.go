package main

import (
	"context"
	"io"
	"log/slog"

	"astro/engine"
	"astro/model"
	"astro/sampler"
	"astro/training"
	"astro/training/search"
)

// searchPolicy is a loaded model that a search draws from.
type searchPolicy struct {
	backend
	place   place
	slots   int
	params  sampler.Params
	stepped engine.Config   // of a search in lock step
	stepper *search.Stepper // of its block; nil before the first, and without lock step
	before  engine.Counters // of the blocks before it
}

// startPolicy loads the model. In lock step there is no engine: the runner is driven by steppers, and waits for its programs.
func (s *searchFlags) startPolicy(ctx context.Context, diagnostics io.Writer) (*searchPolicy, error) {
	o := defaultServeOptions()
	o.dir, o.deviceFlags, o.dtype, o.maxSlots, o.contextTokens, o.decodeSteps = s.model, s.deviceFlags, s.dtype, s.slots, s.contextTokens, 0
	o.hub = s.hub
	if err := o.complete(ctx, diagnostics); err != nil {
		return nil, err
	}
	p := &searchPolicy{place: place{o.dir, o.names[0], o.revision}, slots: s.slots, params: sampler.Default()}
	p.params.Temperature = float32(s.temperature)
	if err := p.open(o, s.lockStep, diagnostics); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *searchPolicy) open(o serveOptions, lockStep bool, diagnostics io.Writer) error {
	log := slog.New(slog.NewTextHandler(diagnostics, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if !lockStep {
		b, err := newBackend(o, training.Start{Path: o.dir, Version: 1}, log, diagnostics)
		if err == nil {
			p.backend = *b
			p.runner.Warm()
		}
		return err
	}
	return p.openStepped(o, log, diagnostics)
}

// openStepped is newBackend without an engine.
func (p *searchPolicy) openStepped(o serveOptions, log *slog.Logger, diagnostics io.Writer) error {
	var err error
	if p.config, err = model.LoadConfig(o.dir); err != nil {
		return err
	}
	if p.tokenizer, p.template, err = loadText(o.dir, log); err != nil {
		return err
	}
	dtype, err := model.ParseDType(o.dtype)
	if err != nil {
		return err
	}
	d, err := o.openDevice()
	if err != nil {
		return err
	}
	if p.context = p.config.MaxPositions; o.contextTokens > 0 {
		p.context = min(p.context, o.contextTokens)
	}
	p.devices, p.dtype = 1, dtype
	form, err := p.chooseForm(o, d, dtype)
	if err != nil {
		return err
	}
	plan, err := planMemory(&p.backend, o, d, dtype)
	if err != nil {
		return err
	}
	if err := p.load(training.Start{Path: o.dir, Version: 1}, d, dtype, diagnostics); err != nil {
		return err
	}
	p.stepped = engine.DefaultConfig(p.config.Vocab, o.maxSlots, p.context)
	c := &p.stepped
	c.EOS, c.Pages, c.PageTokens, c.ChunkTokens, c.StepTokens = p.config.EOS, plan.KVPages, o.pageTokens, o.chunkTokens, o.stepTokens()
	c.DecodeSteps = engine.RolloutSteps(d)
	p.runner, err = engine.NewDeviceRunner(d, p.backend.policy, engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: c.MaxSlots,
		ChunkTokens: c.ChunkTokens, MaxContextTokens: c.MaxContextTokens, KVType: p.kvType, Form: form,
		GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	return err
}

// policy is what a search, or a block of it in lock step, draws from.
func (p *searchPolicy) policy() search.Policy {
	if p.engine != nil {
		return search.NewEnginePolicy(p.engine, p.params)
	}
	p.before = p.counters()
	p.stepper = search.NewStepper(p.runner, p.stepped, p.backend.policy.Version, p.params)
	return p.stepper
}

// counters are those of everything drawn so far.
func (p *searchPolicy) counters() engine.Counters {
	switch {
	case p.engine != nil:
		return p.engine.Stats().Counters
	case p.stepper == nil:
		return engine.Counters{}
	}
	c := p.stepper.Counters()
	c.Passes, c.OutputTokens = c.Passes+p.before.Passes, c.OutputTokens+p.before.OutputTokens
	return c
}

// busy is the mean share of slots that drew a token in a step.
func (p *searchPolicy) busy() float64 {
	c := p.counters()
	return float64(c.OutputTokens) / float64(max(1, c.Passes)*uint64(p.slots))
}
