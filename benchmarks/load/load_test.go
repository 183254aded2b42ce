package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"astro/openai"
)

// A whole run with a clock that ticks 10 ms at each stamp: one at the beginning of the level, one when a request is sent, one for each
// of its 4 tokens and for the usage, and one at the end. So TTFT is 10 ms, a gap 10 ms, E2E 40 ms, the level 3 x 60 + 10 ms.
func TestRunByHand(t *testing.T) {
	f := &fake{takes: all, vocabulary: true}
	c := f.start(t)
	c.elapsed = ticking()
	c.SLO = SLO{TTFT: 10 * time.Millisecond, ITL: 9 * time.Millisecond}
	report, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	l := report.Levels[0]
	ten, forty := Spread{10, 10, 10, 10, 10}, Spread{40, 40, 40, 40, 40}
	if l.TTFT != ten || l.ITL != ten || l.TPOT != ten || l.E2E != forty {
		t.Errorf("got %+v, %+v, %+v, %+v", l.TTFT, l.ITL, l.TPOT, l.E2E)
	}
	near(t, "seconds", l.Seconds, .19)
	near(t, "output tokens/s", l.OutputRate, 12/.19)
	near(t, "prompt tokens/s", l.InputRate, 72/.19)
	near(t, "requests/s", l.Requested, 3/.19)
	if l.Completed != 3 || l.Requests != 3 || l.PromptTokens != 24 || l.OutputTokens != 4 || l.FullLength != 1 || l.Counted[ByTokenIDs] != 3 || l.Good != 0 || l.GoodPart != 0 {
		t.Errorf("got %+v", l)
	}
	if len(f.asked) != 1+4+3 { // one to see what is taken, then the warm-up
		t.Errorf("got %d streams; want 8", len(f.asked))
	}
}

// What a server refuses is not asked of it, and the report says so.
func TestMeet(t *testing.T) {
	for name, c := range map[string]struct {
		server *fake
		api    API
		want   features
		by     Counted
	}{
		"everything":         {&fake{takes: all, vocabulary: true}, Completions, all, ByTokenIDs},
		"ids by /tokenize":   {&fake{takes: features{true, true, false, true}, tokenizes: true}, Completions, features{true, true, false, true}, ByEvents},
		"no way to have ids": {&fake{takes: all}, Completions, features{false, true, true, true}, ByTokenIDs},
		"plain OpenAI":       {&fake{takes: features{IDs: true, Usage: true}}, Completions, features{Usage: true}, ByEvents},
		"ids refused":        {&fake{takes: features{Exact: true, Usage: true}, vocabulary: true}, Completions, features{Exact: true, Usage: true}, ByEvents},
		"nothing":            {&fake{}, Completions, features{}, ByEvents},
		"chat":               {&fake{takes: all, vocabulary: true}, Chat, features{false, true, true, true}, ByTokenIDs},
		"chat of OpenAI":     {&fake{takes: features{Usage: true}}, Chat, features{Usage: true}, ByEvents},
	} {
		f := c.server
		config := f.start(t)
		config.API, config.PromptTokens = c.api, 61
		report, err := Run(context.Background(), config)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		l := report.Levels[0]
		if report.Server != c.want || l.Completed != 3 || l.Counted[c.by] != 3 || l.OutputTokens != 4 {
			t.Errorf("%s: got %+v, %+v", name, report.Server, l)
		}
		for _, q := range f.asked {
			if n := q.promptTokens(); n < 60 || n > 62 || c.want.IDs && n != 61 || q.MaxTokens != 4 || q.IgnoreEOS != (q.MinTokens == 4) {
				t.Errorf("%s: a prompt of %d tokens; want 61 (a word has two): %+v", name, n, q)
			}
		}
	}
}

