package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"astro/training/countdown"
	"astro/training/linearize"
	"astro/training/recipe"
	"astro/training/recipe/prose"
)

// linearizeFlags are the flags of astro linearize.
type linearizeFlags struct {
	trees, dir, domain, model string
	hub                       hubFlags
	options                   linearize.Options
	direct                    bool
	maxValue                  int // of countdown

	writerURL, writerModel string // of text
	workers, evaluations   int
	temperature            float64
}

// textHighQ is the Q from which on a step of a text may be praised; the paper does not say where it sets the bar.
const textHighQ = .8

func newLinearizeCommand() *cobra.Command {
	l := linearizeFlags{dir: "traces", domain: "countdown", options: linearize.Default(), maxValue: countdown.CD4.MaxValue, workers: 8, temperature: .7}
	c := &cobra.Command{
		Use:   "linearize",
		Short: "Turn search trees into traces to learn from: failed branches, reflection, return, a right answer",
		Long: "Turn the trees of `astro search` into traces (docs/formats/trace.md): search.jsonl, with --direct as many traces without failed\n" +
			"branches in direct.jsonl, and report.json in --out. Countdown traces are written in fixed sentences; those of a text domain are\n" +
			"rewritten by a model over the OpenAI API (ASTRO_API_KEY holds its key), and the same command goes on where it was stopped.",
		Example: "  astro linearize --trees trees.jsonl --out traces --direct\n" +
			"  astro linearize --trees trees.jsonl --domain text --model DIR --writer-url http://127.0.0.1:8080 --writer-model NAME",
		Args: cobra.NoArgs,
	}
	l.addFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if l.domain == "text" && !c.Flags().Changed("high-q") {
			l.options.HighQ = textHighQ
		}
		return l.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
	}
	return c
}

func (l *linearizeFlags) addFlags(c *cobra.Command) {
	f, o := c.Flags(), &l.options
	f.StringVar(&l.trees, "trees", "", "file of trees")
	f.StringVar(&l.dir, "out", l.dir, "folder of the traces")
	f.StringVar(&l.domain, "domain", l.domain, "countdown, or text with answers in \\boxed{}")
	f.BoolVar(&l.direct, "direct", false, "write as many direct traces of the same trees beside them")
	f.IntVar(&o.PerTree, "search-per-problem", o.PerTree, "search traces of each tree")
	f.IntSliceVar(&o.K, "k", o.K, "numbers of wrong ends in a trace, in turn; 0,1,1,2 makes one of four direct")
	f.Float64Var(&o.Local, "local", o.Local, "share of returns that go to a step and not to the beginning; -1 = as the draw of wrong ends gives it")
	f.BoolVar(&o.MaskFailed, "mask-failed", false, "steps of failed branches have no weight in the loss")
	f.BoolVar(&o.PromptLoss, "prompt-loss", false, "the prompt has weight in the loss")
	f.IntVar(&o.Epochs, "epochs", o.Epochs, "how often each tree is linearised afresh")
	f.Uint64Var(&o.Seed, "seed", 1, "of every choice")
	f.IntVar(&o.MaxSteps, "max-steps", o.MaxSteps, "longer traces are dropped and counted")
	f.IntVar(&o.MaxTokens, "max-tokens", o.MaxTokens, "longer traces are dropped and counted")
	f.IntVar(&l.maxValue, "max-value", l.maxValue, "countdown: largest value that a step may reach")
	f.StringVar(&l.model, "model", "", "text: model whose tokenizer makes tokens, "+modelUse+"; the trees must be of the same (default: traces have text alone)")
	l.hub.add(c)
	f.StringVar(&l.writerURL, "writer-url", "", "text: address of an OpenAI-compatible server that rewrites the steps")
	f.StringVar(&l.writerModel, "writer-model", "", "text: the name of its model")
	f.IntVar(&l.workers, "workers", l.workers, "text: trees that are rewritten at a time")
	f.IntVar(&l.evaluations, "self-evaluations", 8, "text: judgements of a solution that must all say yes; 0 = none are asked for")
	f.Float64Var(&l.temperature, "temperature", l.temperature, "text: of what is rewritten")
	f.Float64Var(&o.HighQ, "high-q", 0, fmt.Sprintf("steps with at least this Q may be followed by a positive verdict; 0 = none is (text: %g)", textHighQ))
	f.Float64Var(&o.HighShare, "high-share", .25, "text: share of those steps that are")
}

