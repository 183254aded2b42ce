package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"astro/feedback"
	"astro/training/countdown"
	"astro/training/recipe"
	"astro/training/search"
	"astro/training/tree"
)

// searchFlags are the flags of astro search.
type searchFlags struct {
	model, problems, domain, out string
	store                        string // "" = trees are in the file alone
	config                       search.Config
	parallel, slots, limit       int
	lockStep                     bool
	deviceFlags
	dtype         string
	hub           hubFlags
	contextTokens int
	temperature   float64

	steps, instruction          string // of text
	stepTokens, maxAnswerTokens int
	maxValue, numbers           int // of countdown
}

func newSearchCommand() *cobra.Command {
	s := searchFlags{domain: "countdown", out: "trees.jsonl", slots: 64, dtype: "f32", temperature: 1, steps: string(recipe.BlankLine),
		stepTokens: 512, maxAnswerTokens: 4096, maxValue: countdown.CD4.MaxValue, numbers: countdown.CD4.Numbers, config: search.Paper()}
	c := &cobra.Command{
		Use:   "search",
		Short: "Search solutions of problems step by step with a model (MCTS), and keep the trees",
		Long: "Search solutions of problems by Monte Carlo tree search over reasoning steps, with a model as policy.\n" +
			"A line of --problems is {\"id\": ..., \"problem\": ..., \"answer\": ...}. Trees are appended to --out (docs/formats/tree.md);\n" +
			"the same command goes on where it was stopped.",
		Example: "  astro search --problems train.jsonl --out trees.jsonl\n  astro search --model MODEL --domain text --problems math.jsonl --out trees.jsonl",
		Args:    cobra.NoArgs,
	}
	s.addFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if s.domain == "countdown" {
			s.countdownDefaults(c.Flags().Changed)
		}
		return s.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
	}
	return c
}

func (s *searchFlags) addFlags(c *cobra.Command) {
	f, k := c.Flags(), search.Countdown()
	f.StringVar(&s.model, "model", "", modelUse+" (default: the demo model)")
	s.hub.add(c)
	f.StringVar(&s.problems, "problems", "", "JSONL file of problems")
	f.StringVar(&s.domain, "domain", s.domain, "countdown, or text with answers in \\boxed{}")
	f.StringVar(&s.out, "out", s.out, "file of the trees")
	f.StringVar(&s.store, "store", "", "store that gets the trees too, as DIR/state.db of `astro serve --store DIR`, for /trees; no server may have it open")
	f.IntVar(&s.limit, "limit", 0, "search the first problems only; 0 = all")
	f.IntVar(&s.config.Children, "children", s.config.Children, fmt.Sprintf("steps drawn from a node (countdown: %d)", k.Children))
	f.IntVar(&s.config.Rollouts, "rollouts", s.config.Rollouts, fmt.Sprintf("answers drawn from each (countdown: %d)", k.Rollouts))
	f.IntVar(&s.config.Iterations, "iterations", s.config.Iterations, fmt.Sprintf("nodes that are expanded (countdown: %d)", k.Iterations))
	f.IntVar(&s.config.MaxDepth, "depth", s.config.MaxDepth, "steps of a path, at most")
	f.IntVar(&s.config.BudgetTokens, "tokens-budget", 0, "tokens of a tree after which no expansion begins; 0 = no bound")
	f.Float64Var(&s.config.CPUCT, "cpuct", s.config.CPUCT, "weight of the policy's prior in the choice of a node")
	f.IntVar(&s.config.Leaves, "leaves", s.config.Leaves, "nodes of one tree that are expanded together (virtual loss)")
	f.Uint64Var(&s.config.Seed, "seed", s.config.Seed, "from which every sample's own seed follows")
	f.IntVar(&s.parallel, "parallel", 0, "trees that grow at a time; 0 = enough for all slots")
	f.BoolVar(&s.lockStep, "lock-step", false, "grow blocks of trees in lock step: slower, and the same to the last bit every time")
	f.IntVar(&s.slots, "slots", s.slots, "sequences side by side")
	s.addDevice(c, "")
	f.StringVar(&s.dtype, "dtype", s.dtype, "f32 or bf16")
	f.IntVar(&s.contextTokens, "context", 0, "tokens of a prompt and its answer; 0 = the model's (countdown: 64)")
	f.Float64Var(&s.temperature, "temperature", s.temperature, "of the samples")
	f.StringVar(&s.steps, "steps", s.steps, "text: a step ends behind an empty line (blank), or before the next numbered line (numbered)")
	f.StringVar(&s.instruction, "instruction", "", "text: file that holds {{problem}} (default: one that asks for such steps)")
	f.IntVar(&s.stepTokens, "step-tokens", s.stepTokens, "text: tokens of a step, at most")
	f.IntVar(&s.maxAnswerTokens, "answer-tokens", s.maxAnswerTokens, "text: tokens of an answer, at most")
	f.IntVar(&s.numbers, "numbers", s.numbers, "countdown: numbers of a problem, at most")
	f.IntVar(&s.maxValue, "max-value", s.maxValue, "countdown: largest value that a step may reach")
}

