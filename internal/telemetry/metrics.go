package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics counts what requests and steps did. Make it with NewMetrics; its methods may be called from anywhere.
type Metrics struct {
	all *prometheus.Registry

	sizes, answers, durations *prometheus.HistogramVec // of HTTP
	served                    *prometheus.CounterVec
	finished, rejected, tools *prometheus.CounterVec
	failures                  prometheus.Counter

	firstToken, interToken, perToken         prometheus.Observer
	endToEnd, queue, inference               prometheus.Observer
	prefill, decode                          prometheus.Observer
	promptTokens, outputTokens, maxTokens, n prometheus.Observer
	mostTokens, computed, preemptions        prometheus.Observer
	stepTokens, stepSeconds, stepHost        prometheus.Observer

	genDuration, genFirst, genPerToken *prometheus.HistogramVec

	learning learning
}

// Info names what is measured, in labels.
type Info struct {
	Model   string // its first name
	Version string // of the program
}

// namespace is the prefix of vLLM's names, which dashboards, autoscalers and gateways read.
const namespace = "vllm:"

// NewMetrics makes the metrics of one server. state gives the engine's state whenever somebody reads them.
func NewMetrics(i Info, state func() EngineState) *Metrics {
	m := &Metrics{all: prometheus.NewRegistry()}
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"model_name": i.Model, "engine": "0"}, m.all)
	m.all.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "astro_build_info", Help: "The program; always 1.", ConstLabels: prometheus.Labels{"version": i.Version}},
			func() float64 { return 1 }))
	labelled.MustRegister(&engineCollector{state})
	m.observeRequests(labelled)
	m.observeHTTP(m.all)
	m.observeConventions(i.Model)
	m.observeLearning(m.all)
	return m
}

// Registry is for further collectors of the same process.
func (m *Metrics) Registry() *prometheus.Registry { return m.all }

func (m *Metrics) observeRequests(r prometheus.Registerer) {
	histogram := func(name, help string, bounds []float64) prometheus.Observer {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: namespace + name, Help: help, Buckets: bounds})
		r.MustRegister(h)
		return h
	}
	m.firstToken = histogram("time_to_first_token_seconds", "From the arrival of a request to its first token.", firstTokenBounds)
	m.interToken = histogram("inter_token_latency_seconds", "Between two tokens of a choice.", tokenBounds)
	m.perToken = histogram("request_time_per_output_token_seconds", "Mean time between the tokens of a choice.", tokenBounds)
	m.endToEnd = histogram("e2e_request_latency_seconds", "From the arrival of a request to its last token.", requestBounds)
	m.queue = histogram("request_queue_time_seconds", "Before a request's first slot.", requestBounds)
	m.inference = histogram("request_inference_time_seconds", "From the first slot to the last token.", requestBounds)
	m.prefill = histogram("request_prefill_time_seconds", "From the first slot to the first token.", requestBounds)
	m.decode = histogram("request_decode_time_seconds", "From the first token to the last one.", requestBounds)
	m.promptTokens = histogram("request_prompt_tokens", "Tokens of a prompt.", tokenCounts)
	m.outputTokens = histogram("request_generation_tokens", "Tokens of a choice.", tokenCounts)
	m.maxTokens = histogram("request_params_max_tokens", "Most tokens that a choice may have.", tokenCounts)
	m.mostTokens = histogram("request_max_num_generation_tokens", "Tokens of the longest choice of a prompt.", tokenCounts)
	m.computed = histogram("request_prefill_kv_computed_tokens", "Tokens of a prompt that were not in the prefix cache.", append([]float64{0}, tokenCounts...))
	m.preemptions = histogram("request_num_preemptions", "Times that the choices of a prompt lost their slots to others.", preemptionCounts)
	m.n = histogram("request_params_n", "Choices of a prompt.", []float64{1, 2, 5, 10, 20, 50, 100})
	m.stepTokens = histogram("iteration_tokens_total", "Tokens of a step, read and drawn.", stepCounts)
	m.finished = prometheus.NewCounterVec(prometheus.CounterOpts{Name: namespace + "request_success_total",
		Help: "Choices that ended, by why."}, []string{"finished_reason"})
	m.rejected = prometheus.NewCounterVec(prometheus.CounterOpts{Name: namespace + "admission_rejections_total",
		Help: "Requests that were refused for lack of room or right, by why."}, []string{"reason"})
	m.tools = prometheus.NewCounterVec(prometheus.CounterOpts{Name: namespace + "tool_call_parser_invocations_total",
		Help: "Choices in which calls of tools were looked for, by whether there were some."}, []string{"mode", "outcome", "request_type"})
	r.MustRegister(m.finished, m.rejected, m.tools)
	for _, reason := range []string{"stop", "length", "abort", "error"} {
		m.finished.WithLabelValues(reason)
	}
	for _, reason := range []string{"key", "scope", "quota", "cost", "queue", "draining"} {
		m.rejected.WithLabelValues(reason)
	}
	for _, requestType := range []string{"chat_completions", "responses", "other"} {
		for _, outcome := range []string{"tool_call", "no_tool_call"} {
			m.tools.WithLabelValues("streaming", outcome, requestType)
			m.tools.WithLabelValues("non_streaming", outcome, requestType)
		}
	}
	m.observeSteps(r)
}

func (m *Metrics) observeSteps(r prometheus.Registerer) {
	step := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "astro_step_seconds", Help: "One step of the engine.", Buckets: tokenBounds})
	host := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "astro_step_host_seconds_per_token",
		Help: "What the engine did in a step besides running programs, by token of the step.", Buckets: hostBounds})
	r.MustRegister(step, host)
	m.stepSeconds, m.stepHost = step, host
}

