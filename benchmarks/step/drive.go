package step

import (
	"fmt"
	"slices"
	"time"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"
)

// bench is a Scheduler on a runner, without the engine's goroutine between them.
type bench struct {
	setup
	runner    *engine.DeviceRunner
	scheduler *engine.Scheduler
}

func newBench(d *device.Device, policy *model.Policy, o Options, s setup) (*bench, error) {
	c := engine.DefaultConfig(policy.Weights.Config.Vocab, s.batch, s.context)
	c.PageTokens, c.ChunkTokens, c.PrefixCache, c.Pages = o.PageTokens, s.chunk, false, s.pages
	c.DecodeSteps, c.InteractiveAhead = o.StepsPerCall, true
	c.StepTokens = s.batch * s.chunk // all prompts in one step, so that all Sequences are at the same position
	c.MaxQueuedRequests, c.MaxQueuedTokens = s.batch, s.batch*s.context
	runner, err := engine.NewDeviceRunner(d, policy, engine.RunnerConfig{
		Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: s.batch, ChunkTokens: s.chunk, MaxContextTokens: s.context,
		KVType: o.KVType, TensorParallel: o.TensorParallel, Form: o.Form, GatherBytes: o.GatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	if err != nil {
		return nil, err
	}
	return &bench{setup: s, runner: runner, scheduler: engine.NewScheduler(c, policy.Version)}, nil
}

// submit queues a Request of prompt tokens; n > 0 new ones. All prompts are the same.
func (b *bench) submit(prompt, n int) error {
	r := engine.Request{Prompt: slices.Repeat([]int32{2}, prompt), N: 1, MaxTokens: n, IgnoreEOS: true, Params: sampler.Greedy()}
	_, err := b.scheduler.Submit(r)
	return err
}

// fill brings every Sequence to the end of its prompt. One prompt is computed; the others, which are the same, get copies of its pages.
func (b *bench) fill() error {
	for {
		plan := b.next()
		one := plan.Rows[0]
		result, err := b.runner.Run(&engine.Plan{Copies: plan.Copies, Rows: plan.Rows[:1]})
		if err == nil && one.Sample != nil {
			err = b.spread(plan.Rows)
		}
		if err != nil {
			return err
		}
		b.scheduler.Apply(engine.Result{Rows: slices.Repeat(result.Rows, len(plan.Rows))})
		if one.Sample != nil {
			return nil
		}
	}
}

// spread copies the pages of the first row to those of the others.
func (b *bench) spread(rows []engine.Row) error {
	var copies []engine.PageCopy
	for _, row := range rows[1:] {
		for i, page := range row.Pages {
			copies = append(copies, engine.PageCopy{From: rows[0].Pages[i], To: page})
		}
	}
	const most = 256 // of one program
	for some := range slices.Chunk(copies, most) {
		if _, err := b.runner.Run(&engine.Plan{Copies: some}); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) next() *engine.Plan {
	plan := b.scheduler.Next()
	if len(plan.Rows) != b.batch {
		panic(fmt.Sprintf("BUG: got a step of %d rows; want %d", len(plan.Rows), b.batch))
	}
	return plan
}

func (b *bench) step() error {
	plan := b.next()
	result, err := b.runner.Run(plan)
	if err != nil {
		return err
	}
	b.scheduler.Apply(result)
	return nil
}

// finish makes steps until nothing is left to do.
func (b *bench) finish() error {
	for !b.scheduler.Idle() {
		if err := b.step(); err != nil {
			return err
		}
	}
	return nil
}

// time runs something n times, with something before each that is not counted.
func (b *bench) time(n int, before, run func() error) (m Measurement, err error) {
	took, shares := make([]float64, n), make([]float64, n)
	for k := range n {
		if err := before(); err != nil {
			return m, err
		}
		busy, start := b.runner.Busy(), time.Now()
		if err := run(); err != nil {
			return m, err
		}
		seconds := time.Since(start).Seconds()
		took[k], shares[k] = seconds*1e3, 1-(b.runner.Busy()-busy).Seconds()/seconds
	}
	slices.Sort(took)
	slices.Sort(shares)
	m.BestMillis, m.MedianMillis, m.HostShare = took[0], took[n/2], shares[n/2]
	return m, nil
}
