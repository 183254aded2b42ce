package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	mathbench "astro/benchmarks/math"
	"astro/model"
	"astro/openai/client"
)

// benchMathFlags are the flags of astro bench math.
type benchMathFlags struct {
	set, data, url, model string
	prompt, phrases, out  string
	limit, samples        int
	temperature, topP     float64
	maxTokens             int
	seed                  uint64
	greedy                bool
	maj, pass             []int
	concurrency, tries    int
	timeout               time.Duration
	deviceFlags                  // of a server of our own
	dtype                 string // likewise
	hub                   hubFlags
}

func newBenchMathCommand() *cobra.Command {
	b := benchMathFlags{set: "math500", prompt: "box", samples: 16, temperature: 1, topP: 1, seed: 1, maj: []int{8}, pass: []int{1, 4, 8, 16},
		concurrency: 32, tries: client.DefaultRetry().Tries, timeout: time.Hour, dtype: "f32"}
	c := &cobra.Command{
		Use:   "math",
		Short: "Measure how well a server answers MATH-500, AMC, AIME or a set of your own",
		Long: "Measure how well any OpenAI-compatible server answers problems with one right answer.\n" +
			"Every sample is kept in --out; a run that was stopped goes on there when the same command is given again.\n" +
			"ASTRO_API_KEY holds the key of a server that needs one.",
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&b.set, "set", b.set, "problems: NAME (NAME.jsonl in --data, or a set that the hub has), or a JSONL file with id, problem and answer")
	f.StringVar(&b.data, "data", "", "folder of problem sets, looked into first")
	f.StringVar(&b.url, "url", "", "address of the server; without one, --model is served on a free loopback port")
	f.StringVar(&b.model, "model", "", "name of the model (default: the first that the server lists); without --url "+modelUse+" (default: the demo model)")
	b.hub.add(c)
	f.StringVar(&b.prompt, "prompt", b.prompt, "box, fewshot, plain, or a file that holds {{problem}}")
	f.StringVar(&b.phrases, "backtracks", "", "file of the phrases that count as backtracks, one a line (default: those of ASTRO traces)")
	f.StringVar(&b.out, "out", "", "folder of the run (default: bench/SET/MODEL)")
	f.IntVar(&b.limit, "limit", 0, "ask the first problems only; 0 = all")
	f.IntVar(&b.samples, "samples", b.samples, "answers to each problem")
	f.Float64Var(&b.temperature, "temperature", b.temperature, "of the samples")
	f.Float64Var(&b.topP, "top-p", b.topP, "of the samples")
	f.IntVar(&b.maxTokens, "max-tokens", 0, "longest answer; 0 = the server's default")
	f.Uint64Var(&b.seed, "seed", b.seed, "from which each sample's own seed follows")
	f.BoolVar(&b.greedy, "greedy", false, "one more answer to each problem, at temperature 0")
	f.IntSliceVar(&b.maj, "maj", b.maj, "k of maj@k, a vote among k samples; values above --samples are left out unless given")
	f.IntSliceVar(&b.pass, "pass", b.pass, "k of pass@k; values above --samples are left out unless given")
	f.IntVar(&b.concurrency, "concurrency", b.concurrency, "requests in flight")
	f.IntVar(&b.tries, "tries", b.tries, "of a request that meets 429, 5xx or a broken connection")
	f.DurationVar(&b.timeout, "timeout", b.timeout, "of one try")
	b.addDevice(c, "; of a server of our own")
	f.StringVar(&b.dtype, "dtype", b.dtype, "of a server of our own: f32 or bf16")
	c.RunE = func(c *cobra.Command, _ []string) error {
		for name, list := range map[string]*[]int{"maj": &b.maj, "pass": &b.pass} {
			if !c.Flags().Changed(name) {
				*list = slices.DeleteFunc(*list, func(k int) bool { return k > b.samples })
			}
		}
		return benchMath(c.Context(), b, c.OutOrStdout(), c.ErrOrStderr())
	}
	return c
}

// benchMath runs the benchmark and prints its summary.
func benchMath(ctx context.Context, b benchMathFlags, out, diagnostics io.Writer) error {
	config, err := b.config(ctx, diagnostics)
	if err != nil {
		return err
	}
	stop := func() error { return nil }
	if b.url == "" {
		if b.url, b.model, stop, err = ownServer(ctx, b, diagnostics); err != nil {
			return err
		}
	}
	summary, err := b.run(ctx, config, diagnostics)
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	_, err = io.WriteString(out, summary.Text())
	return err
}