func (l *linearizeFlags) run(ctx context.Context, out, diagnostics io.Writer) error {
	if l.trees == "" {
		return errors.New("want --trees FILE, as astro search writes it")
	}
	r := recipe.Linearize{Trees: l.trees, Dir: l.dir, Options: l.options, Direct: l.direct, Workers: 1}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	switch l.domain {
	case "countdown":
		d := countdown.CD4
		d.MaxValue = l.maxValue
		if err := d.Validate(); err != nil {
			return err
		}
		if l.options.HighQ > 0 {
			return errors.New("--high-q is for --domain text: the numbers game reflects on whole attempts only")
		}
		r.Domain = recipe.CountdownTraces(d)
	case "text":
		closeJournal, err := l.startWriter(ctx, &r, stop, diagnostics)
		if err != nil {
			return err
		}
		defer closeJournal()
	default:
		return fmt.Errorf("unknown --domain %q: want countdown or text", l.domain)
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(diagnostics), progressbar.OptionShowCount(), progressbar.OptionSetDescription("trees"))
	report, err := r.Run(ctx, func(linearize.Report) { bar.Add(1) })
	fmt.Fprintln(diagnostics)
	printTraces(out, report)
	if err != nil {
		return fmt.Errorf("%w; nothing in %s was changed but replies.jsonl, from which the same command goes on", err, l.dir)
	}
	fmt.Fprintln(out, "wrote", l.dir)
	return nil
}

// failuresInARow of a writer's model end the run.
const failuresInARow = 8

// startWriter fills the domain in whose steps a model rewrites.
func (l *linearizeFlags) startWriter(ctx context.Context, r *recipe.Linearize, stop context.CancelCauseFunc, diagnostics io.Writer) (closeJournal func() error, err error) {
	if l.writerURL == "" || l.writerModel == "" {
		return nil, errors.New("--domain text needs --writer-url and --writer-model: a server that rewrites the steps, such as `astro serve`")
	}
	if l.workers < 1 || l.workers > 1024 || l.evaluations < 0 || l.evaluations > 64 {
		return nil, fmt.Errorf("%d workers and %d self-evaluations: want 1 to 1024 and 0 to 64", l.workers, l.evaluations)
	}
	if l.model != "" {
		found, err := l.hub.modelDir(ctx, l.model, diagnostics)
		if err != nil {
			return nil, err
		}
		l.model = found.dir
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the traces: %w", err)
	}
	guard := &prose.Guard{Model: prose.NewClient(l.writerURL, l.writerModel, os.Getenv("ASTRO_API_KEY"), l.workers), Limit: failuresInARow, Stop: stop}
	journal, err := prose.OpenJournal(filepath.Join(l.dir, "replies.jsonl"), l.writerModel, guard)
	if err != nil {
		return nil, err
	}
	p := linearize.NewProse(journal)
	p.Temperature = l.temperature
	if l.model != "" {
		if p.Tokenize, err = recipe.TextTokens(l.model); err != nil {
			journal.Close()
			return nil, err
		}
	}
	r.Workers, r.Domain.Write = l.workers, p.Write
	if l.evaluations > 0 {
		r.Domain.Quality = linearize.SelfEvaluation(journal, l.evaluations, l.options.Seed)
	}
	return journal.Close, nil
}

// printTraces says what there is and what was left out, and why.
func printTraces(w io.Writer, r linearize.Report) {
	fmt.Fprintf(w, "%d trees, %d kept; %d search and %d direct traces, %d tokens, %d of them with weight\n", r.Trees, r.Kept, r.Search, r.Direct, r.Tokens, r.LossTokens)
	share := 0.
	if r.Returns > 0 {
		share = 1 - float64(r.Restarts)/float64(r.Returns)
	}
	fmt.Fprintf(w, "%d returns, %.0f %% of them to a step; traces by number of wrong ends: %v\n", r.Returns, 100*share, r.K)
	printReasons(w, "skipped trees", r.Skipped)
	printReasons(w, "dropped traces", r.Dropped)
	printReasons(w, "noted", r.Notes)
	for _, example := range r.Examples {
		fmt.Fprintf(w, "  %.200s\n", example)
	}
}

func printReasons(w io.Writer, what string, counts map[linearize.Reason]int) {
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "%s: %d %s\n", what, counts[reason], reason)
	}
}