// countdownDefaults are for flags that were not given.
func (s *searchFlags) countdownDefaults(given func(string) bool) {
	k := search.Countdown()
	for name, set := range map[string]func(){
		"children":   func() { s.config.Children = k.Children },
		"rollouts":   func() { s.config.Rollouts = k.Rollouts },
		"iterations": func() { s.config.Iterations = k.Iterations },
		"context":    func() { s.contextTokens = 64 },
	} {
		if !given(name) {
			set()
		}
	}
}

// run reads the problems, starts the model and searches.
func (s *searchFlags) run(ctx context.Context, out, diagnostics io.Writer) error {
	if s.problems == "" {
		return errors.New("want --problems FILE")
	}
	if s.parallel == 0 {
		s.parallel = max(4, 3*s.slots/max(1, s.config.Children))
	}
	lines, err := recipe.ReadProblems(s.problems)
	if err != nil {
		return err
	}
	if s.limit > 0 {
		lines = lines[:min(s.limit, len(lines))]
	}
	if err := s.config.Validate(); err != nil {
		return err
	}
	trees, err := s.openStore()
	if err != nil {
		return err
	}
	err = s.search(ctx, lines, trees, out, diagnostics)
	if trees != nil {
		err = errors.Join(err, trees.store.Close())
	}
	return err
}

// openStore opens --store, before anything is searched; nil = there is none.
func (s *searchFlags) openStore() (*treeKeeper, error) {
	if s.store == "" {
		return nil, nil
	}
	store, err := feedback.Open(s.store, feedback.Options{})
	if err != nil {
		return nil, fmt.Errorf("--store: %w", err)
	}
	return &treeKeeper{store: store}, nil
}

// search searches what can be searched of the lines; trees may be nil.
func (s *searchFlags) search(ctx context.Context, lines []recipe.ProblemLine, trees *treeKeeper, out, diagnostics io.Writer) error {
	p, err := s.startPolicy(ctx, diagnostics)
	if err != nil {
		return err
	}
	defer p.close()
	problems, settings, skipped, err := s.adapt(lines, p)
	if err != nil {
		return err
	}
	run := recipe.Search{Config: s.config, Out: s.out, Problems: problems, Parallel: s.parallel, Policy: p.policy, LockStep: s.lockStep,
		Settings: fmt.Sprintf("%s, temperature %g, model %s", settings, s.temperature, p.place)}
	if trees != nil {
		run.Keep = func(t *tree.Tree) error { return trees.keep(ctx, t) }
	}
	bar := searchBar(diagnostics, len(problems))
	summary, err := run.Run(ctx, bar)
	fmt.Fprintln(diagnostics)
	printSearch(out, summary, skipped, p.busy())
	if trees != nil {
		fmt.Fprintf(out, "%d trees are in %s\n", trees.kept, s.store)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w; the same command goes on from %s", err, s.out)
	case summary.Failures() > 0:
		return fmt.Errorf("%d problems have no tree (%v): give the same command to try them again", summary.Failures(), summary.FirstError)
	}
	return nil
}

