package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// loadReport is what these tests read of the JSON.
type loadReport struct {
	Model  string
	Server struct {
		IDs bool `json:"token_ids_in"`
	} `json:"server_takes"`
	Levels []struct {
		Level               string
		Requests, Completed int
		Prompt              float64               `json:"mean_prompt_tokens"`
		Full                float64               `json:"full_length_share"`
		GoodPart            float64               `json:"goodput_share"`
		Output              float64               `json:"output_tokens_per_s"`
		Counted             map[string]int        `json:"requests_by_count"`
		TTFT                struct{ P50 float64 } `json:"ttft_ms"`
		Errors              map[string]int
	}
}

// The whole program against itself: exact prompts and answers, in both loops and over both routes.
func TestBenchLoadOwnServer(t *testing.T) {
	a := startServe(t, []string{"ASTRO_API_KEY=sk-a"}, demo, "--backend", "go", "--max-slots", "4")
	for name, c := range map[string]struct {
		args   []string
		levels int
		exact  bool
	}{
		"closed":      {[]string{"--concurrency", "1,4", "--requests", "8", "--prompt-tokens", "40", "--max-tokens", "12"}, 2, true},
		"open":        {[]string{"--rate", "20", "--requests", "8", "--prompt-tokens", "40", "--shared-prefix-tokens", "32", "--max-tokens", "5", "--slo-ttft-ms", "60000"}, 1, true},
		"chat, timed": {[]string{"--api", "chat", "--concurrency", "2", "--duration", "300ms", "--prompt-tokens", "40", "--max-tokens", "5"}, 1, false},
	} {
		run := command([]string{"OPENAI_API_KEY=sk-a"}, append([]string{"bench", "load", "--url", a.url, "--json"}, c.args...)...)
		text, err := run.Output()
		var report loadReport
		if err != nil || json.Unmarshal(text, &report) != nil || len(report.Levels) != c.levels || report.Model != "countdown-base" || report.Server.IDs != c.exact {
			t.Errorf("%s: got %v: %s", name, err, text)
			continue
		}
		for _, l := range report.Levels {
			if l.Completed == 0 || l.Completed != l.Requests || l.Counted["token_ids"] != l.Completed || l.Full != 1 || l.GoodPart != 1 || l.Output <= 0 || l.TTFT.P50 <= 0 {
				t.Errorf("%s, %s: got %+v", name, l.Level, l)
			}
			if off := l.Prompt - 40; off < -2 || off > 2 || c.exact && off != 0 {
				t.Errorf("%s, %s: prompts of %g tokens; want 40", name, l.Level, l.Prompt)
			}
		}
	}
	if text, err := command(nil, "probe", "--url", a.url).CombinedOutput(); err != nil || string(text) != "ready\n" {
		t.Errorf("probe: got %v: %s", err, text)
	}
	a.end(t)
}

// What cannot be measured is said in one line that tells what to do.
func TestBenchLoadRefuses(t *testing.T) {
	none := httptest.NewServer(http.NotFoundHandler())
	defer none.Close()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nobody listens":   {[]string{"bench", "load", "--url", "http://127.0.0.1:1", "--model", "m"}, "try the server out"},
		"no such server":   {[]string{"bench", "load", "--url", none.URL}, "--model"},
		"no such API":      {[]string{"bench", "load", "--api", "responses"}, "completions or chat"},
		"both loops":       {[]string{"bench", "load", "--rate", "1", "--concurrency", "1"}, "one or the other"},
		"no address":       {[]string{"bench", "load", "--url", "localhost"}, "http://"},
		"nothing to probe": {[]string{"probe", "--url", "http://127.0.0.1:1"}, "not ready"},
		"not ready":        {[]string{"probe", "--url", none.URL}, "404"},
	} {
		text, err := command(nil, c.args...).CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if last := lines[len(lines)-1]; err == nil || !strings.HasPrefix(last, "astro: ") || !strings.Contains(last, c.want) {
			t.Errorf("%s: got %v, %s; want a last line with %q", name, err, text, c.want)
		}
	}
}
