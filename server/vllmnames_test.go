package server

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"astro/engine"
	"astro/internal/telemetry"
	"astro/server/auth"
)

// vllmNames reads testdata/vllm_names.txt: what we export, and what makes no sense here.
func vllmNames(t *testing.T) (ours, others []string) {
	t.Helper()
	text, err := os.ReadFile("testdata/vllm_names.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		name, other := strings.CutPrefix(line, "- ")
		switch {
		case strings.HasPrefix(line, "#"):
		case other:
			others = append(others, name)
		default:
			ours = append(ours, name)
		}
	}
	return ours, others
}

// bare is a series' name without labels, prefix and suffixes.
func bare(series string) (name string, ofVLLM bool) {
	name, _, _ = strings.Cut(series, "{")
	name, ofVLLM = strings.CutPrefix(name, "vllm:")
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return strings.TrimSuffix(name, "_total"), ofVLLM
}

// What vLLM's dashboards read is there, or docs/OPERATIONS.md says why it is not; and nothing carries vLLM's prefix that vLLM does not have.
func TestVLLMNames(t *testing.T) {
	h := start(t, setup{})
	h.send(t, "POST", "/v1/completions", textWith(`,"max_tokens":2,"ignore_eos":true`))
	h.send(t, "POST", "/v1/completions", `{"model":"fake","prompt":"a","max_tokens":2,"n":1000}`)
	exported := map[string]bool{}
	for series := range h.scrape(t) {
		if name, ofVLLM := bare(series); ofVLLM {
			exported[name] = true
		}
	}
	ours, others := vllmNames(t)
	if len(ours) < 30 || len(others) < 20 {
		t.Fatalf("%d and %d names in the list", len(ours), len(others))
	}
	for _, name := range ours {
		if !exported[name] {
			t.Errorf("vllm:%s is not in /metrics", name)
		}
		delete(exported, name)
	}
	operations, err := os.ReadFile("../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range others {
		if exported[name] || !strings.Contains(string(operations), "`"+name+"`") {
			t.Errorf("vllm:%s: exported %t; want it in docs/OPERATIONS.md with the reason why not", name, exported[name])
		}
		delete(exported, name)
	}
	for name := range exported {
		t.Errorf("vllm:%s is exported, but not in testdata/vllm_names.txt", name)
	}
}

// The values after some requests are those of the requests: prompts found in the cache, the longest of several choices, tools, the host's
// time.
func TestVLLMValues(t *testing.T) {
	var m *telemetry.Metrics
	h := start(t, setup{options: func(o *engine.Options) { o.OnStep = func(i engine.StepInfo) { m.Step(i.Tokens, i.Took, i.Host) } }, config: func(c *Config) {
		m = telemetry.NewMetrics(telemetry.Info{Model: "fake", Version: "test"}, func() telemetry.EngineState { return EngineState(c.Engine, "f32") })
		c.Metrics = m
	}})
	const prompt = "0123456789012345678901234567890123456789"
	for range 2 {
		h.send(t, "POST", "/v1/completions", fmt.Sprintf(`{"model":"fake","prompt":%q,"max_tokens":5,"n":2,"ignore_eos":true}`, prompt))
	}
	h.send(t, "POST", "/v1/chat/completions", chatWith(`,"max_tokens":2,"ignore_eos":true,"tools":[{"type":"function","function":{"name":"f"}}]`))
	const labels = `{engine="0",model_name="fake"}`
	var got map[string]float64
	eventually(t, "the last request is counted", func() bool {
		got = h.scrape(t)
		return got["vllm:e2e_request_latency_seconds_count"+labels] == 3
	})
	of := func(name, label, value string) float64 {
		return got[fmt.Sprintf(`vllm:%s{engine="0",model_name="fake",%s=%q}`, name, label, value)]
	}
	compute, hit := of("prompt_tokens_by_source_total", "source", "local_compute"), of("prompt_tokens_by_source_total", "source", "local_cache_hit")
	if compute+hit != got["vllm:prompt_tokens_total"+labels] || hit == 0 || compute == 0 || of("prompt_tokens_cached_by_source_total", "source", "local_cache_hit") != hit {
		t.Errorf("%v tokens were computed and %v found of %v", compute, hit, got["vllm:prompt_tokens_total"+labels])
	}
	for name, want := range map[string]float64{"request_max_num_generation_tokens_sum": 12, "request_max_num_generation_tokens_count": 3, "request_num_preemptions_count": 3,
		"request_num_preemptions_sum": 0, "request_prefill_kv_computed_tokens_count": 3, "corrupted_requests_total": 0} {
		if v, there := got["vllm:"+name+labels]; !there || v != want {
			t.Errorf("%s is %v (%t); want %v", name, v, there, want)
		}
	}
	if all, computed := got["vllm:request_prompt_tokens_sum"+labels], got["vllm:request_prefill_kv_computed_tokens_sum"+labels]; computed <= 0 || computed >= all {
		t.Errorf("%v tokens of %v were computed", computed, all)
	}
	if n := got[`vllm:tool_call_parser_invocations_total{engine="0",mode="non_streaming",model_name="fake",outcome="no_tool_call",request_type="chat_completions"}`]; n != 1 {
		t.Errorf("tools were looked for %v times; want once", n)
	}
	if steps, host := got["astro_step_host_seconds_per_token_count"+labels], got["astro_step_host_seconds_per_token_sum"+labels]; steps != got["astro_step_seconds_count"+labels] || host <= 0 {
		t.Errorf("host time of %v steps: %v s", steps, host)
	}
}

