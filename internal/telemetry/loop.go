package telemetry

import "github.com/prometheus/client_golang/prometheus"

// LoopState is the state of learning in numbers: counts since the start, the rest of the last update.
type LoopState struct {
	State, Phase string // running, paused or stopped; gather, score, learn, check, publish, open or wait
	PhaseSeconds float64

	Applied, Rejected, Failed, Stale, Alarms uint64
	KeyCapped, RaterCapped                   uint64

	Reward, PassRate, Length, Returns, Entropy, Clipped, KL, Ratio, GradNorm, LR float64
	Gap, MeanGap                                                                 float64 // |difference| of log-probabilities between engine and trainer
	GapKL                                                                        float64 // KL divergence between the two, nats per token
	Staleness, Mixed, Share                                                      float64
	EvalPassRate                                                                 float64 // of the last evaluation; -1 = none yet

	Candidates            int // versions that wait to be promoted
	Swaps                 uint64
	LastSwap, LongestSwap float64 // seconds that no step could run

	StoreCommits, StoreOperations, StoreFailures uint64
	StoreWaiting                                 int
	StoreBytes                                   int64
	StoreBroken                                  bool
	Completions, Feedback, Used, Waiting         int // rows
}

// loopCollector reads a LoopState whenever metrics are read.
type loopCollector struct{ state func() LoopState }

// NewLoopCollector is for Registry; state is asked whenever somebody reads the metrics.
func NewLoopCollector(state func() LoopState) prometheus.Collector { return &loopCollector{state} }

