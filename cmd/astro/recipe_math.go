package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"astro/internal/device"
	"astro/training/recipe"
	"astro/training/recipe/mathrecipe"
	"astro/training/recipe/stages"
)

// mathFlags are the flags of `astro recipe math`.
type mathFlags struct {
	model, problems, evalProblems string
	deviceFlags
	stage, work, out, compute       string
	boundary, prose, url, proseName string
	instruction                     string // file
	memoryBytes                     int64
	estimate                        bool
	config                          mathrecipe.Config
	command                         func() string // as given, for the model card
	hub                             hubFlags
	found                           place // of model
}

func newRecipeMathCommand() *cobra.Command {
	config := mathrecipe.Paper()
	f := mathFlags{boundary: string(config.Steps), prose: string(config.Prose.Writer), compute: device.Auto, config: config}
	c := &cobra.Command{
		Use:   "math",
		Short: "Run ASTRO on a Llama model and problems with known answers, with the paper's settings as defaults",
		Long: "Run ASTRO on a Llama model of your own and on problems with known answers, all stages or one of them:\n" +
			strings.Join(mathrecipe.Names(), ", ") + ". A line of --problems is {\"id\": ..., \"problem\": ..., \"answer\": ...}.\n" +
			"What a stage has made is kept in --work and is not made again; the same command goes on where it was stopped. At the end stands the\n" +
			"table (table.txt, .md, .json and plots in --work). docs/RECIPES.md says what each setting is, and what a run takes.",
		Example: "  astro recipe math --model Llama-3.2-1B-Instruct --problems train.jsonl --eval-problems math500.jsonl --estimate\n" +
			"  astro recipe math --model Llama-3.2-1B-Instruct --problems train.jsonl --eval-problems math500.jsonl --out llama-astro",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f.command = func() string { return f.commandOf(c) }
			return f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f.addFlags(c)
	f.addSearchFlags(c)
	f.addTraceFlags(c)
	f.addLearnFlags(c)
	return c
}

// decisive are the flags that decide what comes out.
var decisive = []string{
	"held-out", "validation", "seed", "context", "prompt-tokens", "slots", "eval-samples", "vote", "curve-problems", "curve-samples", "step-boundary",
	"step-tokens", "answer-tokens", "temperature", "children", "rollouts", "iterations", "depth", "tokens-budget", "cpuct", "parallel", "traces", "k",
	"local", "mask-failed", "high-q", "trace-tokens", "prose", "prose-model", "prose-temperature", "self-eval", "sft-epochs", "sft-lr", "batch-examples",
	"batch-tokens", "rl-steps", "rl-prompts", "group", "rl-tokens", "rl-rounds", "mini", "rl-lr", "rl-warmup-updates", "band-low", "band-high",
	"rl-batch-tokens", "curve-steps", "compute",
}

// commandOf is the command as it would be given again, but for places.
func (f *mathFlags) commandOf(c *cobra.Command) string {
	command := c.CommandPath() + " --model " + f.found.name
	for _, name := range givenOf(c, decisive) {
		command += " --" + name
	}
	return command
}

func (f *mathFlags) addFlags(c *cobra.Command) {
	flags, k := c.Flags(), &f.config
	flags.StringVar(&f.model, "model", "", "Llama model that follows instructions: "+modelUse)
	f.hub.add(c)
	flags.StringVar(&f.problems, "problems", "", "JSONL file of problems")
	flags.StringVar(&f.evalProblems, "eval-problems", "", "JSONL file of problems to judge models on (default: a share of --problems)")
	flags.Float64Var(&k.HeldOut, "held-out", k.HeldOut, "share of --problems to judge models on, where there is no --eval-problems")
	flags.Float64Var(&k.Validation, "validation", k.Validation, "share of --problems that learning curves are drawn on")
	flags.StringVar(&f.stage, "stage", "", "run this stage alone (default: all)")
	flags.StringVar(&f.work, "work", "", "folder of everything that stages make (default: in the user's cache)")
	flags.StringVar(&f.out, "out", "", "folder of the final model; one that is there is replaced (default: it stays in --work)")
	f.addDevice(c, "")
	flags.StringVar(&f.compute, "compute", f.compute, computeUse)
	flags.Uint64Var(&k.Seed, "seed", k.Seed, "of search, traces, learning and sampling")
	flags.IntVar(&k.ContextTokens, "context", 0, "tokens that a prompt and its answer may have; 0 = the model's own")
	flags.IntVar(&k.PromptTokens, "prompt-tokens", k.PromptTokens, "problems with a longer prompt are left out and counted")
	flags.IntVar(&k.Slots, "slots", k.Slots, "sequences that are sampled side by side")
	flags.Int64Var(&f.memoryBytes, "memory-bytes", 0, "memory that may be used on the device; 0 = what the machine has free")
	flags.BoolVar(&f.estimate, "estimate", false, "say what a run would take of memory and tokens, and run nothing")
	flags.IntVar(&k.Eval.Samples, "eval-samples", k.Eval.Samples, "answers to each test problem")
	flags.IntVar(&k.Eval.Vote, "vote", k.Eval.Vote, "k of maj@k and pass@k")
	flags.IntVar(&k.Eval.CurveProblems, "curve-problems", k.Eval.CurveProblems, "problems of a learning curve, at most")
	flags.IntVar(&k.Eval.CurveSamples, "curve-samples", k.Eval.CurveSamples, "answers to each")
}

func (f *mathFlags) addSearchFlags(c *cobra.Command) {
	flags, k := c.Flags(), &f.config
	flags.StringVar(&f.boundary, "step-boundary", f.boundary, "where a step of a solution ends: blank (line) or numbered (steps)")
	flags.StringVar(&f.instruction, "instruction", "", "file with the text that asks for a solution in steps and holds {{problem}} (default: ours)")
	flags.IntVar(&k.StepTokens, "step-tokens", k.StepTokens, "a longer step ends its path without an answer")
	flags.IntVar(&k.AnswerTokens, "answer-tokens", k.AnswerTokens, "of a path and its rollout together")
	flags.Float64Var(&k.Temperature, "temperature", k.Temperature, "of search")
	flags.IntVar(&k.Search.Children, "children", k.Search.Children, "steps drawn from a node (the paper's k, its actions)")
	flags.IntVar(&k.Search.Rollouts, "rollouts", k.Search.Rollouts, "answers drawn from each (the paper's M)")
	flags.IntVar(&k.Search.Iterations, "iterations", k.Search.Iterations, "nodes that are expanded")
	flags.IntVar(&k.Search.MaxDepth, "depth", k.Search.MaxDepth, "steps of a path, at most")
	flags.IntVar(&k.Search.BudgetTokens, "tokens-budget", 0, "tokens of a tree after which no expansion begins; 0 = no bound")
	flags.Float64Var(&k.Search.CPUCT, "cpuct", k.Search.CPUCT, "weight of the policy's prior in the choice of a node")
	flags.IntVar(&k.SearchBlock, "parallel", k.SearchBlock, "trees that grow in lock step")
}

func (f *mathFlags) addTraceFlags(c *cobra.Command) {
	flags, k, t := c.Flags(), &f.config, &f.config.Traces
	flags.IntVar(&t.PerTree, "traces", t.PerTree, "traces of each tree, in each arm")
	flags.IntSliceVar(&t.K, "k", t.K, "wrong ends of a trace of the astro arm, in turn")
	flags.Float64Var(&t.Local, "local", t.Local, "share of returns that go to a step and not to the beginning; -1 = as the draw of wrong ends gives it")
	flags.BoolVar(&t.MaskFailed, "mask-failed", false, "steps of failed branches have no weight in the loss")
	flags.Float64Var(&t.HighQ, "high-q", t.HighQ, "steps with at least this Q may be followed by a positive verdict; 0 = none is")
	flags.IntVar(&t.MaxTokens, "trace-tokens", t.MaxTokens, "longer traces are dropped and counted")
	flags.StringVar(&f.prose, "prose", f.prose, "who writes the sentences of traces: model (the model itself) or template (fixed sentences)")
	flags.StringVar(&f.url, "prose-url", "", "address of an OpenAI-compatible server that writes them instead; ASTRO_API_KEY holds its key")
	flags.StringVar(&f.proseName, "prose-model", "", "the name of its model")
	flags.Float64Var(&k.Prose.Temperature, "prose-temperature", k.Prose.Temperature, "of what is written")
	flags.IntVar(&k.Prose.SelfEval, "self-eval", k.Prose.SelfEval, "judgements of a solution by the writer's model that must all say yes; 0 = none are asked for")
	flags.IntVar(&k.Prose.Workers, "prose-workers", k.Prose.Workers, "trees that are written at a time")
}

func (f *mathFlags) addLearnFlags(c *cobra.Command) {
	flags, k, r := c.Flags(), &f.config, &f.config.RL
	flags.IntVar(&k.SFT.Epochs, "sft-epochs", k.SFT.Epochs, "times that each trace is seen")
	flags.Float64Var(&k.SFT.Optimizer.PeakLR, "sft-lr", k.SFT.Optimizer.PeakLR, "highest learning rate on traces")
	flags.IntVar(&k.BatchExamples, "batch-examples", k.BatchExamples, "traces of an update, about")
	flags.IntVar(&k.BatchTokens, "batch-tokens", k.BatchTokens, "tokens of a micro-batch of traces, about: what memory must hold")
	flags.IntVar(&r.Steps, "rl-steps", r.Steps, "steps of reward learning of the astro arm; the other is given as many tokens")
	flags.IntVar(&r.Prompts, "rl-prompts", r.Prompts, "problems that a step learns from")
	flags.IntVar(&r.Group, "group", r.Group, "answers to each")
	flags.IntVar(&r.MaxTokens, "rl-tokens", r.MaxTokens, "tokens of an answer in reward learning and where models are judged; never more than the context has room for")
	flags.IntVar(&r.MaxRounds, "rl-rounds", r.MaxRounds, "times that a step may ask further problems in place of those whose answers are all right or all wrong")
	flags.IntVar(&r.Mini, "mini", r.Mini, "updates of one step")
	flags.Float64Var(&r.Optimizer.PeakLR, "rl-lr", r.Optimizer.PeakLR, "learning rate")
	flags.IntVar(&r.Optimizer.WarmupSteps, "rl-warmup-updates", r.Optimizer.WarmupSteps, "updates over which it rises")
	flags.Float64Var(&r.Band.Low, "band-low", r.Band.Low, "pass over problems that fewer than this share of answers solve")
	flags.Float64Var(&r.Band.High, "band-high", r.Band.High, "pass over problems that more than this share of answers solve")
	flags.IntVar(&r.BatchTokens, "rl-batch-tokens", r.BatchTokens, "tokens of a micro-batch of answers, about: what memory must hold")
	flags.IntVar(&r.CurveSteps, "curve-steps", r.CurveSteps, "steps between two points of the learning curve, and between two checkpoints")
}

func (f *mathFlags) run(ctx context.Context, out, diagnostics io.Writer) error {
	p, err := f.pipeline(ctx, diagnostics)
	if err != nil {
		return err
	}
	if f.estimate {
		return f.printEstimate(out, p)
	}
	if p.Device, err = f.openDevice(); err != nil {
		return err
	}
	compute, err := parseCompute(f.compute, p.Device)
	if err != nil {
		return err
	}
	p.Config = p.Config.WithCompute(compute)
	if p.MemoryBytes == 0 {
		if p.MemoryBytes, err = freeMemory(p.Device, 1); err != nil {
			return err
		}
	}
	n := p.Problems
	fmt.Fprintf(out, "%s on %s in %s, in %s; %d problems to learn from, %d to validate, %d to test, %d left out\n", f.found, p.Device.Kind(), compute, p.Dir,
		len(n.Train), len(n.Validation), len(n.Test), n.Skipped.Total())
	if n.Skipped.Total() > 0 {
		fmt.Fprintf(out, "left out: %s; the first: %v\n", n.Skipped, n.Skipped.First)
	}
	p.Tell = newStageBars(p.Config.Seed, out, diagnostics).show
	if err := p.Run(ctx, stages.Name(f.stage)); err != nil {
		return err
	}
	if f.stage != "" && f.stage != string(mathrecipe.Evaluate) {
		return nil
	}
	return f.finish(out, p)
}

// settings completes the settings by flags that need more than to be stored.
func (f *mathFlags) settings() (mathrecipe.Config, error) {
	c := f.config.WithSeed(f.config.Seed)
	c.Steps, c.Prose.Writer, c.Prose.URL, c.Prose.Model, c.Prose.Key = recipe.Boundary(f.boundary), mathrecipe.Writer(f.prose), f.url, f.proseName, os.Getenv("ASTRO_API_KEY")
	if f.url != "" || f.proseName != "" {
		c.Prose.Writer = mathrecipe.Server
	}
	if f.instruction != "" {
		text, err := os.ReadFile(f.instruction)
		if err != nil {
			return c, fmt.Errorf("read the instruction: %w", err)
		}
		c.Instruction = string(text)
	}
	return c, c.Validate()
}

// pipeline reads the problems and finds the model.
func (f *mathFlags) pipeline(ctx context.Context, diagnostics io.Writer) (*mathrecipe.Pipeline, error) {
	if f.model == "" || f.problems == "" {
		return nil, errors.New("want --model MODEL and --problems FILE")
	}
	c, err := f.settings()
	if err != nil {
		return nil, err
	}
	lines, err := recipe.ReadProblems(f.problems)
	if err != nil {
		return nil, err
	}
	var test []recipe.ProblemLine
	if f.evalProblems != "" {
		if test, err = recipe.ReadProblems(f.evalProblems); err != nil {
			return nil, err
		}
	}
	problems, err := mathrecipe.Divide(lines, test, c.HeldOut, c.Validation)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.problems, err)
	}
	if f.found, err = f.hub.modelDir(ctx, f.model, diagnostics); err != nil {
		return nil, err
	}
	if err := f.choosePlace(); err != nil {
		return nil, err
	}
	return &mathrecipe.Pipeline{Config: c, Model: f.found.dir, Name: f.found.name, Problems: problems, Dir: f.work, MemoryBytes: f.memoryBytes}, nil
}

