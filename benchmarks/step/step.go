// Package step times the engine's steps in process, without HTTP, so that they can be put beside other engines on the same
// weights.
package step

import (
	"fmt"
	"slices"
	"time"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
)

// Options says what is timed.
type Options struct {
	Batches       []int // Sequences per decode step
	Positions     []int // tokens that each Sequence has in the cache already
	PrefillTokens int   // length of the timed prompt; 0 = none
	Steps         int   // decode steps per case; the best counts
	StepsPerCall  int   // tokens of each Sequence in one decode step (engine.Config.DecodeSteps)
	Prefills      int   // prefills; the best counts
	PageTokens    int
	Form          engine.Form  // how the model runs
	KVType        dtypes.DType // of keys and values; 0 = f32
}

// DefaultOptions are the cases of the comparison with llama.cpp.
func DefaultOptions() Options {
	return Options{Batches: []int{1, 8, 32}, Positions: []int{64, 512}, PrefillTokens: 512, Steps: 48, StepsPerCall: 1, Prefills: 6, PageTokens: 16, KVType: dtypes.Float32}
}

// Measurement is one timed case.
type Measurement struct {
	Case            string  `json:"case"`    // "decode" or "prefill"
	Backend         string  `json:"backend"` // go, xla:cpu or xla:cuda
	Batch           int     `json:"batch"`
	Position        int     `json:"position"` // of the first timed step
	Tokens          int     `json:"tokens"`   // fed per step
	StepsPerCall    int     `json:"steps_per_call"`
	BestMillis      float64 `json:"best_ms"`
	MedianMillis    float64 `json:"median_ms"`
	TokensPerSecond float64 `json:"tokens_per_s"` // at the best time
	HostShare       float64 `json:"host_share"`   // of the median step: what is not the forward or sampling program's run
}

// Run times every case on weights and reports each as it is done. Draws are greedy. A step is all that the engine's loop does:
// scheduling, the forward program, sampling, and taking the tokens in.
func Run(d *device.Device, policy *model.Policy, o Options, report func(Measurement)) error {
	for _, position := range o.Positions {
		for _, batch := range o.Batches {
			if err := decode(d, policy, o, batch, position, report); err != nil {
				return fmt.Errorf("bench decode of %d sequences at position %d: %w", batch, position, err)
			}
		}
	}
	if o.PrefillTokens == 0 {
		return nil
	}
	if err := prefill(d, policy, o, report); err != nil {
		return fmt.Errorf("bench prefill of %d tokens: %w", o.PrefillTokens, err)
	}
	return nil
}

// bench is a Scheduler on a runner, without the engine's goroutine between them.
type bench struct {
	device    *device.Device
	batch     int
	runner    *engine.DeviceRunner
	scheduler *engine.Scheduler
}

// newBench makes room for batch Sequences of context tokens, prompts in chunks of up to chunk tokens.
func newBench(d *device.Device, policy *model.Policy, o Options, batch, context, chunk int) (*bench, error) {
	if o.KVType == 0 {
		o.KVType = dtypes.Float32
	}
	c := engine.DefaultConfig(policy.Weights.Config.Vocab, batch, context)
	c.PageTokens, c.ChunkTokens, c.PrefixCache = o.PageTokens, chunk, false
	c.DecodeSteps, c.InteractiveAhead = o.StepsPerCall, true
	c.StepTokens = batch * chunk // all prompts in one step, so that all Sequences are at the same position
	c.Pages = batch * ((context + o.PageTokens - 1) / o.PageTokens)
	runner, err := engine.NewDeviceRunner(d, policy, engine.RunnerConfig{
		Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: batch, ChunkTokens: chunk, MaxContextTokens: context,
		KVType: o.KVType, Form: o.Form, GatherBytes: 1 << 30, LogitsBytes: engine.DefaultLogitsBytes})
	if err != nil {
		return nil, err
	}
	return &bench{device: d, batch: batch, runner: runner, scheduler: engine.NewScheduler(c, policy.Version)}, nil
}

// submit queues a Request of prompt tokens; n > 0 new ones.
func (b *bench) submit(prompt, n int) error {
	r := engine.Request{Prompt: make([]int32, prompt), N: 1, MaxTokens: n, IgnoreEOS: true, Params: sampler.Greedy()}
	for i := range r.Prompt {
		r.Prompt[i] = 2
	}
	_, err := b.scheduler.Submit(r)
	return err
}

// step runs one step and says how long it took, and which part of that was not inside a program.
func (b *bench) step() (took time.Duration, host float64, err error) {
	busy, start := b.runner.Busy(), time.Now()
	plan := b.scheduler.Next()
	if len(plan.Rows) != b.batch {
		panic(fmt.Sprintf("BUG: got a step of %d rows; want %d", len(plan.Rows), b.batch))
	}
	result, err := b.runner.Run(plan)
	if err != nil {
		return 0, 0, err
	}
	b.scheduler.Apply(result)
	took = time.Since(start)
	return took, 1 - (b.runner.Busy()-busy).Seconds()/took.Seconds(), nil
}

func decode(d *device.Device, policy *model.Policy, o Options, batch, position int, report func(Measurement)) error {
	steps := max(1, o.StepsPerCall) // 0 is 1, as it is to the Scheduler
	tokens := (o.Steps + 2) * steps
	b, err := newBench(d, policy, o, batch, position+tokens, position)
	if err != nil {
		return err
	}
	defer b.runner.Close()
	for range batch {
		if err := b.submit(position, tokens); err != nil {
			return err
		}
	}
	for range 2 { // the prompts, then a decode that compiles what it needs
		if _, _, err := b.step(); err != nil {
			return err
		}
	}
	m, err := b.time(o.Steps, func() error { return nil })
	m.Case, m.Batch, m.Position, m.Tokens, m.StepsPerCall = "decode", batch, position, batch*steps, steps
	return m.finish(err, report)
}

func prefill(d *device.Device, policy *model.Policy, o Options, report func(Measurement)) error {
	b, err := newBench(d, policy, o, 1, o.PrefillTokens+1, o.PrefillTokens)
	if err != nil {
		return err
	}
	defer b.runner.Close()
	next := func() error { return b.submit(o.PrefillTokens, 1) }
	if _, err := b.time(1, next); err != nil { // compiles
		return err
	}
	m, err := b.time(o.Prefills, next)
	m.Case, m.Batch, m.Tokens = "prefill", 1, o.PrefillTokens
	return m.finish(err, report)
}

// time runs n steps with something before each that is not counted.
func (b *bench) time(n int, before func() error) (Measurement, error) {
	m := Measurement{Backend: string(b.device.Kind())}
	steps, shares := make([]float64, n), make([]float64, n)
	for k := range n {
		if err := before(); err != nil {
			return m, err
		}
		took, host, err := b.step()
		if err != nil {
			return m, err
		}
		steps[k], shares[k] = took.Seconds()*1e3, host
	}
	slices.Sort(steps)
	slices.Sort(shares)
	m.BestMillis, m.MedianMillis, m.HostShare = steps[0], steps[n/2], shares[n/2]
	return m, nil
}

// finish adds what follows from the rest and reports.
func (m Measurement) finish(err error, report func(Measurement)) error {
	if err == nil {
		m.TokensPerSecond = float64(m.Tokens) / m.BestMillis * 1e3
		report(m)
	}
	return err
}
