package telemetry

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// EngineState is the engine's state in numbers, as metrics need it. Counts are since the start.
type EngineState struct {
	Running, Waiting, Stalled int     // sequences
	Queued                    []Queue // by class: without a slot yet; the rest of Waiting was preempted

	Pages, HeldPages, PageTokens int
	CacheType                    string // of keys and values
	PrefixCache                  bool

	PromptTokens, CachedTokens, OutputTokens uint64 // computed; taken from the prefix cache; drawn
	Preemptions, Evictions                   uint64
	NotFinite                                uint64 // samples whose logits were not
	Steps, FailedSteps                       uint64
	AheadTokens, DroppedTokens               uint64 // of OutputTokens, drawn in a step after another of their sequence; drawn so behind an end
	PolicyVersion                            int64

	ProgramsReady, ProgramsPending         int   // compiled; wanted and not compiled yet
	ExecutablesCompiled, ExecutablesLoaded int64 // by this process, where it keeps executables: made by the compiler; read from the cache on disk
}

// Queue is what waits of one class of requests.
type Queue struct {
	Class            string // interactive, batch
	Requests, Tokens int
}

// engineCollector reads a EngineState whenever metrics are read.
type engineCollector struct{ state func() EngineState }

var readings = []reading[EngineState]{
	gauge("vllm:num_requests_running", "Sequences with a slot.", func(s *EngineState) float64 { return float64(s.Running) }),
	gauge("vllm:num_requests_waiting", "Sequences without one.", func(s *EngineState) float64 { return float64(s.Waiting) }),
	gauge("vllm:kv_cache_usage_perc", "Share of pages that sequences hold; 1 = all.", func(s *EngineState) float64 {
		return float64(s.HeldPages) / float64(max(1, s.Pages))
	}),
	counter("vllm:prompt_tokens_total", "Tokens of prompts, cached ones too.", func(s *EngineState) uint64 { return s.PromptTokens + s.CachedTokens }),
	counter("vllm:prompt_tokens_cached_total", "Tokens of prompts that came from the prefix cache.", func(s *EngineState) uint64 { return s.CachedTokens }),
	counter("vllm:generation_tokens_total", "Tokens that were drawn.", func(s *EngineState) uint64 { return s.OutputTokens }),
	counter("vllm:prefix_cache_queries_total", "Tokens that were looked up in the prefix cache.", func(s *EngineState) uint64 { return s.PromptTokens + s.CachedTokens }),
	counter("vllm:prefix_cache_hits_total", "Tokens that were found there.", func(s *EngineState) uint64 { return s.CachedTokens }),
	counter("vllm:num_preemptions_total", "Sequences that lost their slot to others.", func(s *EngineState) uint64 { return s.Preemptions }),
	counter("vllm:corrupted_requests_total", "Samples that ended because logits were NaN or infinite.", func(s *EngineState) uint64 { return s.NotFinite }),
	counter("astro_page_evictions_total", "Cached pages that were given to others.", func(s *EngineState) uint64 { return s.Evictions }),
	counter("astro_steps_total", "Steps of the engine.", func(s *EngineState) uint64 { return s.Steps }),
	counter("astro_failed_steps_total", "Steps that failed with all their sequences.", func(s *EngineState) uint64 { return s.FailedSteps }),
	counter("astro_ahead_tokens_total", "Tokens that were drawn in one step after another of their sequence (--decode-steps).", func(s *EngineState) uint64 { return s.AheadTokens }),
	counter("astro_dropped_tokens_total", "Tokens that were drawn so behind the end of their sequence, for nobody.", func(s *EngineState) uint64 { return s.DroppedTokens }),
	gauge("astro_sequences_stalled", "Sequences that wait for their client to read.", func(s *EngineState) float64 { return float64(s.Stalled) }),
	gauge("astro_programs_ready", "Compiled programs.", func(s *EngineState) float64 { return float64(s.ProgramsReady) }),
	gauge("astro_programs_pending", "Programs that are wanted and not compiled yet; what they are for runs in larger ones.", func(s *EngineState) float64 {
		return float64(s.ProgramsPending)
	}),
	counter("astro_executables_compiled_total", "Programs that the compiler made in this process, where executables are kept on disk.", func(s *EngineState) uint64 {
		return uint64(s.ExecutablesCompiled)
	}),
	counter("astro_executables_loaded_total", "Programs that were read from the executable cache instead.", func(s *EngineState) uint64 { return uint64(s.ExecutablesLoaded) }),
	gauge("astro_policy_version", "Version of the weights that new requests run on.", func(s *EngineState) float64 { return float64(s.PolicyVersion) }),
}

var (
	waitingDesc = prometheus.NewDesc("vllm:num_requests_waiting_by_reason", "Sequences without a slot: capacity = new, deferred = preempted.", []string{"reason"}, nil)
	sleepDesc   = prometheus.NewDesc("vllm:engine_sleep_state", "1 for the present state; this engine never sleeps.", []string{"sleep_state"}, nil)
	sourceDesc  = prometheus.NewDesc("vllm:prompt_tokens_by_source_total", "Tokens of prompts, by where their keys and values came from.", []string{"source"}, nil)
	cachedDesc  = prometheus.NewDesc("vllm:prompt_tokens_cached_by_source_total", "Tokens of prompts that were not computed, by where they came from.", []string{"source"}, nil)
	queuedDesc  = prometheus.NewDesc("astro_queued_requests", "Requests without a slot yet, by class; each class has a queue of its own.", []string{"class"}, nil)
	tokensDesc  = prometheus.NewDesc("astro_queued_prompt_tokens", "Tokens of their prompts.", []string{"class"}, nil)
	cacheDesc   = prometheus.NewDesc("vllm:cache_config_info", "The KV cache; always 1.", []string{"block_size", "num_gpu_blocks", "cache_dtype", "enable_prefix_caching"}, nil)
)

// Describe implements prometheus.Collector.
func (c *engineCollector) Describe(out chan<- *prometheus.Desc) {
	describe(out, readings)
	for _, desc := range []*prometheus.Desc{waitingDesc, sleepDesc, sourceDesc, cachedDesc, queuedDesc, tokensDesc, cacheDesc} {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *engineCollector) Collect(out chan<- prometheus.Metric) {
	s := c.state()
	collect(out, readings, &s)
	set := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	queued := 0
	for _, q := range s.Queued {
		queued += q.Requests
		set(queuedDesc, float64(q.Requests), q.Class)
		set(tokensDesc, float64(q.Tokens), q.Class)
	}
	fresh := min(queued, s.Waiting)
	set(waitingDesc, float64(fresh), "capacity")
	set(waitingDesc, float64(s.Waiting-fresh), "deferred")
	collectSources(out, &s)
	set(sleepDesc, 1, "awake")
	set(sleepDesc, 0, "weights_offloaded")
	set(sleepDesc, 0, "discard_all")
	set(cacheDesc, 1, strconv.Itoa(s.PageTokens), strconv.Itoa(s.Pages), s.CacheType, strconv.FormatBool(s.PrefixCache))
}

// collectSources says where prompts came from; a transfer from another engine, which vLLM knows, is not among ours.
func collectSources(out chan<- prometheus.Metric, s *EngineState) {
	count := func(desc *prometheus.Desc, value uint64, source string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), source)
	}
	count(sourceDesc, s.PromptTokens, "local_compute")
	count(sourceDesc, s.CachedTokens, "local_cache_hit")
	count(cachedDesc, s.CachedTokens, "local_cache_hit")
}
