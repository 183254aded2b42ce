package recipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"
	"astro/training/countdown"
	"astro/training/random"

	"github.com/gomlx/compute/dtypes"
)

// sampleSlots is the number of sequences that an evaluation runs side by side.
const sampleSlots = 64

// EngineSample samples the weights through the engine, as a server would. Stop ends the engine; the weights stay the caller's.
func EngineSample(d *device.Device, w *model.Weights) (sample Sample, stop func(), err error) {
	const context = 32 + MaxAnswerTokens // a prompt has at most 9 tokens
	c := engine.DefaultConfig(w.Config.Vocab, sampleSlots, context)
	c.EOS, c.Pages = w.Config.EOS, sampleSlots*(context/c.PageTokens)
	c.DecodeSteps = engine.RolloutSteps(d)
	policy := model.NewPolicy(1, w) // this reference is never released: the weights are not ours
	runner, err := engine.NewDeviceRunner(d, policy, engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: c.MaxSlots,
		ChunkTokens: c.ChunkTokens, MaxContextTokens: c.MaxContextTokens, KVType: dtypes.Float32,
		GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	if err != nil {
		return nil, nil, fmt.Errorf("cannot start an engine to evaluate with: %w", err)
	}
	e, err := engine.New(runner, engine.Options{Config: c, Version: policy.Version, StreamEvents: MaxAnswerTokens + 1})
	if err != nil {
		runner.Close()
		return nil, nil, fmt.Errorf("cannot start an engine to evaluate with: %w", err)
	}
	return sampleWith(e), func() { e.Close(); runner.Close() }, nil
}

// sampleWith keeps as many requests in flight as the engine has slots.
func sampleWith(e *engine.Engine) Sample {
	return func(ctx context.Context, prompts [][]int32, n int, seed uint64) ([][][]int32, error) {
		answers, errs := make([][][]int32, len(prompts)), make([]error, len(prompts))
		next := make(chan int)
		var workers sync.WaitGroup
		for range min(sampleSlots, len(prompts)) {
			workers.Go(func() {
				for i := range next {
					answers[i], errs[i] = sampleOne(ctx, e, prompts[i], n, random.New(seed, uint64(i)).Uint64())
				}
			})
		}
		for i := range prompts {
			next <- i
		}
		close(next)
		workers.Wait()
		return answers, errors.Join(errs...)
	}
}

// sampleOne draws n answers to one prompt.
func sampleOne(ctx context.Context, e *engine.Engine, prompt []int32, n int, seed uint64) ([][]int32, error) {
	params := sampler.Default()
	params.Seed = seed
	stream, err := e.Submit(ctx, engine.Request{Prompt: prompt, N: n, Params: params, Seeded: true, MaxTokens: MaxAnswerTokens, Class: engine.Batch})
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	answers := make([][]int32, n)
	for {
		event, err := stream.Next(ctx)
		if err == io.EOF {
			return answers, nil
		}
		if err == nil && event.Finish == engine.FinishError {
			err = event.Err
		}
		if err != nil {
			return nil, err
		}
		if event.HasToken && event.Choice.Token != countdown.EOS {
			answers[event.Index] = append(answers[event.Index], event.Choice.Token)
		}
	}
}