// adapt makes search problems of lines. Those that the domain cannot take are skipped and counted.
func (s *searchFlags) adapt(lines []recipe.ProblemLine, p *searchPolicy) (problems []search.Problem, settings string, skipped []error, err error) {
	var adapt func(recipe.ProblemLine) (search.Problem, error)
	switch s.domain {
	case "countdown":
		d := countdown.CD4
		d.Numbers, d.MaxValue = s.numbers, s.maxValue
		settings = fmt.Sprintf("countdown, numbers %d, values to %d", d.Numbers, d.MaxValue)
		if d.VocabSize() != p.config.Vocab {
			return nil, "", nil, fmt.Errorf("the model has %d token ids, a model of the numbers game with values up to %d has %d: say --domain text, or --max-value",
				p.config.Vocab, d.MaxValue, d.VocabSize())
		}
		adapt = func(l recipe.ProblemLine) (search.Problem, error) {
			return recipe.NewCountdownSearch(d, l.ID, l.Problem)
		}
	case "text":
		text, err := s.text(p)
		if err != nil {
			return nil, "", nil, err
		}
		settings = text.String()
		adapt = func(l recipe.ProblemLine) (search.Problem, error) { return text.Problem(l.ID, l.Problem, l.Answer) }
	default:
		return nil, "", nil, fmt.Errorf("unknown --domain %q: want countdown or text", s.domain)
	}
	for _, l := range lines {
		problem, err := adapt(l)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("line %d: %w", l.Line, err))
			continue
		}
		problems = append(problems, problem)
	}
	if len(problems) == 0 {
		return nil, "", nil, fmt.Errorf("%s: no problem can be searched: %w", s.problems, skipped[0])
	}
	return problems, settings, skipped, nil
}

func (s *searchFlags) text(p *searchPolicy) (recipe.SearchText, error) {
	t := recipe.DefaultSearchText(p.tokenizer, p.template, recipe.Boundary(s.steps))
	t.MaxStepTokens, t.MaxAnswerTokens = s.stepTokens, s.maxAnswerTokens
	if s.instruction != "" {
		text, err := os.ReadFile(s.instruction)
		if err != nil {
			return t, fmt.Errorf("read the instruction: %w", err)
		}
		t.Instruction = string(text)
	}
	return t, t.Validate()
}

// searchBar draws the progress of a search.
func searchBar(w io.Writer, n int) func(recipe.SearchSummary) {
	bar := progressbar.NewOptions(n, progressbar.OptionSetWriter(w), progressbar.OptionSetPredictTime(true), progressbar.OptionShowCount(),
		progressbar.OptionFullWidth(), progressbar.OptionSetVisibility(isTerminal(w)))
	return func(s recipe.SearchSummary) {
		bar.Describe(fmt.Sprintf("%d %% solved  %.0f tok/s", 100*s.Solved/max(1, s.Trees()), float64(s.GrownTokens)/max(s.Elapsed.Seconds(), 1e-3)))
		bar.Set(s.Trees() + s.Failures()) // fails only if the terminal does
	}
}

func printSearch(w io.Writer, s recipe.SearchSummary, skipped []error, busy float64) {
	trees := max(1, s.Trees())
	fmt.Fprintf(w, "%d problems: %d trees (%d from an earlier run), %d failed, %d skipped\n", s.Problems+len(skipped), s.Trees(), s.Resumed, s.Failures(), len(skipped))
	fmt.Fprintf(w, "yield %.1f %% (%d problems with a correct terminal); %.2f right and %.1f wrong terminals per problem\n", 100*float64(s.Solved)/float64(trees), s.Solved,
		float64(s.Right)/float64(trees), float64(s.Wrong)/float64(trees))
	fmt.Fprintf(w, "%.0f tokens per problem; this run drew %d tokens in %.1f s, %.0f tokens/s", float64(s.Tokens)/float64(trees), s.GrownTokens, s.Elapsed.Seconds(),
		float64(s.GrownTokens)/max(s.Elapsed.Seconds(), 1e-3))
	fmt.Fprintf(w, "; decode slots %.1f %% busy\n", 100*busy)
	if s.CutBytes > 0 {
		fmt.Fprintf(w, "%d bytes of a torn last line were cut\n", s.CutBytes)
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Failed)) {
		fmt.Fprintf(w, "failed, %s: %d\n", reason, s.Failed[reason])
	}
	if len(skipped) > 0 {
		fmt.Fprintf(w, "the first that was skipped: %v\n", skipped[0])
	}
}
