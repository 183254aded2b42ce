package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"astro/model"
	"astro/training/countdown"
	"astro/training/grpo"
	"astro/training/recipe"
	"astro/training/reward"
)

// grpoFlags are the flags of astro train grpo.
type grpoFlags struct {
	trainFlags
	problems, domain  string
	graderURL         string
	config            grpo.Config
	slots             int
	kind              string
	norm, scale, over string
	maxValue, numbers int // of countdown
}

func newTrainGRPOCommand() *cobra.Command {
	c := grpo.Default()
	g := grpoFlags{domain: "countdown", config: c, slots: 64, kind: string(grpo.KindClip), norm: string(c.Norm), scale: string(c.Advantages.Scale), over: string(c.Overlong),
		maxValue: countdown.CD4.MaxValue, numbers: countdown.CD4.Numbers}
	g.config.RowTokens = 0
	command := &cobra.Command{
		Use:   "grpo",
		Short: "Train a model by rewards: it answers problems, and answers better than their group become likelier",
		Long: "Train a model by verifiable rewards (GRPO). A line of --problems is {\"id\": ..., \"problem\": ..., \"answer\": ...}; a right answer\n" +
			"gets the reward 1, any other -1. Rollouts run in lock step, so that a run which is stopped goes on as if it had not been.",
		Example: "  astro train grpo --model models/astro-sft --problems train.jsonl --out models/astro-rl --work rl-work",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return g.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()) },
	}
	g.add(command, 10)
	g.addFlags(command)
	g.addLossFlags(command)
	addSaving(command, &g.config.Optimizer)
	return command
}

func (g *grpoFlags) addFlags(c *cobra.Command) {
	f, k := c.Flags(), &g.config
	f.StringVar(&g.problems, "problems", "", "JSONL file of problems")
	f.StringVar(&g.domain, "domain", g.domain, "countdown, or text with answers in \\boxed{}")
	f.StringVar(&g.graderURL, "grader-url", "", "text: ask this service for scores; it gets {problem, gold, response} and answers {score: 0 to 1, reason}")
	f.IntVar(&k.Steps, "steps", k.Steps, "steps of gathering and learning")
	f.IntVar(&k.Prompts, "prompts", k.Prompts, "problems that a step learns from")
	f.IntVar(&k.Group, "group", k.Group, "answers to each")
	f.IntVar(&k.MaxTokens, "max-tokens", k.MaxTokens, "tokens of an answer")
	f.IntVar(&k.MaxRounds, "rounds", k.MaxRounds, "times that a step may ask further problems in place of those whose answers are all right or all wrong")
	f.IntVar(&k.Mini, "mini", k.Mini, "updates of one step")
	f.Float64Var(&k.Optimizer.PeakLR, "lr", k.Optimizer.PeakLR, "learning rate; a large model wants about 1e-6")
	f.IntVar(&k.Optimizer.WarmupSteps, "warmup-updates", k.Optimizer.WarmupSteps, "updates over which the learning rate rises")
	f.Float64Var(&k.Band.Low, "band-low", k.Band.Low, "pass over problems that fewer than this share of answers solve")
	f.Float64Var(&k.Band.High, "band-high", k.Band.High, "pass over problems that more than this share of answers solve")
	f.DurationVar(&k.GradeTimeout, "grade-timeout", k.GradeTimeout, "deadline of grading one answer")
	f.IntVar(&k.Rows, "rows", k.Rows, "packed rows of a micro-batch: what memory must hold")
	f.IntVar(&k.RowTokens, "row-tokens", 0, "tokens of a row; 0 = as the longest problem and --max-tokens need")
	f.IntVar(&g.slots, "slots", g.slots, "answers that are drawn side by side")
	f.Uint64Var(&k.Seed, "seed", k.Seed, "of the order of problems and of all draws")
	f.IntVar(&g.numbers, "numbers", g.numbers, "countdown: numbers of a problem, at most")
	f.IntVar(&g.maxValue, "max-value", g.maxValue, "countdown: largest value that a step may reach")
}

