package engine_test

import (
	"math"
	"testing"
	"time"

	"astro/engine"
	"astro/internal/device"
	"astro/sampler"
)

// BenchmarkDecodeByPoolSize times one decode of 8 Sequences at position 64 over KV pools of 32 MB and of 512 MB in turns. Their
// ratio must be near 1: a pool that was copied would make it 16.
func BenchmarkDecodeByPoolSize(b *testing.B) {
	for _, kind := range []device.Kind{device.Go, device.XLACPU} {
		b.Run(string(kind), func(b *testing.B) {
			d := openDevice(b, kind)
			small, large := decodeBench(b, d, 8, 64, 32<<20), decodeBench(b, d, 8, 64, 512<<20)
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

// decodeRow is one greedy decode of Sequence s, which has pages of its own.
func decodeRow(s, position, pages int) engine.Row {
	row := engine.Row{Version: 1, Tokens: []int32{2}, Start: position, Sample: &sampler.Row{Params: sampler.Greedy(), Prompt: make([]int32, position+1)}}
	for p := range pages {
		row.Pages = append(row.Pages, int32(s*pages+p))
	}
	return row
}
