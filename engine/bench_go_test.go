package engine_test

import (
	"fmt"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
)

// BenchmarkGoDecode is a decode step on the go backend, to be profiled.
func BenchmarkGoDecode(b *testing.B) {
	d := openDevice(b, device.Go)
	for _, rows := range []int{1, 8, 32} {
		for _, position := range []int{64, 512} {
			b.Run(fmt.Sprintf("batch %d position %d", rows, position), func(b *testing.B) {
				step := decodeBench(b, d, rows, position, 0)
				for b.Loop() {
					step()
				}
			})
		}
	}
}

// BenchmarkGoPrefill is a prefill of 512 tokens on the go backend, to be profiled.
func BenchmarkGoPrefill(b *testing.B) {
	d := openDevice(b, device.Go)
	w, err := model.Random(benchModel, 1, d.Backend(), dtypes.Float32)
	if err != nil {
		b.Fatal(err)
	}
	policy := model.NewPolicy(1, w)
	b.Cleanup(policy.Release)
	r := newRunner(b, d, policy, engine.RunnerConfig{Pages: 33, PageTokens: 16, MaxSlots: 1, ChunkTokens: 512,
		MaxContextTokens: 528, KVType: dtypes.Float32, GatherBytes: 1 << 30, LogitsBytes: engine.DefaultLogitsBytes})
	row := decodeRow(0, 0, 32)
	row.Tokens = make([]int32, 512)
	for b.Loop() {
		if _, err := r.Run(&engine.Plan{Rows: []engine.Row{row}}); err != nil {
			b.Fatal(err)
		}
	}
}