func (g *grpoFlags) addLossFlags(c *cobra.Command) {
	f, k := c.Flags(), &g.config
	f.StringVar(&g.kind, "loss", g.kind, "clip (PPO's), gspo (clips whole answers; wants --clip-low 3e-4 --clip-high 4e-4) or cispo (what is clipped teaches too)")
	f.Float64Var(&k.Objective.ClipLow, "clip-low", k.Objective.ClipLow, "ratios below 1 minus this are clipped")
	f.Float64Var(&k.Objective.ClipHigh, "clip-high", k.Objective.ClipHigh, "ratios above 1 plus this are clipped")
	f.Float64Var(&k.Objective.DualClip, "dual-clip", k.Objective.DualClip, "clip: largest ratio that counts where the advantage is negative; 0 = none")
	f.Float64Var(&k.Objective.KL, "kl", k.Objective.KL, "weight of the KL divergence to --model; 0 = none")
	f.Float64Var(&k.Objective.Staleness.TIS, "tis", k.Objective.Staleness.TIS, "weigh tokens by how much likelier they are than when they were drawn, up to this; 2 is usual, 0 = off, which in bf16 means 2")
	f.StringVar(&g.norm, "norm", g.norm, "what the loss is divided by: tokens, sequences or constant (full length)")
	f.StringVar(&g.scale, "scale", g.scale, "what advantages are divided by: none, group or batch (standard deviation of rewards)")
	f.BoolVar(&k.Advantages.LeaveOneOut, "leave-one-out", false, "compare a reward with the mean of the others of its group")
	f.StringVar(&g.over, "overlong", g.over, "an answer cut at --max-tokens is wrong (fail), left out (mask), or graded like others, with rewards that fall near the end (shape)")
	f.IntVar(&k.OverlongBufferTokens, "overlong-buffer-tokens", k.OverlongBufferTokens, "shape: tokens before --max-tokens over which the reward falls by 1")
	f.Float64Var(&k.Limits.Ratio, "max-ratio", k.Limits.Ratio, "refuse an update with a larger probability ratio")
	f.Float64Var(&k.Limits.KL, "max-kl", k.Limits.KL, "refuse an update further from what drew the answers, in nats per token")
}

func (g *grpoFlags) run(ctx context.Context, out, diagnostics io.Writer) error {
	if g.problems == "" {
		return errors.New("want --problems FILE")
	}
	g.config.Objective.Kind = grpo.Kind(g.kind)
	g.config.Norm, g.config.Advantages.Scale, g.config.Overlong = grpo.Norm(g.norm), grpo.Scale(g.scale), grpo.Overlong(g.over)
	lines, err := recipe.ReadProblems(g.problems)
	if err != nil {
		return err
	}
	d, w, err := g.open(ctx, &g.config.Optimizer, diagnostics)
	if err != nil {
		return err
	}
	g.config = g.config.In(g.config.Optimizer.Compute)
	problems, err := g.adapt(lines, w.Config, diagnostics)
	if err != nil {
		w.Free()
		return err
	}
	g.fitRows(problems.Problems)
	params, err := begin(&g.config.Optimizer.LoRA, g.config.Seed, w)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "training %d parameters on %d problems (%d skipped) with %s in %s\n", params, len(problems.Problems), len(problems.Skipped), d.Kind(), g.config.Optimizer.Compute)
	if len(problems.Skipped) > 0 {
		fmt.Fprintln(out, "the first that was skipped:", problems.Skipped[0])
	}
	bar := stepBar(diagnostics, g.config.Steps)
	trained, err := grpo.Run(ctx, d, w, problems.Problems, problems.Grade, g.config,
		grpo.Work{Dir: g.work, EverySteps: g.every, Slots: g.slots, Extra: g.copyTexts}, func(r grpo.Report) {
			bar.Clear()
			printStep(out, r)
			bar.Set(r.Step) // fails only if the terminal does
		})
	fmt.Fprintln(diagnostics)
	if err != nil {
		return g.stopped(err)
	}
	if err := g.write(trained.Weights); err != nil {
		return err
	}
	fmt.Fprintf(out, "wrote %s, policy version %d\n", g.out, trained.Version)
	return nil
}

