package telemetry

import "github.com/prometheus/client_golang/prometheus"

// LoopState is the state of learning in numbers: counts since the start, the rest of the last update.
type LoopState struct {
	State, Phase string // running, paused or stopped; gather, score, learn, check, publish, open or wait
	PhaseSeconds float64

	Applied, Rejected, Failed, Stale, Alarms uint64

	Reward, PassRate, Length, Returns, Entropy, Clipped, KL, Ratio, GradNorm, LR float64
	Gap, MeanGap                                                                 float64 // |difference| of log-probabilities between engine and trainer
	Staleness, Mixed, Share                                                      float64
	EvalPassRate                                                                 float64 // of the last evaluation; -1 = none yet

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

type loopReading struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*LoopState) float64
}

func loopGauge(name, help string, value func(*LoopState) float64) loopReading {
	return loopReading{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, value}
}

func loopCounter(name, help string, value func(*LoopState) uint64) loopReading {
	return loopReading{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, func(s *LoopState) float64 { return float64(value(s)) }}
}

var loopReadings = []loopReading{
	loopCounter("astro_learning_applied_total", "Updates that were published.", func(s *LoopState) uint64 { return s.Applied }),
	loopCounter("astro_learning_rejected_total", "Updates that were refused, had nothing to learn from, or did not pass their checks.", func(s *LoopState) uint64 { return s.Rejected }),
	loopCounter("astro_learning_failed_total", "Updates that failed.", func(s *LoopState) uint64 { return s.Failed }),
	loopCounter("astro_learning_stale_total", "Rated completions that were too old when their turn came.", func(s *LoopState) uint64 { return s.Stale }),
	loopCounter("astro_learning_gap_alarms_total", "Updates whose log-probabilities differed between engine and trainer by more than they may.", func(s *LoopState) uint64 { return s.Alarms }),
	loopGauge("astro_learning_reward", "Mean reward of the last update, -1 to 1.", func(s *LoopState) float64 { return s.Reward }),
	loopGauge("astro_learning_pass_rate", "Share of correct answers in it.", func(s *LoopState) float64 { return s.PassRate }),
	loopGauge("astro_learning_length_tokens", "Mean length of its answers.", func(s *LoopState) float64 { return s.Length }),
	loopGauge("astro_learning_returns", "Mean backtracks of its answers.", func(s *LoopState) float64 { return s.Returns }),
	loopGauge("astro_learning_entropy_nats", "Mean entropy of its tokens.", func(s *LoopState) float64 { return s.Entropy }),
	loopGauge("astro_learning_clipped", "Share of its tokens that were clipped.", func(s *LoopState) float64 { return s.Clipped }),
	loopGauge("astro_learning_kl_nats", "KL divergence to what drew its answers.", func(s *LoopState) float64 { return s.KL }),
	loopGauge("astro_learning_ratio", "Largest probability ratio of a token.", func(s *LoopState) float64 { return s.Ratio }),
	loopGauge("astro_learning_grad_norm", "Norm of its gradient.", func(s *LoopState) float64 { return s.GradNorm }),
	loopGauge("astro_learning_rate", "Learning rate.", func(s *LoopState) float64 { return s.LR }),
	loopGauge("astro_logprob_gap_max", "Largest difference of a token's log-probability between engine and trainer.", func(s *LoopState) float64 { return s.Gap }),
	loopGauge("astro_logprob_gap_mean", "Its mean.", func(s *LoopState) float64 { return s.MeanGap }),
	loopGauge("astro_learning_staleness_versions", "Mean versions between drawing and learning.", func(s *LoopState) float64 { return s.Staleness }),
	loopGauge("astro_learning_mixed_groups", "Share of groups with contrast.", func(s *LoopState) float64 { return s.Mixed }),
	loopGauge("astro_learning_share", "Share of the last update's time that was spent on learning itself.", func(s *LoopState) float64 { return s.Share }),
	loopGauge("astro_learning_eval_pass_rate", "Pass rate of the last evaluation; -1 = there was none.", func(s *LoopState) float64 { return s.EvalPassRate }),
	loopGauge("astro_learning_phase_seconds", "How long the present phase has been going on.", func(s *LoopState) float64 { return s.PhaseSeconds }),
	loopCounter("astro_policy_swaps_total", "Times that another policy was made current.", func(s *LoopState) uint64 { return s.Swaps }),
	loopGauge("astro_policy_swap_seconds", "Time that no step could run for the last swap.", func(s *LoopState) float64 { return s.LastSwap }),
	loopGauge("astro_policy_swap_longest_seconds", "The longest of those.", func(s *LoopState) float64 { return s.LongestSwap }),
	loopCounter("astro_store_commits_total", "Groups of operations that are on disk.", func(s *LoopState) uint64 { return s.StoreCommits }),
	loopCounter("astro_store_operations_total", "Operations in them.", func(s *LoopState) uint64 { return s.StoreOperations }),
	loopCounter("astro_store_failures_total", "Groups that could not be committed.", func(s *LoopState) uint64 { return s.StoreFailures }),
	loopGauge("astro_store_waiting", "Operations that wait for the writer.", func(s *LoopState) float64 { return float64(s.StoreWaiting) }),
	loopGauge("astro_store_bytes", "Size of the store's file.", func(s *LoopState) float64 { return float64(s.StoreBytes) }),
	loopGauge("astro_store_broken", "1 = the store failed and must be opened again.", func(s *LoopState) float64 { return truth(s.StoreBroken) }),
	loopGauge("astro_completions", "Completions in the store.", func(s *LoopState) float64 { return float64(s.Completions) }),
	loopGauge("astro_feedback", "Rewards in the store.", func(s *LoopState) float64 { return float64(s.Feedback) }),
	loopGauge("astro_feedback_used", "Completions that were learned from.", func(s *LoopState) float64 { return float64(s.Used) }),
	loopGauge("astro_feedback_waiting", "Rated completions that were not.", func(s *LoopState) float64 { return float64(s.Waiting) }),
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
	for _, r := range loopReadings {
		out <- r.desc
	}
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
	for _, r := range loopReadings {
		out <- prometheus.MustNewConstMetric(r.desc, r.kind, r.value(&s))
	}
}
