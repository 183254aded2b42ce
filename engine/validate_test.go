package engine_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"astro/engine"
)

// TestSec_R05InvalidRequests: each bad field is refused by name before anything is queued, whatever the other fields are.
func TestSec_R05InvalidRequests(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		want  string
		spoil func(*engine.Request)
	}{
		{"empty", func(r *engine.Request) { r.Prompt = nil }},
		{"prompt id 12", func(r *engine.Request) { r.Prompt = []int32{1, vocab} }},
		{"prompt id -1", func(r *engine.Request) { r.Prompt = []int32{-1} }},
		{"n is 0", func(r *engine.Request) { r.N = 0 }},
		{"n is 6", func(r *engine.Request) { r.N = 6 }},
		{"max tokens", func(r *engine.Request) { r.MaxTokens = -1 }},
		{"min tokens", func(r *engine.Request) { r.MinTokens = 9 }},
		{"top log-probabilities", func(r *engine.Request) { r.TopN = 21 }},
		{"top log-probabilities", func(r *engine.Request) { r.ScoreTopN = -1 }},
		{"class", func(r *engine.Request) { r.Class = 7 }},
		{"129 stop tokens", func(r *engine.Request) { r.StopTokens = make([]int32, 129) }},
		{"stop token id", func(r *engine.Request) { r.StopTokens = []int32{vocab} }},
		{"salt", func(r *engine.Request) { r.Salt = strings.Repeat("x", 257) }},
		{"banned", func(r *engine.Request) { r.MinTokens, r.StopTokens = 1, []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} }},
		{"embedding", func(r *engine.Request) { r.Embed = true }},
		{"grammar", func(r *engine.Request) { r.Grammar, r.IgnoreEOS = someGrammar(rand.New(rand.NewPCG(1, 1))), true }},
		{"words", func(r *engine.Request) { r.Allowed = make([]uint64, 2) }},
		{"no token is allowed", func(r *engine.Request) { r.Allowed = []uint64{1 << vocab} }},
		{"no token is allowed", func(r *engine.Request) { r.Allowed, r.MinTokens, r.StopTokens = []uint64{1}, 1, []int32{0} }},
		{"temperature", func(r *engine.Request) { r.Params.Temperature = nan }},
		{"temperature", func(r *engine.Request) { r.Params.Temperature = 2.1 }},
		{"top_k", func(r *engine.Request) { r.Params.TopK = -1 }},
		{"top_p", func(r *engine.Request) { r.Params.TopP = 0 }},
		{"top_p", func(r *engine.Request) { r.Params.TopP = nan }},
		{"min_p", func(r *engine.Request) { r.Params.MinP = 1.5 }},
		{"repetition penalty", func(r *engine.Request) { r.Params.RepetitionPenalty = 0 }},
		{"presence and frequency", func(r *engine.Request) { r.Params.PresencePenalty = 3 }},
		{"presence and frequency", func(r *engine.Request) { r.Params.FrequencyPenalty = nan }},
		{"logit bias", func(r *engine.Request) { r.Params.LogitBias = map[int32]float32{vocab: 1} }},
		{"logit bias", func(r *engine.Request) { r.Params.LogitBias = map[int32]float32{1: float32(math.Inf(1))} }},
	} {
		d := newDriver(smallConfig())
		r := request(1, 1, 2)
		c.spoil(&r)
		if _, err := d.submit(r); !errors.Is(err, engine.ErrInvalidRequest) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want an invalid request that names %q; got %v", c.want, err)
		}
		if !d.scheduler.Idle() {
			t.Errorf("%q: something was queued", c.want)
		}
	}
}

func smallConfig() engine.Config {
	return engine.Config{Vocab: vocab, EOS: []int32{0}, Pages: 16, PageTokens: 4, MaxSlots: 4, StepTokens: 16, ChunkTokens: 8,
		MaxContextTokens: 40, MaxSamples: 5, MaxQueuedRequests: 8, MaxQueuedTokens: 100, PrefixCache: true}
}

// TestInvalidConfigs: a Config says which field is wrong, in a sentence.
func TestInvalidConfigs(t *testing.T) {
	if err := smallConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	if err := engine.DefaultConfig(32, 1, 100).Validate(); err != nil {
		t.Errorf("the default config: %v", err)
	}
	for want, spoil := range map[string]func(*engine.Config){
		"Vocab":            func(c *engine.Config) { c.Vocab = 0 },
		"Pages":            func(c *engine.Config) { c.Pages = -1 },
		"DecodeSteps":      func(c *engine.Config) { c.DecodeSteps = engine.MaxDecodeSteps + 1 },
		"StepTokens":       func(c *engine.Config) { c.StepTokens = 3 },
		"MaxQueuedTokens":  func(c *engine.Config) { c.MaxQueuedTokens = 39 },
		"one new token":    func(c *engine.Config) { c.MaxContextTokens = 1 },
		"end-of-sequence":  func(c *engine.Config) { c.EOS = []int32{vocab} },
		"ChunkTokens":      func(c *engine.Config) { c.ChunkTokens = 0 },
		"MaxSamples":       func(c *engine.Config) { c.MaxSamples = 0 },
		"MaxContextTokens": func(c *engine.Config) { c.MaxContextTokens = 0 },
	} {
		c := smallConfig()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want an error that names %q", err, want)
		}
		if _, err := engine.New(nil, engine.Options{Config: c}); err == nil {
			t.Errorf("%s: an engine was started", want)
		}
	}
}

// TestSec_R30MisuseOfTheScheduler: calls out of order are bugs of the caller and panic.
func TestSec_R30MisuseOfTheScheduler(t *testing.T) {
	s := engine.NewScheduler(smallConfig(), 1)
	wantPanic(t, "apply without a plan", func() { s.Apply(engine.Result{}) })
	if _, err := s.Submit(request(1, 1)); err != nil {
		t.Fatal(err)
	}
	if plan := s.Next(); plan.Empty() {
		t.Fatal("nothing is planned")
	}
	wantPanic(t, "next twice", func() { s.Next() })
	wantPanic(t, "cancel between next and apply", func() { s.Cancel(1) })
	wantPanic(t, "a result of the wrong size", func() { s.Apply(engine.Result{}) })
	wantPanic(t, "version 0", func() { engine.NewScheduler(smallConfig(), 0) })
}

func wantPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}

// TestSec_R30BadRowsEndAlone: what a Runner must never answer does not reach a client.
func TestSec_R30BadRowsEndAlone(t *testing.T) {
	for want, spoil := range map[string]func(*engine.RowResult){
		"token 12":   func(r *engine.RowResult) { r.Choices[0].Token = vocab },
		"token -1":   func(r *engine.RowResult) { r.Choices[0].Token = -1 },
		"not finite": func(r *engine.RowResult) { r.Choices[0].Logprob = float32(math.NaN()) },
		"scored 0":   func(r *engine.RowResult) { r.Scores = nil },
	} {
		d := newDriver(smallConfig())
		r := request(1, 1, 2, 3)
		r.Score = true
		if _, err := d.submit(r); err != nil {
			t.Fatal(err)
		}
		result, err := d.runner.Run(d.scheduler.Next())
		if err != nil {
			t.Fatal(err)
		}
		spoil(&result.Rows[0])
		events := d.scheduler.Apply(result)
		if len(events) != 1 || events[0].Finish != engine.FinishError || !strings.Contains(events[0].Err.Error(), want) {
			t.Errorf("events %+v; want one error that names %q", events, want)
		}
		if err := d.checkEmpty(); err != nil {
			t.Error(err)
		}
	}
}
