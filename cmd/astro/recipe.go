package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"astro/internal/device"
	"astro/training/recipe/pipeline"
)

// baseModel is where --stage base writes, and what the whole recipe starts from.
const baseModel = "models/countdown-base"

// recipeFlags are the flags of `astro recipe countdown`.
type recipeFlags struct {
	deviceFlags
	stage, size, out, work        string
	compute                       string
	seed                          uint64
	seeds                         int
	mask, fromScratch, quick      bool
	k                             []int // empty = as the size has it
	local                         float64
	epochs, maxTokens             int
	arm, from                     string
	tokens, searchProblems, steps int // 0 = as the size has it
	problems, samples             int
	command                       string // as given, for the model card
	given                         func(flag string) bool
	factors                       []string // those of recipeFactors that were given, with their values
}

// recipeFactors are the flags that change the method, one factor each; an ablation gives one of them.
var recipeFactors = []string{"mask", "k", "local", "sft-epochs", "max-tokens", "arm"}

// Where models and work are, unless flags say otherwise.
const (
	recipeModel = "models/astro-countdown"
	maxSeeds    = 32
)

func newRecipeCommand() *cobra.Command {
	root := &cobra.Command{Use: "recipe", Short: "Run a whole experiment: learn, judge, print the table, write a model and its card"}
	f := recipeFlags{size: pipeline.Small, compute: device.Auto, seed: 1, seeds: 1}
	c := &cobra.Command{
		Use:   "countdown",
		Short: "Run ASTRO on the numbers game: base model, search, traces, supervised and reward learning in two arms, the table",
		Long: "Run ASTRO on the numbers game, all stages or one of them: " + strings.Join(pipeline.Names(), ", ") + ".\n" +
			"What a stage has made is kept in --work and is not made again; the same command goes on where it was stopped. At the end stands\n" +
			"the table (table.txt, .md, .json and plots in --work), and the final model in --out.\n\n" +
			"The methods that ours is compared with, spoc (arXiv 2506.06923) and step-kto (arXiv 2501.10799), are run only where --stage names\n" +
			"them, after all others; the table then has their rows too.\n\n" +
			"With --stage base a base model is trained from scratch, judged and written to --out (default: " + baseModel + "), and nothing else.",
		Example: "  astro recipe countdown --size tiny\n  astro recipe countdown --seeds 3 --work W1\n  astro recipe countdown --stage base\n" +
			"  astro recipe countdown --seeds 3 --work W2 --from W1 --arm astro --k 0,1   (one factor changed; the search of W1 is taken over)",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f.command = commandOf(c)
			f.given, f.factors = c.Flags().Changed, givenOf(c, recipeFactors)
			return f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f.addFlags(c)
	root.AddCommand(c, newRecipeMathCommand())
	return root
}

// commandOf is the command as it would be given again: with the flags that decide what comes out, where they were given.
func commandOf(c *cobra.Command) string {
	command := c.CommandPath()
	rest := []string{"size", "seed", "seeds", "from-scratch", "tokens", "search-problems", "steps", "eval-problems", "eval-samples", "compute"}
	for _, name := range givenOf(c, append(rest, recipeFactors...)) {
		command += " --" + name
	}
	return command
}

// givenOf lists those of the named flags that were given, with their values.
func givenOf(c *cobra.Command, names []string) []string {
	var given []string
	for _, name := range names {
		if c.Flags().Changed(name) {
			given = append(given, name+"="+strings.Trim(c.Flag(name).Value.String(), "[]"))
		}
	}
	return given
}

func (f *recipeFlags) addFlags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.stage, "stage", "", "run this stage alone (default: all but spoc and step-kto)")
	flags.StringVar(&f.size, "size", f.size, "tiny (shows that everything works), small (two cores) or large (a GPU)")
	flags.StringVar(&f.out, "out", "", "folder of the final model; one that is there is replaced (default: "+recipeModel+"; with --stage base "+baseModel+"; of size tiny and where the method is changed, in --work)")
	flags.StringVar(&f.work, "work", "", "folder of everything that stages make (default: in the user's cache)")
	f.addDevice(c, "")
	flags.StringVar(&f.compute, "compute", f.compute, computeUse)
	flags.Uint64Var(&f.seed, "seed", f.seed, "of search, traces, learning and sampling")
	flags.IntVar(&f.seeds, "seeds", f.seeds, "run so many seeds, from --seed on, and print their mean too")
	flags.BoolVar(&f.mask, "mask", false, "failed branches have no weight in the loss, and there are up to 3 of them unless --k says otherwise")
	flags.IntSliceVar(&f.k, "k", nil, "failed branches of the traces of a tree, in turn: 0,1,2,1 (default: as the size has it)")
	flags.Float64Var(&f.local, "local", 0, "share of returns to a step instead of the beginning, 0 to 1; below 0: branches are drawn uniformly (default: as the size has it)")
	flags.IntVar(&f.epochs, "sft-epochs", 0, "times that supervised learning sees each tree, linearised afresh (default: as the size has it)")
	flags.IntVar(&f.maxTokens, "max-tokens", 0, "longest answer of the astro arm, in reward learning and where it is judged (default: as the size has it)")
	flags.StringVar(&f.arm, "arm", "", "astro: leave the direct arm out (default: both)")
	flags.StringVar(&f.from, "from", "", "--work of another run, whose stages are taken over where the settings and all that they were made from are the same")
	flags.BoolVar(&f.fromScratch, "from-scratch", false, "train the base model, even if one of this shape is there")
	flags.IntVar(&f.tokens, "tokens", 0, "tokens of documents to train the base model on (default: as the size has it)")
	flags.IntVar(&f.searchProblems, "search-problems", 0, "problems to search (default: as the size has it)")
	flags.IntVar(&f.steps, "steps", 0, "steps of reward learning of the astro arm; the other is given as many tokens (default: as the size has it)")
	flags.IntVar(&f.problems, "eval-problems", 0, "test problems to judge models by (default: as the size has it)")
	flags.IntVar(&f.samples, "eval-samples", 0, "answers to each (default: as the size has it)")
	flags.BoolVar(&f.quick, "quick", false, "with --stage base: a run of a minute that only shows that everything works")
}