// No two prompts begin alike, beyond what they are told to share; the same seed asks the same, another seed not.
func TestPromptsDiffer(t *testing.T) {
	ask := func(api API, shared int, seed uint64) []string {
		f := &fake{takes: all, vocabulary: api == Completions}
		c := f.start(t)
		c.API, c.SharedPrefixTokens, c.Seed, c.Requests = api, shared, seed, 20
		if _, err := Run(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		var prompts []string
		for _, q := range f.asked {
			if text := strings.Fields(q.text()); len(text) > 0 {
				prompts = append(prompts, strings.Join(text, ","))
			} else {
				prompts = append(prompts, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(q.ids())), ","), "[]"))
			}
		}
		return prompts
	}
	for _, api := range []API{Completions, Chat} {
		alone := ask(api, 0, 1)
		begins := map[string]bool{}
		for _, p := range alone {
			begins[strings.Join(strings.Split(p, ",")[:6], ",")] = true
		}
		if len(begins) != len(alone) || len(alone) < 25 {
			t.Errorf("%s: %d beginnings of %d prompts", api, len(begins), len(alone))
		}
		if !slices.Equal(alone, ask(api, 0, 1)) || slices.Equal(alone, ask(api, 0, 2)) {
			t.Errorf("%s: the seed does not decide what is asked", api)
		}
		shared := map[string]int{}
		for _, p := range ask(api, 12, 1) {
			shared[strings.Join(strings.Split(p, ",")[:6], ",")]++
		}
		if len(shared) != 1 {
			t.Errorf("%s: %d beginnings of prompts that share one", api, len(shared))
		}
	}
}

// drop ends a connection in the middle of an answer.
func drop(w http.ResponseWriter, _ asked) {
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// Every kind of failure has its name, with an example, and none stops the run.
func TestErrorKinds(t *testing.T) {
	say := func(text string) func(http.ResponseWriter, asked) {
		return func(w http.ResponseWriter, _ asked) { io.WriteString(w, text) }
	}
	status := func(code int) func(http.ResponseWriter, asked) {
		return func(w http.ResponseWriter, _ asked) { http.Error(w, `{"error":{"message":"because"}}`, code) }
	}
	for _, c := range []struct {
		kind Kind
		fail func(http.ResponseWriter, asked)
		want string
	}{
		{RateLimited, status(429), "because"},
		{ServerError, status(503), "because"},
		{Refused, status(400), "because"},
		{NoConnection, drop0, "ask http"},
		{BrokenStream, drop, "stream"},
		{BrokenStream, say("data: {\"choices\":[{\"text\":\"a\"}]}\n\n"), "[DONE]"},
		{BrokenStream, say("data: {\"choices\":\n\n" + openai.Done), "JSON"},
		{ErrorEvent, say(string(openai.Frame(openai.Unavailable("draining")))), "draining"},
		{Timeout, func(w http.ResponseWriter, _ asked) { time.Sleep(1500 * time.Millisecond) }, "no whole answer within"},
		{Empty, say("data: {\"choices\":[]}\n\n" + openai.Done), "no token"},
	} {
		f := &fake{takes: all, vocabulary: true}
		f.stream = func(w http.ResponseWriter, q asked) {
			if q.number > 5 && q.number%2 == 0 { // not those before the level, and not all of it
				c.fail(w, q)
				return
			}
			f.tokensOf(w, q)
			io.WriteString(w, openai.Done)
		}
		config := f.start(t)
		config.Requests = 4
		if c.kind == Timeout {
			config.Client.Limit = 500 * time.Millisecond
		}
		report, err := Run(context.Background(), config)
		if err != nil {
			t.Errorf("%s: %v", c.kind, err)
			continue
		}
		l := report.Levels[0]
		if l.Errors[c.kind] != 2 || l.Completed != 2 || l.Requests != 4 || !strings.Contains(l.Examples[c.kind], c.want) || len(l.Errors) != len(ErrorKinds) {
			t.Errorf("%s: got %v, %v", c.kind, l.Errors, l.Examples)
		}
		if !strings.Contains(report.Text(), "2 x "+string(c.kind)) {
			t.Errorf("%s: the text does not say so: %s", c.kind, report.Text())
		}
	}
}

// drop0 ends a connection before an answer begins.
func drop0(w http.ResponseWriter, _ asked) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		connection.Close()
	}
}

