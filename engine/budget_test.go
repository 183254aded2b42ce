package engine_test

import (
	"testing"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/sampler"
)

// Beside somebody who waits, rollouts take few rows of a step, the oldest first; alone they take all.
func TestBatchIsBoundedBesideInteractive(t *testing.T) {
	c := engine.DefaultConfig(100, 8, 64)
	c.BatchTokens = 2
	runner, s := enginetest.New(c), engine.NewScheduler(c, 1)
	submit := func(class engine.Class, tokens int) {
		t.Helper()
		if _, err := s.Submit(engine.Request{Prompt: []int32{1}, N: 1, MaxTokens: tokens, Params: sampler.Greedy(), IgnoreEOS: true, Class: class}); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		submit(engine.Batch, 12)
	}
	submit(engine.Interactive, 5)
	var rows []int
	for !s.Idle() {
		plan := s.Next()
		rows = append(rows, len(plan.Rows))
		result, err := runner.Run(plan)
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(result)
	}
	for i, n := range rows {
		if want := 3; i < 5 && n != want {
			t.Errorf("step %d has %d rows; want the one that somebody waits for and 2 of the 4 rollouts", i, n)
		}
		if i == 5 && n != 4 {
			t.Errorf("step %d has %d rows; want all 4 rollouts, which are alone", i, n)
		}
	}
	if last := rows[len(rows)-1]; last != 2 || len(rows) != 17 {
		t.Errorf("%d steps, the last with %d rows; want 17 and the 2 rollouts that began late", len(rows), last)
	}
	c.BatchTokens = -1
	if c.Validate() == nil {
		t.Error("a negative bound is no error")
	}
}