// adapt makes problems of lines. Those that the domain cannot take are skipped and counted.
func (g *grpoFlags) adapt(lines []recipe.ProblemLine, c model.Config, diagnostics io.Writer) (*recipe.RewardProblems, error) {
	var r *recipe.RewardProblems
	switch g.domain {
	case "countdown":
		d := countdown.CD4
		d.Numbers, d.MaxValue = g.numbers, g.maxValue
		if d.VocabSize() != c.Vocab {
			return nil, fmt.Errorf("the model has %d token ids, a model of the numbers game with values up to %d has %d: say --domain text, or --max-value",
				c.Vocab, d.MaxValue, d.VocabSize())
		}
		r = recipe.CountdownRewards(d, lines)
	case "text":
		tok, template, err := loadText(g.model, slog.New(slog.NewTextHandler(diagnostics, nil)))
		if err != nil {
			return nil, err
		}
		r = recipe.TextRewards(recipe.DefaultSearchText(tok, template, recipe.BlankLine), lines, g.grader())
	default:
		return nil, fmt.Errorf("unknown --domain %q: want countdown or text", g.domain)
	}
	if len(r.Problems) == 0 {
		return nil, fmt.Errorf("%s: no problem can be asked: %w", g.problems, r.Skipped[0])
	}
	return r, nil
}

// grader is the service that was named, or nil.
func (g *grpoFlags) grader() reward.Grader {
	if g.graderURL == "" {
		return nil
	}
	return reward.Remote{URL: g.graderURL, DeadlineMillis: int(g.config.GradeTimeout.Milliseconds()), Client: recipe.NewHTTPPoster()}
}

// fitRows chooses the length of rows, if it was not given: short ones, for attention costs the square of it, and what is left of the
// last micro-batch is small.
func (g *grpoFlags) fitRows(problems []grpo.Problem) {
	if g.config.RowTokens != 0 {
		return
	}
	for _, p := range problems {
		g.config.RowTokens = max(g.config.RowTokens, len(p.Prompt)+g.config.MaxTokens)
	}
}

// printStep writes a line about a step, and one more if something was wrong.
func printStep(w io.Writer, r grpo.Report) {
	t := r.Tally
	fmt.Fprintf(w, "step %d  reward %.3f  pass %.1f %%  mixed %.0f %% of %d  tokens %.1f  cut %d  entropy %.3f  clipped %.4f  kl %.2g  ratio %.2f  gap %.1g  norm %.2f  %.0f tok/s  %.1f s\n",
		r.Step, r.MeanReward(), 100*r.PassRate(), 100*r.MixedFraction(), t.Groups, float64(t.Tokens)/float64(max(1, t.Rollouts)), t.Truncated,
		r.Entropy, r.Clipped, r.KL, r.Ratio, r.Gap, r.GradNorm, float64(t.Tokens)/r.Gather.Seconds(), r.Time.Seconds())
	if r.Weight > 0 {
		fmt.Fprintf(w, "  weight of tokens %.3f, %.2f %% truncated; mean gap %.1g, kl between engine and trainer %.1g\n", r.Weight, 100*r.Capped, r.MeanGap, r.GapKL)
	}
	var wrong []string
	for what, n := range map[string]int{"failed in the engine": t.Failed, "failed in the grader": t.Errors, "graded too late": t.Hung, "stale": t.Stale} {
		if n > 0 {
			wrong = append(wrong, fmt.Sprintf("%d %s", n, what))
		}
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		fmt.Fprintf(w, "  rollouts left out: %s (%v)\n", strings.Join(wrong, ", "), t.LastError)
	}
	if r.Refused != "" {
		fmt.Fprintf(w, "  update refused: %s\n", r.Refused)
	}
	if r.Updates == 0 {
		fmt.Fprintf(w, "  nothing was learned; reasons of the grader: %s\n", reasons(t.Reasons))
	}
}

// reasons lists a grader's reasons with their counts.
func reasons(counts map[string]int) string {
	var all []string
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%s %d", reason, counts[reason]))
	}
	return strings.Join(all, ", ")
}
