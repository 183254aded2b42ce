package telemetry

import "github.com/prometheus/client_golang/prometheus"

// learning counts what is kept of answers and said about them.
type learning struct{ feedback, recorded, scored *prometheus.CounterVec }

// Outcomes that are there from the start, so that a rate of zero can be seen.
var (
	feedbackOutcomes = []string{"stored", "duplicate", "invalid", "unknown_completion", "completion_aborted", "feedback_conflict", "completion_expired", "storage_unavailable",
		"grader_failed", "grader_url_refused", "unsupported_grader"}
	recordOutcomes = []string{"stored", "aborted", "failed"}
	scoreOutcomes  = []string{"stored", "failed", "full"}
)

func (m *Metrics) observeLearning(r prometheus.Registerer) {
	counter := func(name, help string, outcomes []string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"outcome"})
		r.MustRegister(c)
		for _, outcome := range outcomes {
			c.WithLabelValues(outcome)
		}
		return c
	}
	m.learning = learning{
		feedback: counter("astro:feedback_total", "Rewards that clients sent, by what became of them.", feedbackOutcomes),
		recorded: counter("astro:completions_recorded_total", "Answers for the store, by what became of them.", recordOutcomes),
		scored:   counter("astro:self_scored_total", "Answers that came with a known answer and a grader, by what became of them.", scoreOutcomes),
	}
}

// Feedback counts a reward of a client: "stored", "duplicate", or the code of the error.
func (m *Metrics) Feedback(outcome string) { m.learning.feedback.WithLabelValues(outcome).Inc() }

// Recorded counts an answer that the store took ("stored", "aborted") or not ("failed").
func (m *Metrics) Recorded(outcome string) { m.learning.recorded.WithLabelValues(outcome).Inc() }

// SelfScored counts an answer that the server scored ("stored") or not ("failed"; "full" = too many were waiting).
func (m *Metrics) SelfScored(outcome string) { m.learning.scored.WithLabelValues(outcome).Inc() }
