package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"astro/training/random"
	"astro/training/recipe"
	"astro/training/recipe/pipeline"
)

// What a base model is judged by, unless flags say otherwise.
const (
	baseProblems = 1000
	baseSamples  = 4
)

// trainBase trains the base model, judges it and writes it with its card.
func (f recipeFlags) trainBase(ctx context.Context, w io.Writer) error {
	if f.problems == 0 {
		f.problems = baseProblems
	}
	if f.samples == 0 {
		f.samples = baseSamples
	}
	if f.quick {
		f.tokens, f.problems, f.samples = 500_000, min(f.problems, 64), 1
	}
	c, err := pipeline.Sized(f.size)
	if err != nil {
		return err
	}
	r := c.Base
	if f.tokens > 0 {
		r = r.WithTokens(f.tokens)
	}
	r.Seed = f.seed
	d, err := f.openDevice()
	if err != nil {
		return err
	}
	if r.Optimizer.Compute, err = parseCompute(f.compute, d); err != nil {
		return err
	}
	fmt.Fprintf(w, "training %d parameters on %.1fM tokens with %s in %s\n", r.Model.Params(), float64(r.Tokens)/1e6, d.Kind(), r.Optimizer.Compute)
	trained, err := r.Train(ctx, d, recipe.Work{Dir: f.work}, progressLine())
	if err != nil {
		return err
	}
	defer trained.Weights.Free()
	fmt.Fprintf(w, "\ntrained %d steps, %.2fM tokens in %.0f s, loss %.4f\n", trained.Steps, float64(trained.Tokens)/1e6,
		trained.Duration.Seconds(), trained.Loss)
	report := recipe.Report{Recipe: r, Command: fmt.Sprintf("astro recipe countdown --stage base --tokens %d --seed %d --compute %s", r.Tokens, r.Seed, r.Optimizer.Compute), Device: string(d.Kind()),
		Steps: trained.Steps, Tokens: trained.Tokens, Loss: trained.Loss, Duration: trained.Duration}
	problems := r.Domain.Sample(r.Domain.Split().Test, f.problems, random.New(f.seed, 2))
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
