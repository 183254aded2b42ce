package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"astro/benchmarks/load"
	"astro/openai/client"
)

// benchLoadFlags are the flags of astro bench load.
type benchLoadFlags struct {
	config    load.Config
	url, api  string
	ttft, itl float64 // ms
	limit     time.Duration
	asJSON    bool
}

func newBenchLoadCommand() *cobra.Command {
	b := benchLoadFlags{url: "http://127.0.0.1:8080", api: string(load.Completions), limit: 10 * time.Minute,
		config: load.Config{Concurrency: []int{1, 8, 32}, Warmup: -1, PromptTokens: 256, MaxTokens: 128, Seed: 1}}
	c := &cobra.Command{
		Use:   "load",
		Short: "Measure how fast a server answers under load: first token, time between tokens, throughput, goodput, errors",
		Long: "Measure how fast any OpenAI-compatible server answers: a fixed number of requests at a time (--concurrency), or requests that\n" +
			"arrive at random (--rate) whatever becomes of those before. Prompts are random, and all different, so that no prefix cache\n" +
			"helps; where the server takes token ids their length is exact, else the counts are the server's own.\n" +
			"ASTRO_API_KEY or OPENAI_API_KEY holds the key of a server that needs one. docs/formats/bench-load.md explains every figure.",
		Example: "  astro bench load --url http://127.0.0.1:8080 --concurrency 1,8,32 --prompt-tokens 256 --max-tokens 128\n" +
			"  astro bench load --url http://127.0.0.1:8000 --rate 0.5,1,2,4 --duration 2m --slo-ttft-ms 500 --slo-itl-ms 50 --json",
		Args: cobra.NoArgs,
	}
	b.addFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if len(b.config.Rates) > 0 && !c.Flags().Changed("concurrency") {
			b.config.Concurrency = nil
		}
		return b.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
	}
	return c
}

func (b *benchLoadFlags) addFlags(c *cobra.Command) {
	f, o := c.Flags(), &b.config
	f.StringVar(&b.url, "url", b.url, "address of the server")
	f.StringVar(&o.Model, "model", "", "name of the model (default: the first that the server lists)")
	f.StringVar(&b.api, "api", b.api, "completions or chat")
	f.IntSliceVar(&o.Concurrency, "concurrency", o.Concurrency, "requests at any time, a level for each value")
	f.Float64SliceVar(&o.Rates, "rate", nil, "instead: requests per second that arrive at random, a level for each value")
	f.IntVar(&o.Requests, "requests", 0, "requests of each level; 0 = those of --duration, or else 100, or 4 times the highest concurrency if that is more")
	f.DurationVar(&o.Duration, "duration", 0, "time after which a level starts no more requests; 0 = it ends by --requests")
	f.IntVar(&o.Warmup, "warmup", o.Warmup, "requests before each level that are not counted; -1 = one for each that runs at a time, at least 4")
	f.IntVar(&o.PromptTokens, "prompt-tokens", o.PromptTokens, "tokens of a prompt")
	f.IntVar(&o.SharedPrefixTokens, "shared-prefix-tokens", 0, "of them that all prompts begin with alike, for a prefix cache to find")
	f.IntVar(&o.MaxTokens, "max-tokens", o.MaxTokens, "tokens of an answer; all of them where the server takes ignore_eos")
	f.Float64Var(&o.Temperature, "temperature", 0, "of the answers")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "of prompts and arrivals")
	f.Float64Var(&b.ttft, "slo-ttft-ms", 0, "a good request has its first token within this time; 0 = any")
	f.Float64Var(&b.itl, "slo-itl-ms", 0, "a good request has at most this mean time between tokens; 0 = any")
	f.DurationVar(&b.limit, "timeout", b.limit, "of one request")
	f.BoolVar(&b.asJSON, "json", false, "print the report as JSON (docs/formats/bench-load.md)")
}

// run measures and prints the report, also where requests failed; only a run in which none succeeded is an error.
func (b *benchLoadFlags) run(ctx context.Context, out, diagnostics io.Writer) error {
	c, err := b.complete()
	if err != nil {
		return err
	}
	if c.Model == "" {
		if c.Model, err = c.Client.FirstModel(ctx); err != nil {
			return err
		}
	}
	c.Progress = loadProgress(diagnostics)
	report, err := load.Run(ctx, c)
	switch {
	case ctx.Err() != nil:
		return errors.New("stopped: nothing was measured to its end")
	case err != nil:
		return err
	case b.asJSON:
		_, err = out.Write(report.JSON())
	default:
		_, err = io.WriteString(out, report.Text())
	}
	if err == nil && report.Completed() == 0 {
		err = errors.New("no request ended well: the report says why")
	}
	return err
}

// complete is the configuration with what follows from other flags.
func (b *benchLoadFlags) complete() (load.Config, error) {
	const tries, requests, perConcurrency = 3, 100, 4
	c := b.config
	c.API = load.API(b.api)
	c.SLO = load.SLO{TTFT: time.Duration(b.ttft * float64(time.Millisecond)), ITL: time.Duration(b.itl * float64(time.Millisecond))}
	most := 0
	for _, n := range c.Concurrency {
		most = max(most, n)
	}
	if c.Requests == 0 && c.Duration == 0 {
		c.Requests = max(requests, perConcurrency*most)
	}
	if len(c.Rates) > 0 {
		most = load.MaxConcurrency
	}
	c.Client = client.New(b.url, apiKey(), most)
	c.Client.Limit, c.Client.Retry.Tries = b.limit, tries
	if b.limit <= 0 {
		return c, fmt.Errorf("timeout %s: want more than 0", b.limit)
	}
	return c, c.Check()
}

// apiKey is that of a server which a command asks.
func apiKey() string { return cmp.Or(os.Getenv("ASTRO_API_KEY"), os.Getenv("OPENAI_API_KEY")) }

// loadProgress draws a bar for each level where somebody watches, and else writes a line when a level has ended.
func loadProgress(w io.Writer) func(load.Progress) {
	var bar *progressbar.ProgressBar
	level := ""
	return func(p load.Progress) {
		total, done := int64(p.Requests), int64(p.Done)
		if total == 0 {
			total, done = p.Duration.Milliseconds(), min(p.Elapsed, p.Duration).Milliseconds()
		}
		if p.Level != level {
			level = p.Level
			bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetVisibility(isTerminal(w)),
				progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish(),
				progressbar.OptionThrottle(200*time.Millisecond))
		}
		bar.Describe(fmt.Sprintf("%s: %d ended, %d failed", p.Level, p.Done, p.Failed))
		bar.Set64(done) // fails only if the terminal does
		if p.Ended && !isTerminal(w) {
			fmt.Fprintf(w, "%s: %d requests in %s, %d failed\n", p.Level, p.Done, p.Elapsed.Round(time.Millisecond), p.Failed)
		}
	}
}
