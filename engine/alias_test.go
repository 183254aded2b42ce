package engine_test

import (
	"slices"
	"strings"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model/modeltest"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
)

// TestEveryProgramUpdatesThePoolsInPlace runs each kind of Step and looks at all compiled programs: those that take pools alias
// every byte of them. (A run that copied all the same fails too: internal/device checks the addresses in this build.)
func TestEveryProgramUpdatesThePoolsInPlace(t *testing.T) {
	onEachDevice(t, func(t *testing.T, d *device.Device) {
		f, c := modeltest.Named(t, "gqa-tied-bf16"), smallRunner(dtypes.Float32)
		policy := loadPolicy(t, d, f, dtypes.Float32)
		r := newRunner(t, d, policy, c)
		s := engine.NewScheduler(schedulerConfig(len(f.Logits[0]), c), 1)
		for _, q := range []engine.Request{
			{Prompt: f.Prompt, N: 3, MaxTokens: 4, Params: sampler.Default()}, // prefill, copy on write, decode
			{Prompt: f.Prompt[5:], N: 1, MaxTokens: 2, Params: sampler.Greedy(), Score: true},
		} {
			if _, err := s.Submit(q); err != nil {
				t.Fatal(err)
			}
		}
		for !s.Idle() {
			result, err := r.Run(s.Next())
			if err != nil {
				t.Fatal(err)
			}
			s.Apply(result)
		}
		pools := int64(2*policy.Weights.Config.Layers) * int64(c.Pages*policy.Weights.Config.KVHeads*c.PageTokens*policy.Weights.Config.HeadDim) * 4
		seen := map[string]bool{}
		for _, p := range d.Programs() {
			if !slices.ContainsFunc(p.Params, func(q device.Param) bool { return q.Name == "pool0" }) {
				continue // it samples, or makes something once
			}
			kind, _, _ := strings.Cut(p.Name, "_")
			seen[kind] = true
			if p.AliasedBytes != pools || p.InPlaceBytes < pools {
				t.Errorf("%s aliases %d bytes and updates %d in place; want all %d of the pools", p.Name, p.AliasedBytes, p.InPlaceBytes, pools)
			}
		}
		if len(seen) != 3 {
			t.Errorf("only programs of the kinds %v were compiled; want forward, score and copy", seen)
		}
	})
}