// choosePlace fills in the work folder, if it was left out.
func (f *mathFlags) choosePlace() error {
	if f.work != "" {
		return nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("there is no folder for caches (%w): say --work DIR", err)
	}
	f.work = filepath.Join(cache, "astro", "runs", fmt.Sprintf("math-%s-seed-%d", strings.ReplaceAll(f.found.name, "/", "-"), f.config.Seed))
	return nil
}

// finish writes the table, the model if it is wanted, and prints the table.
func (f *mathFlags) finish(out io.Writer, p *mathrecipe.Pipeline) error {
	t, err := mathrecipe.NewTable(p)
	if err != nil {
		return err
	}
	if err := t.Write(p.Dir); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%swrote the table and its plots to %s\n", t.Text(), p.Dir)
	if f.out == "" {
		return nil
	}
	if err := p.Export(f.out, f.command()); err != nil {
		return err
	}
	fmt.Fprintln(out, "wrote the model to", f.out)
	return nil
}

// printEstimate says what a run would take. No device is opened for it: with --compute auto it is that of a processor unless --backend names a GPU's.
func (f *mathFlags) printEstimate(out io.Writer, p *mathrecipe.Pipeline) error {
	compute, err := computeOn(f.compute, device.Kind(f.backend))
	if err != nil {
		return err
	}
	p.Config = p.Config.WithCompute(compute)
	e, err := p.Estimate()
	if err != nil {
		return err
	}
	n := e.Problems
	fmt.Fprintf(out, "%d parameters; %d problems to learn from, %d to validate, %d to test; left out: %d (%s)\n", e.Parameters, len(n.Train), len(n.Validation), len(n.Test),
		e.Skipped.Total(), e.Skipped)
	fmt.Fprintf(out, "memory on the device, estimated, learning in %s:\n", compute)
	for _, need := range e.Needs {
		fmt.Fprintln(out, " ", need)
	}
	millions := func(tokens int64) float64 { return float64(tokens) / 1e6 }
	fmt.Fprintf(out, "tokens, at most: search draws %.1fM, each supervised stage learns from %.1fM, learning by rewards draws %.1fM in each arm, the evaluation %.1fM\n",
		millions(e.SearchTokens), millions(e.TraceTokens), millions(e.RLTokens), millions(e.EvalTokens))
	return nil
}
