package load

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 || math.IsNaN(got) {
		t.Errorf("%s: got %.12g; want %.12g", what, got, want)
	}
}

// Five requests by hand: TTFT 10, 20, 30, 40 ms (the fifth failed), gaps 1 and 3, 5, none, 11 and 13 ms.
//
// Quantiles lie between neighbours by their distance: p90 of four values is at 2.7, p99 at 2.97; of the five gaps 1 3 5 11 13 at 3.6 and
// 3.96. The first and second meet 25 ms and 4.5 ms (means 2 and 5: only the first), the third has one token and a TTFT above.
func TestFiguresByHand(t *testing.T) {
	samples := []Sample{
		{Kind: OK, Start: 100 * ms, First: 110 * ms, Last: 114 * ms, Tokens: 3, PromptTokens: 7, Counted: ByTokenIDs, Gaps: []time.Duration{ms, 3 * ms}},
		{Kind: OK, Start: 0, First: 20 * ms, Last: 25 * ms, Tokens: 2, PromptTokens: 8, Counted: ByTokenIDs, Gaps: []time.Duration{5 * ms}},
		{Kind: OK, Start: 5 * ms, First: 35 * ms, Last: 35 * ms, Tokens: 1, PromptTokens: 9, Counted: ByEvents},
		{Kind: OK, Start: 0, First: 40 * ms, Last: 64 * ms, Tokens: 3, PromptTokens: 8, Counted: ByTokenIDs, Gaps: []time.Duration{11 * ms, 13 * ms}},
		{Kind: Timeout, Err: fmt.Errorf("late"), Start: 3 * ms},
	}
	f := figure(samples, 3, SLO{25 * ms, 4500 * time.Microsecond})
	f.over(2*time.Second, 500*ms)
	for what, pair := range map[string][2]float64{
		"TTFT mean": {f.TTFT.Mean, 25}, "TTFT p50": {f.TTFT.P50, 25}, "TTFT p90": {f.TTFT.P90, 37}, "TTFT p99": {f.TTFT.P99, 39.7}, "TTFT max": {f.TTFT.Max, 40},
		"ITL mean": {f.ITL.Mean, 6.6}, "ITL p50": {f.ITL.P50, 5}, "ITL p90": {f.ITL.P90, 12.2}, "ITL p99": {f.ITL.P99, 12.92}, "ITL max": {f.ITL.Max, 13},
		"TPOT mean": {f.TPOT.Mean, 19. / 3}, "TPOT p50": {f.TPOT.P50, 5}, "TPOT p90": {f.TPOT.P90, 10.6}, "TPOT max": {f.TPOT.Max, 12},
		"E2E mean": {f.E2E.Mean, 133. / 4}, "E2E p50": {f.E2E.P50, 27.5}, "E2E max": {f.E2E.Max, 64},
		"requests/s": {f.Requested, 2}, "output tokens/s": {f.OutputRate, 4.5}, "prompt tokens/s": {f.InputRate, 16}, "CPU": {f.CPUShare, .25},
		"mean output": {f.OutputTokens, 2.25}, "mean prompt": {f.PromptTokens, 8}, "full length": {f.FullLength, .5},
		"goodput": {f.Goodput, .5}, "good share": {f.GoodPart, .2},
	} {
		near(t, what, pair[0], pair[1])
	}
	if f.Requests != 5 || f.Completed != 4 || f.Good != 1 || f.Errors[Timeout] != 1 || f.Examples[Timeout] != "late" || f.Counted[ByTokenIDs] != 3 {
		t.Errorf("got %+v", f)
	}
	if none := figure(samples, 3, SLO{}); none.Good != 4 {
		t.Errorf("without a target: got %d good; want all 4 that ended well", none.Good)
	}
	if empty := figure(nil, 3, SLO{}); empty.TTFT != (Spread{}) || empty.GoodPart != 0 {
		t.Errorf("of nothing: got %+v", empty)
	}
}

