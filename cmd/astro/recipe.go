package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"astro/internal/device"
	"astro/training/countdown"
	"astro/training/recipe"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// recipeFlags are the flags of `astro recipe countdown`.
type recipeFlags struct {
	stage, out, work, backend string
	tokens                    int
	seed                      uint64
	quick                     bool
	problems, samples         int
}

func newRecipeCommand() *cobra.Command {
	root := &cobra.Command{Use: "recipe", Short: "Run a whole experiment: train, judge, write a model and its card"}
	f := recipeFlags{stage: "base", out: "models/countdown-base", backend: device.Auto, tokens: recipe.CountdownBase().Tokens, seed: 1,
		problems: 1000, samples: 4}
	c := &cobra.Command{
		Use:   "countdown",
		Short: "Train a model of the numbers game from scratch",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return runRecipe(c.Context(), c.OutOrStdout(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.stage, "stage", f.stage, "base: pretraining on random play")
	flags.StringVar(&f.out, "out", f.out, "folder of the model; one that is there is replaced")
	flags.StringVar(&f.work, "work", f.work, "folder of checkpoints; a run that was stopped goes on from the newest (default: none are kept)")
	flags.StringVar(&f.backend, "backend", f.backend, "auto, go, xla:cpu or xla:cuda")
	flags.IntVar(&f.tokens, "tokens", f.tokens, "tokens of documents to train on")
	flags.Uint64Var(&f.seed, "seed", f.seed, "of the weights, the documents and the evaluation")
	flags.BoolVar(&f.quick, "quick", f.quick, "a run of a minute that only shows that everything works")
	flags.IntVar(&f.problems, "eval-problems", f.problems, "test problems to judge the model by")
	flags.IntVar(&f.samples, "eval-samples", f.samples, "answers to each")
	root.AddCommand(c)
	return root
}

// runRecipe trains the base model, judges it and writes it.
func runRecipe(ctx context.Context, w io.Writer, f recipeFlags) error {
	if f.stage != "base" {
		return fmt.Errorf("stage %q: this version has the stage base", f.stage)
	}
	if f.quick {
		f.tokens, f.problems, f.samples = min(f.tokens, 500_000), min(f.problems, 64), 1
	}
	r := recipe.CountdownBase().WithTokens(f.tokens)
	r.Seed = f.seed
	d, err := device.Open(device.Options{Backend: f.backend, CacheDir: device.DefaultCacheDir()})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "training %d parameters on %.1fM tokens with %s\n", r.Model.Params(), float64(r.Tokens)/1e6, d.Kind())
	trained, err := r.Train(ctx, d, recipe.Work{Dir: f.work}, progressLine())
	if err != nil {
		return err
	}
	defer trained.Weights.Free()
	fmt.Fprintf(w, "\ntrained %d steps, %.2fM tokens in %.0f s, loss %.4f\n", trained.Steps, float64(trained.Tokens)/1e6,
		trained.Duration.Seconds(), trained.Loss)
	report := recipe.Report{Recipe: r, Command: fmt.Sprintf("astro recipe countdown --stage base --tokens %d --seed %d", r.Tokens, r.Seed), Device: string(d.Kind()),
		Steps: trained.Steps, Tokens: trained.Tokens, Loss: trained.Loss, Duration: trained.Duration}
	problems := r.Domain.Sample(r.Domain.Split().Test, f.problems, countdown.NewRand(f.seed, 2))
	sample, stop, err := recipe.EngineSample(d, trained.Weights)
	if err != nil {
		return err
	}
	defer stop()
	if report.Score, err = recipe.Evaluate(ctx, r.Domain, problems, f.samples, f.seed, sample); err != nil {
		return err
	}
	printScore(w, report.Score)
	if err := report.WriteModel(f.out, trained.Weights); err != nil {
		return err
	}
	fmt.Fprintln(w, "wrote", f.out)
	return nil
}

// progressLine draws a bar with the loss and the rate.
func progressLine() func(recipe.Progress) {
	var bar *progressbar.ProgressBar
	var drawn time.Duration
	return func(p recipe.Progress) {
		if bar == nil {
			bar = progressbar.NewOptions(p.Steps, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetPredictTime(true),
				progressbar.OptionShowCount(), progressbar.OptionFullWidth())
		}
		const interval = 200 * time.Millisecond
		if p.Elapsed-drawn < interval && p.Step < p.Steps {
			return
		}
		drawn = p.Elapsed
		bar.Describe(fmt.Sprintf("loss %.4f  %.0f tok/s", p.Loss, p.PerSecond))
		bar.Set(p.Step)
	}
}

func printScore(w io.Writer, s recipe.Score) {
	fmt.Fprintf(w, "%d test problems x %d samples at temperature 1: pass@1 %.2f +- %.2f %%, pass@%d %.2f %%\n", s.Problems, s.Samples,
		100*s.Pass1, 100*s.Pass1SE, s.Samples, 100*s.PassN)
	fmt.Fprintf(w, "legal steps %s; right verdicts %s (wrong values %s, the target %s)\n", s.LegalSteps, s.Verdicts(), s.VerdictsWrong, s.VerdictsRight)
	fmt.Fprintf(w, "not whole %s; %.1f tokens per answer; reasons %v\n", s.Unfinished, s.MeanTokens, s.Reasons)
	for _, g := range s.Gates() {
		word := "passed"
		if !g.Passed() {
			word = "MISSED"
		}
		fmt.Fprintf(w, "gate %s: %.2f %% in [%.4g, %.4g]: %s\n", g.Name, 100*g.Value, 100*g.Low, 100*g.High, word)
	}
}