// config is what can be known before there is a server.
func (b *benchMathFlags) config(ctx context.Context, diagnostics io.Writer) (mathbench.Config, error) {
	notify := func(text string) { fmt.Fprintln(diagnostics, text) }
	source := mathbench.Source{DataDir: b.data, Hub: mathbench.Hub{Token: os.Getenv("HF_TOKEN")}, Notify: notify}
	set, err := source.Load(ctx, b.set)
	if err != nil {
		return mathbench.Config{}, err
	}
	prompt, err := mathbench.LoadPrompt(b.prompt)
	if err != nil {
		return mathbench.Config{}, err
	}
	phrases, err := mathbench.LoadPhrases(b.phrases)
	if err != nil {
		return mathbench.Config{}, err
	}
	return mathbench.Config{Set: set.Limit(b.limit), Prompt: prompt, Samples: b.samples, Temperature: b.temperature, TopP: b.topP,
		MaxTokens: b.maxTokens, Greedy: b.greedy, Seed: b.seed, Concurrency: b.concurrency, Grader: mathbench.Verifier(), Phrases: phrases,
		Pass: b.pass, Maj: b.maj, Progress: sampleProgress(diagnostics), Notify: notify}, nil
}

// run asks the server, which is there by now.
func (b *benchMathFlags) run(ctx context.Context, config mathbench.Config, diagnostics io.Writer) (mathbench.Summary, error) {
	server := mathbench.NewClient(b.url, b.model, os.Getenv("ASTRO_API_KEY"), b.concurrency)
	server.Limit, server.Retry.Tries, server.Retry.OnRetry = b.timeout, b.tries, sayRetries(diagnostics)
	if server.Model == "" {
		name, err := server.FirstModel(ctx)
		if err != nil {
			return mathbench.Summary{}, err
		}
		server.Model = name
	}
	config.Client, config.Dir = server, b.out
	if config.Dir == "" {
		config.Dir = filepath.Join("bench", config.Set.Name, strings.NewReplacer("/", "-", `\`, "-").Replace(server.Model))
	}
	fmt.Fprintf(diagnostics, "%s from %s: %d problems; samples are kept in %s\n", config.Set.Name, config.Set.Origin, len(config.Set.Problems), config.Dir)
	return mathbench.Run(ctx, config)
}

// sayRetries tells a person why nothing moves, at most every few seconds.
func sayRetries(w io.Writer) func(err error, wait time.Duration) {
	const quiet = 5 * time.Second
	var mu sync.Mutex
	var last time.Time
	return func(err error, wait time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) >= quiet {
			last = time.Now()
			fmt.Fprintf(w, "%v; trying again in %.1f s\n", err, wait.Seconds())
		}
	}
}

// sampleProgress draws a bar with the time that is left where somebody watches, and else writes a line at every tenth.
func sampleProgress(w io.Writer) func(done, total int) {
	var bar *progressbar.ProgressBar
	first, tenth := 0, 0
	return func(done, total int) {
		if bar == nil {
			first, tenth = done, 10*done/max(1, total)
			bar = progressbar.NewOptions(total-done, progressbar.OptionSetWriter(w), progressbar.OptionSetVisibility(isTerminal(w)),
				progressbar.OptionSetPredictTime(true), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("samples"),
				progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(200*time.Millisecond),
				progressbar.OptionSetDescription(fmt.Sprintf("%d there already", done)))
		}
		bar.Set(done - first) // fails only if the terminal does
		if now := 10 * done / max(1, total); now > tenth && !isTerminal(w) {
			tenth = now
			fmt.Fprintf(w, "%d of %d samples\n", done, total)
		}
	}
}

// ownServer serves a folder on a free loopback port and waits until it listens. stop ends it and says how it ended.
func ownServer(ctx context.Context, b benchMathFlags, diagnostics io.Writer) (url, name string, stop func() error, err error) {
	o := defaultServeOptions()
	o.dir, o.port, o.deviceFlags, o.dtype, o.hub = b.model, 0, b.deviceFlags, b.dtype, b.hub
	if err := o.complete(ctx, diagnostics); err != nil {
		return "", "", nil, err
	}
	if _, err := model.LoadConfig(o.dir); err != nil {
		return "", "", nil, fmt.Errorf("without --url, --model is a model to serve, and %s is none: %w", o.dir, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	lines, announcements := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := serve(ctx, o, announcements, diagnostics)
		announcements.CloseWithError(err)
		ended <- err
	}()
	stop = func() error {
		cancel()
		return <-ended
	}
	for s := bufio.NewScanner(lines); s.Scan(); {
		if url, ok := strings.CutPrefix(s.Text(), "listening on "); ok {
			go io.Copy(io.Discard, lines)
			return url, o.names[0], stop, nil
		}
	}
	if err := stop(); err != nil {
		return "", "", nil, err
	}
	return "", "", nil, errors.New("stopped before the server listened")
}