// Streams as servers write them, an event every 10 ms from 110 ms on, the request at 100 ms.
func TestSampleOfEvents(t *testing.T) {
	const role, end = `{"choices":[{"delta":{"role":"assistant","content":""}}]}`, `{"choices":[{"delta":{},"finish_reason":"stop"}]}`
	word := func(text string) string { return `{"choices":[{"delta":{"content":"` + text + `"}}]}` }
	total := func(n int) string {
		return fmt.Sprintf(`{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":%d}}`, n)
	}
	so := func(n int) string {
		return fmt.Sprintf(`{"choices":[{"text":"x"}],"usage":{"prompt_tokens":5,"completion_tokens":%d}}`, n)
	}
	ids := func(list string) string { return `{"choices":[{"text":"x","token_ids":[` + list + `]}],"usage":null}` }
	for name, c := range map[string]struct {
		events []string
		want   Sample
	}{
		"a chat":              {[]string{role, word("a"), word("b"), end}, Sample{Tokens: 2, Counted: ByEvents, First: 120, Last: 130, Gaps: []time.Duration{10}}},
		"and its usage":       {[]string{role, word("a"), word("b"), end, total(3)}, Sample{Tokens: 3, PromptTokens: 5, Counted: ByEvents, First: 120, Last: 130, Gaps: []time.Duration{10}}},
		"usage in each event": {[]string{so(1), so(1), so(5), so(6), total(6)}, Sample{Tokens: 6, PromptTokens: 5, Counted: ByUsage, First: 110, Last: 140, Gaps: []time.Duration{5, 5, 5, 5, 10}}},
		"token ids":           {[]string{ids("1,2"), ids(""), ids("3,4"), total(9)}, Sample{Tokens: 4, PromptTokens: 5, Counted: ByTokenIDs, First: 110, Last: 130, Gaps: []time.Duration{10, 10}}},
		"reasoning":           {[]string{`{"choices":[{"delta":{"reasoning":"a"}}]}`, `{"choices":[{"delta":{"reasoning_content":"b"}}]}`}, Sample{Tokens: 2, Counted: ByEvents, First: 110, Last: 120, Gaps: []time.Duration{10}}},
		"a liar":              {[]string{so(1), so(1 << 60)}, Sample{Tokens: MaxAnswerTokens, PromptTokens: 5, Counted: ByUsage, First: 110, Last: 120}},
		"nonsense in numbers": {[]string{so(-4), word("a")}, Sample{Kind: Empty, PromptTokens: 5, Counted: ByUsage}},
		"nothing":             {[]string{role, end}, Sample{Kind: Empty, Counted: ByEvents}},
		"no JSON":             {[]string{word("a"), `{"choices":`}, Sample{Kind: BrokenStream, Counted: ByEvents}},
	} {
		var r recorder
		for i, e := range c.events {
			r.raw = append(r.raw, e...)
			r.marks = append(r.marks, mark{time.Duration(110+10*i) * ms, len(r.raw)})
		}
		got := r.sample(100 * ms)
		if c.want.Kind == "" {
			c.want.Kind = OK
		}
		if name == "a liar" {
			if len(got.Gaps) != MaxAnswerTokens-1 {
				t.Errorf("%s: got %d gaps; want the bound", name, len(got.Gaps))
			}
			got.Gaps = nil
		}
		for i := range c.want.Gaps {
			c.want.Gaps[i] *= ms
		}
		w := c.want
		if got.Kind != w.Kind || got.Tokens != w.Tokens || got.PromptTokens != w.PromptTokens || got.Counted != w.Counted || got.First != w.First*ms ||
			got.Last != w.Last*ms || !slices.Equal(got.Gaps, w.Gaps) || (got.Err == nil) != (w.Kind == OK) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, w)
		}
	}
}

// Arrivals are those of the seed, and on average as many as the rate says.
func TestArrivals(t *testing.T) {
	moments := func(seed uint64, index int) []time.Duration {
		r := &runner{asker: &asker{prompts: prompts{seed: seed}}, level: level{index: index, rate: 50}}
		next, all := r.arrivals(), make([]time.Duration, 4000)
		for i := range all {
			all[i] = next()
		}
		return all
	}
	first := moments(1, 0)
	if !slices.Equal(first, moments(1, 0)) || slices.Equal(first, moments(2, 0)) || slices.Equal(first, moments(1, 1)) || !slices.IsSorted(first) {
		t.Error("the arrivals do not follow from seed and level")
	}
	long := 0
	for i := 1; i < len(first); i++ {
		if first[i]-first[i-1] > 20*ms { // the mean: a share of 1/e lies above
			long++
		}
	}
	mean := first[len(first)-1].Seconds() / float64(len(first))
	if math.Abs(mean-.02) > .002 || math.Abs(float64(long)/float64(len(first))-1/math.E) > .03 {
		t.Errorf("a mean of %.4f s and %d of %d gaps above it; want 0.02 s and a share of 1/e", mean, long, len(first))
	}
}

