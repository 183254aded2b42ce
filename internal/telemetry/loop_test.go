package telemetry

import (
	"strings"
	"testing"
)

// Every number of learning is in the text that Prometheus reads.
func TestLoopCollector(t *testing.T) {
	m := NewMetrics(Info{Model: "m"}, func() EngineState { return EngineState{} })
	m.Registry().MustRegister(NewLoopCollector(func() LoopState {
		return LoopState{State: "paused", Phase: "wait", Applied: 3, RaterCapped: 5, Candidates: 2, Gap: 1e-5, GapKL: 2e-6, StoreBroken: true, Waiting: 7, EvalPassRate: -1}
	}))
	text, err := m.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"astro_learning_applied_total 3\n", "astro_learning_rater_capped_total 5\n", "astro_policy_candidates 2\n", "astro_logprob_gap_max 1e-05\n", "astro_logprob_gap_kl_nats 2e-06\n", "astro_store_broken 1\n", "astro_feedback_waiting 7\n",
		`astro_learning_state{state="paused"} 1`, `astro_learning_state{state="running"} 0`, `astro_learning_phase{phase="wait"} 1`, "astro_learning_eval_pass_rate -1\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("want %q in the text", want)
		}
	}
}
