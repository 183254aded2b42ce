package step

import (
	"testing"

	"astro/internal/device"
	"astro/model"
	"astro/model/modeltest"

	"github.com/gomlx/compute/dtypes"
)

// Every case is measured once, feeds what it says, and leaves nothing behind on the device.
func TestRunMeasuresEveryCase(t *testing.T) {
	d, err := device.Open(device.Options{Backend: string(device.Go)})
	if err != nil {
		t.Fatal(err)
	}
	w, err := model.Load(modeltest.Named(t, "mha").Dir, d.Backend(), dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	policy := model.NewPolicy(1, w)
	defer policy.Release()
	before := len(d.Programs())
	calls := 0
	type key struct {
		what                    string
		batch, position, tokens int
	}
	seen := map[key]int{}
	o := Options{Batches: []int{1, 3}, Positions: []int{5, 20}, PrefillTokens: 33, Steps: 4, Prefills: 2, PageTokens: 4}
	err = Run(d, policy, o, func(m Measurement) {
		seen[key{m.Case, m.Batch, m.Position, m.Tokens}]++
		if !(m.BestMillis > 0 && m.BestMillis <= m.MedianMillis && m.TokensPerSecond > 0 && m.HostShare >= 0 && m.HostShare < 1) || m.Backend != "go" {
			t.Errorf("got %+v; want positive times, the best first, and a share", m)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	many := Options{Batches: []int{2}, Positions: []int{5}, Steps: 3, StepsPerCall: 4, PageTokens: 4}
	if err := Run(d, policy, many, func(m Measurement) {
		if calls++; m.Tokens != 8 || m.StepsPerCall != 4 {
			t.Errorf("got %+v; want 8 tokens a call, 4 of each sequence", m)
		}
	}); err != nil || calls != 1 {
		t.Errorf("%d calls, %v; want one case", calls, err)
	}
	for _, k := range []key{{"decode", 1, 5, 1}, {"decode", 3, 5, 3}, {"decode", 1, 20, 1}, {"decode", 3, 20, 3}, {"prefill", 1, 0, 33}} {
		if seen[k] != 1 || len(seen) != 5 {
			t.Errorf("%+v was measured %d times; want once (all: %v)", k, seen[k], seen)
		}
	}
	if after := len(d.Programs()); after != before {
		t.Errorf("%d programs are left open", after-before)
	}
}
