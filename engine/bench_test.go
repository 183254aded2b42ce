package engine_test

import (
	"testing"

	"astro/engine"
	"astro/sampler"
)

// BenchmarkSchedulerStep is the scheduler's part of a step with 32 decodes at about position 300: what must stay small
// beside the device's part. The Runner here answers token 1 to everything.
func BenchmarkSchedulerStep(b *testing.B) {
	config := engine.DefaultConfig(32_000, 32, 1<<20)
	config.MaxQueuedTokens = 1 << 30
	s := engine.NewScheduler(config, 1)
	for i := range 32 {
		r := request(uint64(i), make([]int32, 300)...)
		r.Prompt[0], r.MaxTokens = int32(i), 1<<20
		if _, err := s.Submit(r); err != nil {
			b.Fatal(err)
		}
	}
	result := engine.Result{Rows: make([]engine.RowResult, 32)}
	for i := range result.Rows {
		result.Rows[i].Choices = []sampler.Choice{{TokenLogprob: sampler.TokenLogprob{Token: 1}}}
	}
	tokens := 0
	for b.Loop() {
		plan := s.Next()
		tokens += len(plan.Rows)
		s.Apply(engine.Result{Rows: result.Rows[:len(plan.Rows)]})
	}
	b.ReportMetric(float64(tokens)/float64(b.N), "rows/step")
}
