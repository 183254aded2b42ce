package server

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"astro/engine"
	"astro/internal/telemetry"
)

// scrape reads /metrics into a map from "name{labels}" to values.
func (h *harness) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	r := h.send(t, "GET", "/metrics", "")
	if r.status != 200 || r.header.Get("Content-Type") != telemetry.ContentType {
		t.Fatalf("got %d, %v", r.status, r.header)
	}
	all := map[string]float64{}
	for _, line := range strings.Split(string(r.body), "\n") {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			v, err := strconv.ParseFloat(line[i+1:], 64)
			if err != nil {
				t.Fatal(line, err)
			}
			all[line[:i]] = v
		}
	}
	return all
}

// For R requests with P prompt and G generated tokens the counts are exact, as vLLM's own test of its metrics wants them.
func TestMetricsCount(t *testing.T) {
	var m *telemetry.Metrics
	h := start(t, setup{options: func(o *engine.Options) { o.OnStep = func(i engine.StepInfo) { m.Step(i.Tokens, i.Took, i.Host) } }, config: func(c *Config) {
		m = telemetry.NewMetrics(telemetry.Info{Model: "fake", Version: "test"}, func() telemetry.EngineState { return EngineState(c.Engine, "f32") })
		c.Metrics = m
	}})
	const requests, generated = 5, 7
	for i := range requests {
		stream := ""
		if i%2 == 1 {
			stream = `,"stream":true`
		}
		h.send(t, "POST", "/v1/completions", fmt.Sprintf(`{"model":"fake","prompt":"%c23456789","max_tokens":%d,"ignore_eos":true%s}`, 'a'+i, generated, stream))
	}
	h.send(t, "GET", "/nowhere/at/all", "")
	const labels = `{engine="0",model_name="fake"}`
	var got map[string]float64
	eventually(t, "the last request is counted", func() bool {
		got = h.scrape(t)
		return got["vllm:e2e_request_latency_seconds_count"+labels] == requests
	})
	const prompt = 9
	for name, want := range map[string]float64{
		"vllm:time_to_first_token_seconds_count" + labels: requests, "vllm:inter_token_latency_seconds_count" + labels: requests * (generated - 1),
		"vllm:request_time_per_output_token_seconds_count" + labels: requests, "vllm:request_prompt_tokens_sum" + labels: requests * prompt,
		"vllm:request_generation_tokens_sum" + labels: requests * generated, "vllm:request_params_n_sum" + labels: requests,
		"vllm:request_params_max_tokens_sum" + labels: requests * generated, "vllm:request_queue_time_seconds_count" + labels: requests,
		"vllm:iteration_tokens_total_sum" + labels:                                          requests * (prompt + generated),
		`vllm:request_success_total{engine="0",finished_reason="length",model_name="fake"}`: requests,
		"vllm:num_requests_running" + labels:                                                0, "vllm:num_requests_waiting" + labels: 0, "vllm:kv_cache_usage_perc" + labels: 0,
		"vllm:prompt_tokens_total" + labels: requests * prompt, "vllm:generation_tokens_total" + labels: requests * generated,
		"vllm:num_preemptions_total" + labels:                                       0,
		`http_requests_total{handler="/v1/completions",method="POST",status="200"}`: requests,
		`http_requests_total{handler="none",method="GET",status="404"}`:             1,
		"astro_http_server_errors_total":                                            0,
		`vllm:engine_sleep_state{engine="0",model_name="fake",sleep_state="awake"}`: 1,
	} {
		if v, there := got[name]; !there || v != want {
			t.Errorf("%s is %v (%v); want %v", name, v, there, want)
		}
	}
	for _, kind := range []string{"go_goroutines", "process_open_fds", "astro_build_info", "gen_ai_server_request_duration_seconds_count"} {
		if !strings.Contains(fmt.Sprint(got), kind) {
			t.Errorf("%s is missing", kind)
		}
	}
}

// A client that goes away, and one that is refused, are counted as such; afterwards nothing runs.
func TestMetricsOfAborts(t *testing.T) {
	g := newGate()
	h := start(t, setup{runner: g.hold(0), options: longContext})
	g.open()
	r := h.send(t, "POST", "/v1/completions", textWith(`,"stop_token_ids":[9999]`))
	r.wantError(t, 400, "invalid_value")
	conn := h.post(t, chatWith(`,"ignore_eos":true,"stream":true`))
	eventually(t, "it runs", func() bool { return h.Engine.Stats().Running == 1 })
	conn.Close()
	eventually(t, "the abort is counted", func() bool {
		got := h.scrape(t)
		return got[`vllm:request_success_total{engine="0",finished_reason="abort",model_name="fake"}`] == 1 &&
			got[`vllm:num_requests_running{engine="0",model_name="fake"}`] == 0 && got[`vllm:kv_cache_usage_perc{engine="0",model_name="fake"}`] == 0
	})
}

// Names are those that promtool takes, and none has a label that grows with what clients send.
func TestMetricNames(t *testing.T) {
	h := start(t, setup{})
	for i := range 50 {
		h.send(t, "GET", fmt.Sprintf("/path/%d", i), "", "x-request-id", fmt.Sprint(i))
		h.send(t, "POST", "/v1/completions", fmt.Sprintf(`{"model":"model-%d","prompt":"a"}`, i))
	}
	name := regexp.MustCompile(`^[a-z0-9_:]+(\{.*\})?$`)
	for series := range h.scrape(t) {
		if !name.MatchString(series) || strings.Contains(series, "model-") || strings.Contains(series, "/path") {
			t.Errorf("a series is called %s", series)
		}
	}
}
