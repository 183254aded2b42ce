package learning

import (
	"context"
	"fmt"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"
	"astro/training/grpo"
	"astro/training/random"
)

// Quiz is what a model is asked: so many samples of each prompt, at temperature 1 and without truncation.
type Quiz struct {
	Prompts   [][]int32
	Samples   int
	MaxTokens int // of an answer
	Slots     int // answers that are drawn side by side
	Seed      uint64
}

// Ask asks a model, whose weights it owns, in lock step: some problems, whose samples take judges in order, then the next. An answer that
// the engine fails ends it; an error of take does too.
func (q Quiz) Ask(ctx context.Context, d *device.Device, w *model.Weights, take func(problem int, samples []grpo.Sample) error) error {
	policy := model.NewPolicy(1, w)
	defer policy.Release()
	longest := 0
	for _, p := range q.Prompts {
		longest = max(longest, len(p))
	}
	steps, err := grpo.OpenLockStep(d, policy, min(q.Slots, len(q.Prompts)*q.Samples), longest+q.MaxTokens)
	if err != nil {
		return err
	}
	defer steps.Close()
	for first := 0; first < len(q.Prompts); first += q.Slots {
		samples, err := steps.Sample(ctx, q.requests(first, min(first+q.Slots, len(q.Prompts))))
		if err != nil {
			return fmt.Errorf("ask problems: %w", err)
		}
		for i := range samples {
			if err := judge(first+i, samples[i], take); err != nil {
				return err
			}
		}
	}
	return nil
}

func judge(problem int, samples []grpo.Sample, take func(int, []grpo.Sample) error) error {
	for _, s := range samples {
		if s.Finish == engine.FinishError {
			return fmt.Errorf("answer problem %d: %w", problem+1, s.Err)
		}
	}
	return take(problem, samples)
}

// requests asks the prompts [from, to). Samples depend on the number of their problem and not on what is asked beside it.
func (q Quiz) requests(from, to int) []engine.Request {
	var requests []engine.Request
	for i := from; i < to; i++ {
		params := sampler.Default()
		params.Seed = random.New(q.Seed, uint64(i)).Uint64()
		requests = append(requests, engine.Request{Prompt: q.Prompts[i], N: q.Samples, Params: params, Seeded: true, MaxTokens: q.MaxTokens, Class: engine.Batch, Version: 1})
	}
	return requests
}
