// Package load measures how fast any OpenAI-compatible server answers: time to the first token, time between tokens, throughput,
// the share of requests that meet a target, and what fails, under a fixed number of requests at a time or under random arrivals.
//
// Only the wire is used, so that servers are compared on the same terms. While answers come, an event is stamped and its bytes are
// kept; what it says is read after its stream has ended, so that reading one stream does not delay the stamps of another.
package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"astro/openai/client"
)

// Bounds of a run.
const (
	MaxConcurrency   = 4096 // requests in flight, by intent or by arrivals that a server does not keep up with
	MaxLevels        = 64
	MaxRequests      = 100_000 // of a level
	MaxPromptTokens  = 1 << 20
	MaxAnswerTokens  = 1 << 17
	maxRatePerSecond = 10_000.
)

// API is one of the two ways to ask.
type API string

// The two ways to ask. Only text completions take token ids, with which the length of a prompt is exact.
const (
	Completions API = "completions"
	Chat        API = "chat"
)

// SLO is what a request must meet to count as good; 0 = any time will do.
type SLO struct {
	TTFT time.Duration // to the first token
	ITL  time.Duration // mean time between the tokens of a request
}

// Config is a run: what is asked, how often, and of whom.
type Config struct {
	Client client.Client
	Model  string
	API    API

	Concurrency []int     // a level for each: so many requests at any time (closed loop)
	Rates       []float64 // a level for each: requests per second that arrive at random times, whatever becomes of the others (open loop)
	Requests    int       // of each level, without the warm-up; 0 = as many as Duration has room for
	Duration    time.Duration
	Warmup      int // requests before each level that are not counted; -1 = one for each that runs at a time, at least 4

	PromptTokens       int
	SharedPrefixTokens int // that all prompts begin with alike; 0 = a prefix cache finds nothing
	MaxTokens          int
	Temperature        float64
	Seed               uint64
	SLO                SLO

	Progress func(Progress) // by one goroutine; nil = nobody watches

	elapsed func() time.Duration // since some moment; nil = by the clock
}

// Progress says how far a level is.
type Progress struct {
	Level    string        // such as "concurrency 8"
	Done     int           // requests that have ended
	Requests int           // of the level; 0 = it ends by time
	Elapsed  time.Duration // of the level
	Duration time.Duration // of the level; 0 = it ends by requests
	Failed   int
	Ended    bool
}

// Check tests what a caller can get wrong.
func (c *Config) Check() error {
	if err := client.CheckURL(c.Client.URL); err != nil {
		return err
	}
	levels := len(c.Concurrency) + len(c.Rates)
	switch {
	case c.API != Completions && c.API != Chat:
		return fmt.Errorf("api %q: want %s or %s", c.API, Completions, Chat)
	case len(c.Concurrency) > 0 && len(c.Rates) > 0:
		return errors.New("both a concurrency and a rate: a level has one or the other")
	case levels == 0 || levels > MaxLevels:
		return fmt.Errorf("%d levels: want 1 to %d values of concurrency or rate", levels, MaxLevels)
	case c.PromptTokens < 1 || c.PromptTokens > MaxPromptTokens:
		return fmt.Errorf("%d prompt tokens: want 1 to %d", c.PromptTokens, MaxPromptTokens)
	case c.SharedPrefixTokens < 0 || c.SharedPrefixTokens >= c.PromptTokens:
		return fmt.Errorf("%d shared tokens of a prompt of %d: want at least one token that is not shared", c.SharedPrefixTokens, c.PromptTokens)
	case c.MaxTokens < 1 || c.MaxTokens > MaxAnswerTokens:
		return fmt.Errorf("max-tokens %d: want 1 to %d", c.MaxTokens, MaxAnswerTokens)
	case !(c.Temperature >= 0 && c.Temperature <= 2):
		return fmt.Errorf("temperature %g: want 0 to 2", c.Temperature)
	case c.SLO.TTFT < 0 || c.SLO.ITL < 0:
		return errors.New("a target below zero: want 0 for none")
	}
	return c.checkLevels()
}

func (c *Config) checkLevels() error {
	switch {
	case c.Requests < 0 || c.Requests > MaxRequests:
		return fmt.Errorf("%d requests: want up to %d, or 0 with a duration", c.Requests, MaxRequests)
	case c.Duration < 0 || c.Requests == 0 && c.Duration == 0:
		return errors.New("neither requests nor a duration: one must end a level")
	case c.Warmup < -1 || c.Warmup > MaxRequests:
		return fmt.Errorf("%d warm-up requests: want 0 to %d, or -1 for one for each that runs at a time", c.Warmup, MaxRequests)
	}
	for _, n := range c.Concurrency {
		if n < 1 || n > MaxConcurrency {
			return fmt.Errorf("concurrency %d: want 1 to %d", n, MaxConcurrency)
		}
	}
	for _, rate := range c.Rates {
		if !(rate > 0 && rate <= maxRatePerSecond) {
			return fmt.Errorf("rate %g: want above 0, up to %g requests per second", rate, maxRatePerSecond)
		}
	}
	return nil
}

// level is one part of a run.
type level struct {
	index       int
	concurrency int     // 0 = open loop
	rate        float64 // requests per second
}

// String names the level as a person asked for it.
func (l level) String() string {
	if l.concurrency > 0 {
		return fmt.Sprintf("concurrency %d", l.concurrency)
	}
	return fmt.Sprintf("rate %g", l.rate)
}

func (c *Config) levels() []level {
	var all []level
	for i, n := range c.Concurrency {
		all = append(all, level{index: i, concurrency: n})
	}
	for i, rate := range c.Rates {
		all = append(all, level{index: i, rate: rate})
	}
	return all
}

// Run finds out what the server takes, runs every level, and reports. A run that ctx ends has no report.
func Run(ctx context.Context, c Config) (Report, error) {
	if err := c.Check(); err != nil {
		return Report{}, err
	}
	if c.elapsed == nil {
		begin := time.Now()
		c.elapsed = func() time.Duration { return time.Since(begin) }
	}
	a, err := meet(ctx, &c)
	if err != nil {
		return Report{}, fmt.Errorf("try the server out: %w", err)
	}
	report := newReport(&c, a)
	for _, l := range c.levels() {
		figures, err := runLevel(ctx, &c, a, l)
		if err != nil {
			return Report{}, fmt.Errorf("%s: %w", l, err)
		}
		report.add(figures)
	}
	return report, nil
}