func (f recipeFlags) run(ctx context.Context, out, diagnostics io.Writer) error {
	if f.stage == string(pipeline.Base) {
		f.out = cmp.Or(f.out, baseModel)
		return f.trainBase(ctx, out)
	}
	if f.quick {
		return errors.New("--quick is for --stage base; --size tiny is the whole method in short")
	}
	if f.seeds < 1 || f.seeds > maxSeeds {
		return fmt.Errorf("%d seeds: want 1 to %d", f.seeds, maxSeeds)
	}
	c, err := f.config()
	if err != nil {
		return err
	}
	if err := f.choosePlaces(); err != nil {
		return err
	}
	d, err := f.openDevice()
	if err != nil {
		return err
	}
	compute, err := parseCompute(f.compute, d)
	if err != nil {
		return err
	}
	c = c.WithCompute(compute)
	fmt.Fprintf(out, "size %s on %s in %s, in %s\n", c.Size, d.Kind(), compute, f.work)
	var runs []*pipeline.Pipeline
	for i := range f.seeds {
		seed := f.seed + uint64(i)
		name := fmt.Sprintf("seed-%d", seed)
		p := &pipeline.Pipeline{Config: c.WithSeed(seed), Dir: filepath.Join(f.work, name), Device: d, Tell: newStageBars(seed, out, diagnostics).show}
		if f.from != "" {
			p.From = filepath.Join(f.from, name)
		}
		if err := p.Run(ctx, pipeline.Stage(f.stage)); err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		runs = append(runs, p)
	}
	switch stage := pipeline.Stage(f.stage); {
	case stage == "" || stage == pipeline.Evaluate:
		return f.finish(out, runs)
	case slices.Contains(pipeline.Compared, stage) && !slices.ContainsFunc(runs, func(p *pipeline.Pipeline) bool { return !p.Judged() }):
		return f.writeTable(out, runs)
	}
	return nil
}

// config is the size with what flags change.
func (f *recipeFlags) config() (pipeline.Config, error) {
	c, err := pipeline.Sized(f.size)
	if err != nil {
		return c, err
	}
	if f.tokens > 0 {
		c.Base = c.Base.WithTokens(f.tokens)
	}
	for _, set := range []struct {
		to   *int
		flag int
	}{{&c.SearchProblems, f.searchProblems}, {&c.AstroRL.Steps, f.steps}, {&c.Eval.Problems, f.problems}, {&c.Eval.Samples, f.samples},
		{&c.AstroRL.MaxTokens, f.maxTokens}, {&c.SPOC.MaxTokens, f.maxTokens}, {&c.Eval.AstroTokens, f.maxTokens}, {&c.Traces.Epochs, f.epochs}} {
		if set.flag < 0 {
			return c, fmt.Errorf("a flag says %d: want a number above 0", set.flag)
		}
		if set.flag > 0 {
			*set.to = set.flag
		}
	}
	if f.mask {
		c = c.WithMask()
	}
	if len(f.k) > 0 {
		c.Traces.K = f.k
	}
	if f.given("local") {
		c.Traces.Local = f.local
	}
	c.Arm = f.arm
	if demo, err := demoModel(); err == nil && !f.fromScratch {
		if dir := filepath.Join(filepath.Dir(demo), "countdown-base"); c.Shaped(dir) {
			c.BaseModel = dir
		}
	}
	return c, c.Validate()
}

// choosePlaces fills in the folders that flags left out. Runs of different kinds have folders of their own.
func (f *recipeFlags) choosePlaces() error {
	if f.work == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("there is no folder for caches (%w): say --work DIR", err)
		}
		name := strings.Join(append([]string{"countdown", f.size}, f.factors...), "-")
		f.work = filepath.Join(cache, "astro", "runs", name)
	}
	switch {
	case f.out != "":
	case f.size == pipeline.Tiny || len(f.factors) > 0: // not what anybody would serve
		f.out = filepath.Join(f.work, "model")
	default:
		f.out = recipeModel
	}
	if f.from == "" {
		return nil
	}
	if _, err := os.Stat(f.from); err != nil {
		return fmt.Errorf("--from wants the --work of another run: %w", err)
	}
	return nil
}

// finish writes the table and the model of the first seed, and prints the table.
func (f *recipeFlags) finish(out io.Writer, runs []*pipeline.Pipeline) error {
	if err := f.writeTable(out, runs); err != nil {
		return err
	}
	if err := runs[0].Export(f.out, f.command); err != nil {
		return err
	}
	fmt.Fprintf(out, "wrote the model to %s\n", f.out)
	return nil
}

// writeTable writes the table and prints it.
func (f *recipeFlags) writeTable(out io.Writer, runs []*pipeline.Pipeline) error {
	t, err := pipeline.NewTable(runs)
	if err != nil {
		return err
	}
	if err := t.Write(f.work); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%swrote the table and its plots to %s\n", t.Text(), f.work)
	return nil
}
