package engine_test

import (
	"math"
	"testing"
	"time"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
)

// BenchmarkDecodeByPoolSize times one decode of 8 Sequences at position 64 over KV pools of 32 MB and of 512 MB in turns. Their
// ratio must be near 1: a pool that was copied would make it 16.
func BenchmarkDecodeByPoolSize(b *testing.B) {
	for _, kind := range []device.Kind{device.Go, device.XLACPU} {
		b.Run(string(kind), func(b *testing.B) {
			d := openDevice(b, kind)
			small, large := poolBench(b, d, 32<<20), poolBench(b, d, 512<<20)
			best := [2]time.Duration{math.MaxInt64, math.MaxInt64}
			for b.Loop() {
				for i, step := range []func(){small, large} {
					start := time.Now()
					step()
					best[i] = min(best[i], time.Since(start))
				}
			}
			b.ReportMetric(float64(best[0].Microseconds()), "us/32MB")
			b.ReportMetric(float64(best[1].Microseconds()), "us/512MB")
			b.ReportMetric(float64(best[1])/float64(best[0]), "ratio")
		})
	}
}

// poolBench makes a runner whose pools have the given size together, and returns its step.
func poolBench(b *testing.B, d *device.Device, poolBytes int) (step func()) {
	const seqs, position, pageTokens = 8, 64, 16
	c := model.Config{Vocab: 4096, Hidden: 384, Layers: 8, Heads: 6, KVHeads: 2, HeadDim: 64, FFN: 1024, MaxPositions: 128, NormEps: 1e-5,
		TiedHead: true, Rope: model.Rope{Theta: 500000}, BOS: -1, InitStd: .02}
	w, err := model.Random(c, 1, d.Backend(), dtypes.Float32)
	if err != nil {
		b.Fatal(err)
	}
	policy := model.NewPolicy(1, w)
	b.Cleanup(policy.Release)
	pageBytes := 2 * c.Layers * c.KVHeads * pageTokens * c.HeadDim * 4
	r := newRunner(b, d, policy, engine.RunnerConfig{Pages: poolBytes / pageBytes, PageTokens: pageTokens, MaxSlots: seqs, ChunkTokens: position,
		MaxContextTokens: 128, KVType: dtypes.Float32, GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	plan := &engine.Plan{}
	const pages = position/pageTokens + 1
	for s := range int32(seqs) {
		row := engine.Row{Version: 1, Tokens: []int32{2}, Start: position, Sample: &sampler.Row{Params: sampler.Greedy(), Prompt: make([]int32, position+1)}}
		for p := range int32(pages) {
			row.Pages = append(row.Pages, s*pages+p)
		}
		plan.Rows = append(plan.Rows, row)
	}
	step = func() {
		if _, err := r.Run(plan); err != nil {
			b.Fatal(err)
		}
	}
	step() // compiles
	return step
}