// A server that serves nobody ends the run with its reason, and so does a person.
func TestRunEnds(t *testing.T) {
	f := &fake{takes: all, vocabulary: true}
	f.stream = func(w http.ResponseWriter, q asked) {
		if q.number > 1 {
			http.Error(w, `{"error":{"message":"no room"}}`, 503)
			return
		}
		io.WriteString(w, openai.Done)
	}
	if _, err := Run(context.Background(), f.start(t)); err == nil || !strings.Contains(err.Error(), "every warm-up request failed") || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
	f = &fake{takes: all, vocabulary: true}
	c := f.start(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	f.stream = func(w http.ResponseWriter, q asked) {
		if q.number == 3 {
			cancel(enough)
		}
		f.tokensOf(w, q)
		io.WriteString(w, openai.Done)
	}
	c.Warmup = 0
	if _, err := Run(ctx, c); !errors.Is(err, enough) {
		t.Errorf("got %v; want the reason", err)
	}
	c.Client.URL = "http://127.0.0.1:1"
	if _, err := Run(context.Background(), c); err == nil || !strings.Contains(err.Error(), "try the server out") {
		t.Errorf("nobody listens: got %v", err)
	}
}

// A level that ends by time starts nothing after it. The clock ticks 10 ms, so a request of 5 stamps and its start take 60 ms.
func TestDuration(t *testing.T) {
	f := &fake{takes: all, vocabulary: true}
	c := f.start(t)
	c.Requests, c.Duration, c.elapsed = 0, 200*time.Millisecond, ticking()
	var last Progress
	report, err := Run(context.Background(), c)
	if l := report.Levels[0]; err != nil || l.Completed != 4 { // at 10, 70, 130 and 190 ms
		t.Errorf("got %d requests, %v; want 4", l.Completed, err)
	}
	c.elapsed, c.Requests, c.Concurrency = nil, 40, []int{8}
	c.Progress = func(p Progress) { last = p }
	if report, err = Run(context.Background(), c); err != nil || last.Done != report.Levels[0].Requests || last.Requests != 40 || !last.Ended || last.Level != "concurrency 8" {
		t.Errorf("got %+v, %v", last, err)
	}
}

func TestCheck(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"address":                 func(c *Config) { c.Client.URL = "localhost:8080" },
		"api":                     func(c *Config) { c.API = "responses" },
		"both":                    func(c *Config) { c.Rates = []float64{1} },
		"levels":                  func(c *Config) { c.Concurrency = nil },
		"0 prompt tokens":         func(c *Config) { c.PromptTokens = 0 },
		"not shared":              func(c *Config) { c.SharedPrefixTokens = 24 },
		"max-tokens":              func(c *Config) { c.MaxTokens = MaxAnswerTokens + 1 },
		"temperature":             func(c *Config) { c.Temperature = -1 },
		"target":                  func(c *Config) { c.SLO.ITL = -1 },
		"-1 requests":             func(c *Config) { c.Requests = -1 },
		"neither requests nor":    func(c *Config) { c.Requests = 0 },
		"-2 warm-up":              func(c *Config) { c.Warmup = -2 },
		"concurrency 0: want 1":   func(c *Config) { c.Concurrency = []int{1, 0} },
		"rate -1: want above 0, ": func(c *Config) { c.Concurrency, c.Rates = nil, []float64{-1} },
	} {
		c := (&fake{}).start(t)
		if change(&c); c.Check() == nil || !strings.Contains(c.Check().Error(), want) {
			t.Errorf("got %v; want %q", c.Check(), want)
		}
	}
}