var loopReadings = []reading[LoopState]{
	counter("astro_learning_applied_total", "Updates that made a version: it is served, or waits to be promoted.", func(s *LoopState) uint64 { return s.Applied }),
	counter("astro_learning_rejected_total", "Updates that were refused, had nothing to learn from, or did not pass their checks.", func(s *LoopState) uint64 { return s.Rejected }),
	counter("astro_learning_failed_total", "Updates that failed.", func(s *LoopState) uint64 { return s.Failed }),
	counter("astro_learning_stale_total", "Rated completions that were too old when their turn came.", func(s *LoopState) uint64 { return s.Stale }),
	counter("astro_learning_key_capped_total", "Times that a rated completion had to wait because an API key that rated it had its share of the update.", func(s *LoopState) uint64 { return s.KeyCapped }),
	counter("astro_learning_rater_capped_total", "Times that one had to wait because a rater had its share.", func(s *LoopState) uint64 { return s.RaterCapped }),
	counter("astro_learning_gap_alarms_total", "Updates whose log-probabilities differed between engine and trainer by more than they may.", func(s *LoopState) uint64 { return s.Alarms }),
	gauge("astro_learning_reward", "Mean reward of the last update, -1 to 1.", func(s *LoopState) float64 { return s.Reward }),
	gauge("astro_learning_pass_rate", "Share of correct answers in it.", func(s *LoopState) float64 { return s.PassRate }),
	gauge("astro_learning_length_tokens", "Mean length of its answers.", func(s *LoopState) float64 { return s.Length }),
	gauge("astro_learning_returns", "Mean backtracks of its answers.", func(s *LoopState) float64 { return s.Returns }),
	gauge("astro_learning_entropy_nats", "Mean entropy of its tokens.", func(s *LoopState) float64 { return s.Entropy }),
	gauge("astro_learning_clipped", "Share of its tokens that were clipped.", func(s *LoopState) float64 { return s.Clipped }),
	gauge("astro_learning_kl_nats", "KL divergence to what drew its answers.", func(s *LoopState) float64 { return s.KL }),
	gauge("astro_learning_ratio", "Largest probability ratio of a token.", func(s *LoopState) float64 { return s.Ratio }),
	gauge("astro_learning_grad_norm", "Norm of its gradient.", func(s *LoopState) float64 { return s.GradNorm }),
	gauge("astro_learning_rate", "Learning rate.", func(s *LoopState) float64 { return s.LR }),
	gauge("astro_logprob_gap_max", "Largest difference of a token's log-probability between engine and trainer.", func(s *LoopState) float64 { return s.Gap }),
	gauge("astro_logprob_gap_mean", "Its mean.", func(s *LoopState) float64 { return s.MeanGap }),
	gauge("astro_logprob_gap_kl_nats", "KL divergence between engine and trainer, per token, under the same weights.", func(s *LoopState) float64 { return s.GapKL }),
	gauge("astro_learning_staleness_versions", "Mean versions between drawing and learning.", func(s *LoopState) float64 { return s.Staleness }),
	gauge("astro_learning_mixed_groups", "Share of groups with contrast.", func(s *LoopState) float64 { return s.Mixed }),
	gauge("astro_learning_share", "Share of the last update's time that was spent on learning itself.", func(s *LoopState) float64 { return s.Share }),
	gauge("astro_learning_eval_pass_rate", "Pass rate of the last evaluation; -1 = there was none.", func(s *LoopState) float64 { return s.EvalPassRate }),
	gauge("astro_learning_phase_seconds", "How long the present phase has been going on.", func(s *LoopState) float64 { return s.PhaseSeconds }),
	gauge("astro_policy_candidates", "Versions that wait to be promoted.", func(s *LoopState) float64 { return float64(s.Candidates) }),
	counter("astro_policy_swaps_total", "Times that another policy was made current.", func(s *LoopState) uint64 { return s.Swaps }),
	gauge("astro_policy_swap_seconds", "Time that no step could run for the last swap.", func(s *LoopState) float64 { return s.LastSwap }),
	gauge("astro_policy_swap_longest_seconds", "The longest of those.", func(s *LoopState) float64 { return s.LongestSwap }),
	counter("astro_store_commits_total", "Groups of operations that are on disk.", func(s *LoopState) uint64 { return s.StoreCommits }),
	counter("astro_store_operations_total", "Operations in them.", func(s *LoopState) uint64 { return s.StoreOperations }),
	counter("astro_store_failures_total", "Groups that could not be committed.", func(s *LoopState) uint64 { return s.StoreFailures }),
	gauge("astro_store_waiting", "Operations that wait for the writer.", func(s *LoopState) float64 { return float64(s.StoreWaiting) }),
	gauge("astro_store_bytes", "Size of the store's file.", func(s *LoopState) float64 { return float64(s.StoreBytes) }),
	gauge("astro_store_broken", "1 = the store failed and must be opened again.", func(s *LoopState) float64 { return truth(s.StoreBroken) }),
	gauge("astro_completions", "Completions in the store.", func(s *LoopState) float64 { return float64(s.Completions) }),
	gauge("astro_feedback", "Rewards in the store.", func(s *LoopState) float64 { return float64(s.Feedback) }),
	gauge("astro_feedback_used", "Completions that were learned from.", func(s *LoopState) float64 { return float64(s.Used) }),
	gauge("astro_feedback_waiting", "Rated completions that were not.", func(s *LoopState) float64 { return float64(s.Waiting) }),
}

var (
	loopStateDesc = prometheus.NewDesc("astro_learning_state", "1 for the present state of learning.", []string{"state"}, nil)
	loopPhaseDesc = prometheus.NewDesc("astro_learning_phase", "1 for the present phase of the update.", []string{"phase"}, nil)
)

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c *loopCollector) Describe(out chan<- *prometheus.Desc) {
	out <- loopStateDesc
	out <- loopPhaseDesc
	describe(out, loopReadings)
}

// Collect implements prometheus.Collector.
func (c *loopCollector) Collect(out chan<- prometheus.Metric) {
	s := c.state()
	for _, state := range []string{"off", "running", "paused", "stopped"} {
		out <- prometheus.MustNewConstMetric(loopStateDesc, prometheus.GaugeValue, truth(s.State == state), state)
	}
	for _, phase := range []string{"open", "gather", "score", "learn", "check", "publish", "wait"} {
		out <- prometheus.MustNewConstMetric(loopPhaseDesc, prometheus.GaugeValue, truth(s.Phase == phase), phase)
	}
	collect(out, loopReadings, &s)
}