// An open loop sends all arrivals, whatever becomes of those before, and all are counted.
func TestOpenLoop(t *testing.T) {
	f := &fake{takes: all, vocabulary: true}
	c := f.start(t)
	c.Concurrency, c.Rates, c.Requests = nil, []float64{2000, 500}, 60
	report, err := Run(context.Background(), c)
	if err != nil || len(report.Levels) != 2 {
		t.Fatalf("got %+v, %v", report, err)
	}
	for i, l := range report.Levels {
		if l.Completed != 60 || l.Rate != c.Rates[i] || l.Concurrency != 0 || l.Warmup != 4 || l.TTFT.P50 <= 0 {
			t.Errorf("got %+v", l)
		}
	}
}

// The keys of docs/formats/bench-load.md, and a table that a person can read.
func TestReportForm(t *testing.T) {
	f := &fake{takes: features{Usage: true}}
	c := f.start(t)
	c.elapsed, c.SLO = ticking(), SLO{TTFT: time.Second, ITL: 50 * ms}
	report, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	var whole map[string]any
	if err := json.Unmarshal(report.JSON(), &whole); err != nil {
		t.Fatal(err)
	}
	keys := func(v any) string { return strings.Join(slices.Sorted(maps.Keys(v.(map[string]any))), " ") }
	level := whole["levels"].([]any)[0].(map[string]any)
	for _, k := range []struct{ what, got, want string }{
		{"report", keys(whole), "api format levels max_tokens model prompt_tokens seed server_takes shared_prefix_tokens slo temperature url"},
		{"server_takes", keys(whole["server_takes"]), "exact_length token_ids_in token_ids_out usage"},
		{"slo", keys(whole["slo"]), "itl_ms ttft_ms"},
		{"level", keys(level), "client_cpu_share completed concurrency e2e_ms error_examples errors full_length_share good_requests goodput_requests_per_s " +
			"goodput_share itl_ms level mean_output_tokens mean_prompt_tokens output_tokens_per_s prompt_tokens_per_s rate_per_s requests requests_by_count " +
			"requests_per_s seconds tpot_ms ttft_ms warmup_requests"},
		{"errors", keys(level["errors"]), "broken_stream connection empty error_event not_sent rate_limited refused server_error timeout"},
		{"spread", keys(level["ttft_ms"]), "max mean p50 p90 p99"},
	} {
		if k.got != k.want {
			t.Errorf("%s has the keys %s\nwant %s", k.what, k.got, k.want)
		}
	}
	text := report.Text()
	for _, want := range []string{"toy at http", "texts of about 24 tokens, all different", "good = within TTFT 1000 ms and mean ITL 50 ms", "concurrency 1  3 ",
		"10/10/10", "0.04/0.04/0.04", "15.79 (100 %)", "timed by events: an event with text counts as one", "are few for the p99"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text has no %q:\n%s", want, text)
		}
	}
}

// BenchmarkEvents reads streams of 1000 tokens over a loopback connection: what the harness can take on one stream, and what an event
// costs of it in allocations.
func BenchmarkEvents(b *testing.B) {
	f := &fake{takes: all, vocabulary: true}
	c := f.start(b)
	c.MaxTokens = 1000
	c.elapsed = func() time.Duration { return 0 }
	a, err := meet(context.Background(), &c)
	if err != nil {
		b.Fatal(err)
	}
	r := (&runner{asker: a}).recorder()
	body := a.body(0, 0)
	b.ReportAllocs()
	for b.Loop() {
		if s := r.run(context.Background(), a, body, 0); s.Tokens != c.MaxTokens {
			b.Fatalf("got %+v", s)
		}
	}
	b.ReportMetric(float64(b.N*c.MaxTokens)/b.Elapsed().Seconds(), "events/s")
}
