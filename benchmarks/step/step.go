// Package step times the engine's steps in process, without HTTP, so that they can be put beside other engines on the same
// weights, and beside what the device could do.
package step

import (
	"cmp"
	"fmt"

	"astro/engine"
	"astro/internal/device"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
)

// Options says what is timed.
type Options struct {
	Batches      []int // Sequences per decode step
	Positions    []int // tokens that each Sequence has in the cache already
	Prefill      []int // lengths of timed prompts
	Steps        int   // decode steps per case; the best counts
	StepsPerCall int   // tokens of each Sequence in one decode step (engine.Config.DecodeSteps); 0 = 1
	Prefills     int   // prefills per case; the best counts
	PageTokens   int
	ChunkTokens  int          // prompts are fed in chunks of at most so many tokens
	GatherBytes  int64        // bound on what one layer's attention gathers; 0 = 1 GiB
	Form         engine.Form  // how the model runs
	KVType       dtypes.DType // of keys and values; 0 = f32

	TensorParallel int // devices that the model is spread over; 0 = 1

	AvailableBytes int64  // of the device's memory, the weights' included: cases that need more are left out; 0 = none is
	Model          string // its name in what is reported
	Device         string // likewise
	Peaks          Peaks  // what the device could do
}

// DefaultOptions are the cases of the comparison with llama.cpp.
func DefaultOptions() Options {
	return Options{Batches: []int{1, 8, 32}, Positions: []int{64, 512}, Prefill: []int{512}, Steps: 48, Prefills: 6, PageTokens: 16, ChunkTokens: 2048,
		KVType: dtypes.Float32}
}

// LargeOptions are the cases for a model of billions of parameters on a GPU.
func LargeOptions() Options {
	o := DefaultOptions()
	o.Batches, o.Positions, o.Prefill = []int{1, 8, 32, 64, 128, 256}, []int{1024, 4096}, []int{1024, 4096, 16384}
	o.Steps, o.Prefills = 24, 3
	return o
}

// Measurement is one timed case, or one that was left out.
type Measurement struct {
	Case            string  `json:"case"`    // "decode" or "prefill"
	Backend         string  `json:"backend"` // go, xla:cpu or xla:cuda
	Device          string  `json:"device"`  // the processor's or the card's name
	Model           string  `json:"model"`
	DType           string  `json:"dtype"` // of the weights as they were loaded
	Batch           int     `json:"batch"`
	Position        int     `json:"position"`                 // of the first timed step
	Tokens          int     `json:"tokens"`                   // fed per step, or by all steps of a prompt
	StepsPerCall    int     `json:"steps_per_call,omitempty"` // tokens of each Sequence in a decode step
	Skipped         string  `json:"skipped,omitempty"`
	BestMillis      float64 `json:"best_ms"`
	MedianMillis    float64 `json:"median_ms"`
	TokensPerSecond float64 `json:"tokens_per_s"` // at the best time
	HostShare       float64 `json:"host_share"`   // of the median step: what is not the forward or sampling program's run
	Bytes           int64   `json:"bytes"`        // of Work
	FLOPs           int64   `json:"flops"`        // of Work
	OfBandwidth     Share   `json:"of_bandwidth"` // at the best time
	OfFLOPs         Share   `json:"of_flops"`     // at the best time
}

// Run times every case on weights and reports each as it is done; one that needs more memory than there is is reported as skipped. Draws
// are greedy. A step is all that the engine's loop does: scheduling, the forward program, sampling, and taking the tokens in.
func Run(d *device.Device, policy *model.Policy, o Options, report func(Measurement)) error {
	if err := o.Validate(); err != nil {
		return fmt.Errorf("bench step: %w", err)
	}
	o.KVType, o.GatherBytes = cmp.Or(o.KVType, dtypes.Float32), cmp.Or(o.GatherBytes, 1<<30)
	for _, position := range o.Positions {
		for _, batch := range o.Batches {
			m, err := decode(d, policy, o, batch, position)
			if err = o.report(d, policy, m, err, report); err != nil {
				return fmt.Errorf("bench decode of %d sequences at position %d: %w", batch, position, err)
			}
		}
	}
	for _, tokens := range o.Prefill {
		m, err := prefill(d, policy, o, tokens)
		if err = o.report(d, policy, m, err, report); err != nil {
			return fmt.Errorf("bench prefill of %d tokens: %w", tokens, err)
		}
	}
	return nil
}

// measured is a case's figures with what they are compared with.
type measured struct {
	Measurement
	work Work
}

func decode(d *device.Device, policy *model.Policy, o Options, batch, position int) (m measured, err error) {
	steps := max(1, o.StepsPerCall)
	m.Case, m.Batch, m.Position, m.Tokens, m.StepsPerCall = "decode", batch, position, batch*steps, steps
	c, tokens := policy.Weights.Config, (o.Steps+2)*steps
	s, err := o.plan(d, c, policy.Weights.DType(), batch, position+tokens, min(position, o.ChunkTokens))
	if err != nil {
		return m, err
	}
	b, err := newBench(d, policy, o, s)
	if err != nil {
		return m, err
	}
	defer b.runner.Close()
	for range batch {
		if err := b.submit(position, tokens); err != nil {
			return m, err
		}
	}
	if err := b.fill(); err != nil {
		return m, err
	}
	if err := b.step(); err != nil { // compiles what a decode needs
		return m, err
	}
	t, err := b.time(o.Steps, func() error { return nil }, b.step)
	m.take(t, DecodeWork(c, s.widths, batch, position).times(int64(steps)))
	return m, err
}

func prefill(d *device.Device, policy *model.Policy, o Options, tokens int) (m measured, err error) {
	m.Case, m.Batch, m.Tokens = "prefill", 1, tokens
	c := policy.Weights.Config
	s, err := o.plan(d, c, policy.Weights.DType(), 1, tokens+1, min(tokens, o.ChunkTokens))
	if err != nil {
		return m, err
	}
	b, err := newBench(d, policy, o, s)
	if err != nil {
		return m, err
	}
	defer b.runner.Close()
	next := func() error { return b.submit(tokens, 1) }
	if _, err := b.time(1, next, b.finish); err != nil { // compiles
		return m, err
	}
	t, err := b.time(o.Prefills, next, b.finish)
	m.take(t, PrefillWork(c, s.widths, tokens))
	return m, err
}

func (m *measured) take(t Measurement, w Work) {
	m.BestMillis, m.MedianMillis, m.HostShare, m.work = t.BestMillis, t.MedianMillis, t.HostShare, w
}

// report adds what follows from the rest and hands the case out; what did not fit becomes a skipped case.
func (o Options) report(d *device.Device, policy *model.Policy, m measured, err error, report func(Measurement)) error {
	m.Backend, m.Device, m.Model, m.DType = string(d.Kind()), o.Device, o.Model, Name(policy.Weights.DType())
	switch {
	case tooLarge(err):
		m.Skipped = err.Error()
	case err != nil:
		return err
	default:
		m.TokensPerSecond = float64(m.Tokens) / m.BestMillis * 1e3
		m.Bytes, m.FLOPs = m.work.Bytes, m.work.FLOPs
		m.OfBandwidth, m.OfFLOPs = o.Peaks.Shares(m.work, m.BestMillis/1e3)
	}
	report(m.Measurement)
	return nil
}
