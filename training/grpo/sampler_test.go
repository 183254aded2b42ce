package grpo

import (
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"
)

// Rollouts of one length that fill their slots a whole number of times leave none empty, whatever they share: those that wait for a
// sibling to compute their prompt give way to others. What does not fill them leaves the rest empty at the end.
func TestLockStepCountsSlots(t *testing.T) {
	d := open(t, device.Go)
	policy := model.NewPolicy(1, tiny(t, d))
	defer policy.Release()
	const slots, tokens = 4, 5
	for _, c := range []struct{ groups, group, steps int }{{3, 4, 3 * tokens}, {1, 3, tokens + 1}, {1, 2, tokens + 1}} {
		l, err := OpenLockStep(d, policy, slots, 16)
		if err != nil {
			t.Fatal(err)
		}
		var requests []engine.Request
		for i := range c.groups {
			requests = append(requests, engine.Request{Prompt: []int32{int32(i), 3, 3}, N: c.group, MaxTokens: tokens, IgnoreEOS: true, Params: sampler.Default(),
				Class: engine.Batch, Version: 1})
		}
		if _, err := l.Sample(t.Context(), requests); err != nil {
			t.Fatal(err)
		}
		drawn, offered := l.Counts()
		if want := c.groups * c.group * tokens; drawn != uint64(want) || offered < uint64(c.steps*slots) || offered > uint64((c.steps+2)*slots) {
			t.Errorf("%d groups of %d: %d tokens in %d slots; want %d in about %d", c.groups, c.group, drawn, offered, want, c.steps*slots)
		}
		l.Close()
	}
}