// Each refusal counts once, by what was missing.
func TestRejectionsCount(t *testing.T) {
	g := newGate()
	limited, secret := newKey(t, auth.Key{Scopes: auth.Inference, Limits: auth.Limits{TokensPerMinute: 1000, RequestsPerMinute: 1}})
	free, other := newKey(t, auth.Key{Scopes: auth.Inference})
	h := start(t, setup{runner: g.hold(0), options: func(o *engine.Options) { o.Config.MaxSlots, o.Config.MaxQueuedRequests = 1, 1 }, config: func(c *Config) {
		c.Access.Keys, c.Limits = []auth.Key{limited, free}, DefaultLimits()
		c.Limits.RequestTokens = 5000
	}})
	defer g.open()
	ask := func(secret, more string) {
		h.send(t, "POST", "/v1/completions", textWith(more), "Authorization", "Bearer "+secret)
	}
	ask("nonsense", "")
	ask(other, `,"max_tokens":2,"priority":-1`)
	ask(other, `,"max_tokens":60,"n":100`)
	ask(secret, `,"max_tokens":60,"n":50`)
	ask(secret, "")
	bearer := "Bearer " + other
	h.post(t, chatWith(""), "Authorization", bearer)
	eventually(t, "a request runs", func() bool { return g.begun() > 0 })
	h.post(t, chatWith(""), "Authorization", bearer)
	eventually(t, "a request waits to be submitted", func() bool { return h.inFlightCalls() == 2 })
	eventually(t, "the queue is full", func() bool {
		quick := make(chan int, 1)
		go func() {
			quick <- h.send(t, "POST", "/v1/chat/completions", chatWith(""), "Authorization", bearer).status
		}()
		select {
		case status := <-quick:
			return status == 429
		case <-time.After(100 * time.Millisecond):
			return false // this one waits, too: the next is refused
		}
	})
	got := h.scrape(t)
	for reason, want := range map[string]float64{"key": 1, "scope": 1, "cost": 2, "queue": 1, "quota": 1, "draining": 0} {
		if n, there := got[fmt.Sprintf(`vllm:admission_rejections_total{engine="0",model_name="fake",reason=%q}`, reason)]; !there || n != want {
			t.Errorf("%s: %v (%t); want %v", reason, n, there, want)
		}
	}
}

// Metrics show the queue of each class; what waits and is in none was preempted.
func TestQueuesByClass(t *testing.T) {
	rows := telemetry.EngineState{Queued: queues(engine.Load{Queued: [engine.Classes]engine.Queue{engine.Interactive: {Requests: 1, Tokens: 2}, engine.Batch: {Requests: 3, Tokens: 4}}}), Waiting: 5}
	m := telemetry.NewMetrics(telemetry.Info{Model: "fake"}, func() telemetry.EngineState { return rows })
	text, err := m.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`astro_queued_requests{class="interactive",engine="0",model_name="fake"} 1`, `astro_queued_requests{class="batch",engine="0",model_name="fake"} 3`,
		`astro_queued_prompt_tokens{class="interactive",engine="0",model_name="fake"} 2`, `astro_queued_prompt_tokens{class="batch",engine="0",model_name="fake"} 4`,
		`vllm:num_requests_waiting_by_reason{engine="0",model_name="fake",reason="capacity"} 4`, `vllm:num_requests_waiting_by_reason{engine="0",model_name="fake",reason="deferred"} 1`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing", want)
		}
	}
}
