package recipe

import (
	"context"
	"fmt"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/sampler"
	"astro/training/countdown"
	"astro/training/grpo"
	"astro/training/random"
)

// rewarded is the model that the whole method makes: half of its rollouts reach the longest length.
const rewarded = "../../models/astro-countdown"

// BenchmarkRollouts samples the rollouts of one step of reward learning as the recipe does, 32 groups of 8 in so many slots, and some
// of them by a plain loop of requests. It reports tokens per second and the share of decode slots that were busy: what is missing is
// the end of the batch, where no Sequence waits any more. Each is run once before, which compiles.
func BenchmarkRollouts(b *testing.B) {
	benchOn(b, func(b *testing.B, d *device.Device) {
		for _, slots := range []int{64, 32, 16} {
			b.Run(fmt.Sprintf("slots=%d", slots), func(b *testing.B) { benchRollouts(b, d, slots, rollouts(32, 8)) })
		}
		b.Run("loop", func(b *testing.B) { benchRollouts(b, d, 1, rollouts(8, 1)) }) // one slot: the next begins when the one before has ended
	})
}

// rollouts asks for groups of answers to so many problems.
func rollouts(problems, group int) (requests []engine.Request) {
	for i, p := range countdown.CD4.Sample(countdown.CD4.Split().Train, problems, random.New(1, 0)) {
		params := sampler.Default()
		params.Seed = uint64(i)
		requests = append(requests, engine.Request{Prompt: countdown.Prompt(p), N: group, Params: params, Seeded: true, MaxTokens: 200, Class: engine.Batch, Version: 1})
	}
	return requests
}

func benchRollouts(b *testing.B, d *device.Device, slots int, requests []engine.Request) {
	policy := committedPolicy(b, d, rewarded)
	l, err := grpo.OpenLockStep(d, policy, slots, 16+200)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.Close)
	draw := func() (tokens int) {
		samples, err := l.Sample(context.Background(), requests)
		if err != nil {
			b.Fatal(err)
		}
		for _, group := range samples {
			for _, s := range group {
				tokens += len(s.Tokens)
			}
		}
		return tokens
	}
	draw()
	tokens := 0
	drawn, offered := l.Counts()
	for b.Loop() {
		tokens += draw()
	}
	afterDrawn, afterOffered := l.Counts()
	reportSlots(b, tokens, afterDrawn-drawn, afterOffered-offered)
}