func (m *Metrics) observeHTTP(r prometheus.Registerer) {
	labels := []string{"method", "handler"}
	m.served = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "HTTP requests, by route and status."}, append(labels, "status"))
	m.durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds",
		Help: "From the end of a request's header to the end of its handler; a stream goes on after that.", Buckets: httpBounds}, labels)
	m.sizes = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_size_bytes", Help: "Body of a request.", Buckets: byteCounts}, labels)
	m.answers = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_response_size_bytes", Help: "Body of an answer that is not a stream.", Buckets: byteCounts}, labels)
	m.failures = prometheus.NewCounter(prometheus.CounterOpts{Name: "astro_http_server_errors_total", Help: "Answers with a status from 500 on, but 503 while draining or full."})
	r.MustRegister(m.served, m.durations, m.sizes, m.answers, m.failures)
}

func (m *Metrics) observeConventions(model string) {
	histogram := func(name, help string, bounds []float64) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "gen_ai", Subsystem: "server", Name: name, Help: help, Buckets: bounds,
			ConstLabels: prometheus.Labels{"gen_ai_provider_name": "astro", "gen_ai_request_model": model}}, []string{"gen_ai_operation_name", "error_type"})
		m.all.MustRegister(h)
		return h
	}
	m.genDuration = histogram("request_duration_seconds", "From the arrival of a request to its last token.", conventionDuration)
	m.genFirst = histogram("time_to_first_token_seconds", "From the arrival of a request to its first token.", conventionFirst)
	m.genPerToken = histogram("time_per_output_token_seconds", "Mean time between the tokens of a choice.", conventionPerToken)
}

// HTTP counts a request that was answered. route is a line of the route table, never a path as it was sent.
func (m *Metrics) HTTP(method, route string, status, requestBytes, answerBytes int, took time.Duration) {
	m.served.WithLabelValues(method, route, statusText(status)).Inc()
	m.durations.WithLabelValues(method, route).Observe(took.Seconds())
	m.sizes.WithLabelValues(method, route).Observe(float64(requestBytes))
	m.answers.WithLabelValues(method, route).Observe(float64(answerBytes))
	if status >= 500 && status != 503 {
		m.failures.Inc()
	}
}

// Rejected counts a request that was refused for lack of room or right: key, scope, quota, cost, queue, draining.
func (m *Metrics) Rejected(reason string) { m.rejected.WithLabelValues(reason).Inc() }

// Step counts a step of the engine; host is the part that no program ran in.
func (m *Metrics) Step(tokens int, took, host time.Duration) {
	m.stepTokens.Observe(float64(tokens))
	m.stepSeconds.Observe(took.Seconds())
	m.stepHost.Observe(host.Seconds() / float64(max(1, tokens)))
}

// Token notes the time between two tokens of a choice.
func (m *Metrics) Token(since time.Duration) { m.interToken.Observe(since.Seconds()) }

// FirstToken notes the time from a request's arrival to its first token.
func (m *Metrics) FirstToken(operation string, since time.Duration) {
	m.firstToken.Observe(since.Seconds())
	m.genFirst.WithLabelValues(operation, "").Observe(since.Seconds())
}

// Choice is one finished sample.
type Choice struct {
	Operation string // chat, text_completion
	Reason    string // stop, length, abort, error
	Tokens    int
	Decode    time.Duration // from its first token to its last
}

// ToolParse is a choice in which calls of tools were looked for.
type ToolParse struct {
	RequestType       string // chat_completions, responses, other
	Streamed, Calling bool   // the answer was a stream; there were calls
}

// ToolParse counts a choice with tools, once, where vLLM counts each part of a stream.
func (m *Metrics) ToolParse(t ToolParse) {
	mode, outcome := "non_streaming", "no_tool_call"
	if t.Streamed {
		mode = "streaming"
	}
	if t.Calling {
		outcome = "tool_call"
	}
	m.tools.WithLabelValues(mode, outcome, t.RequestType).Inc()
}

// Choice counts a finished sample.
func (m *Metrics) Choice(c Choice) {
	m.finished.WithLabelValues(c.Reason).Inc()
	if c.Reason != "stop" && c.Reason != "length" {
		return
	}
	m.outputTokens.Observe(float64(c.Tokens))
	m.decode.Observe(c.Decode.Seconds())
	each := c.Decode.Seconds() / float64(max(1, c.Tokens-1))
	m.perToken.Observe(each)
	m.genPerToken.WithLabelValues(c.Operation, "").Observe(each)
}

// Prompt is one finished request of the engine: a prompt with its choices.
type Prompt struct {
	Operation             string // chat, text_completion
	Tokens, N, MaxTokens  int
	Queue, Prefill, Total time.Duration // before the first slot, from there to the first token, from arrival to the end
	Cached, MostTokens    int           // tokens from the prefix cache; of the longest choice
	Preemptions           int           // of all choices
	Error                 string        // "" = none; else its code
}

// Prompt counts a finished request of the engine.
func (m *Metrics) Prompt(p Prompt) {
	m.genDuration.WithLabelValues(p.Operation, p.Error).Observe(p.Total.Seconds())
	m.n.Observe(float64(p.N))
	m.maxTokens.Observe(float64(p.MaxTokens))
	m.promptTokens.Observe(float64(p.Tokens))
	m.mostTokens.Observe(float64(p.MostTokens))
	m.computed.Observe(float64(p.Tokens - p.Cached))
	m.preemptions.Observe(float64(p.Preemptions))
	m.endToEnd.Observe(p.Total.Seconds())
	m.queue.Observe(p.Queue.Seconds())
	m.prefill.Observe(p.Prefill.Seconds())
	m.inference.Observe((p.Total - p.Queue).Seconds())
}
