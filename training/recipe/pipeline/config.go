// Package pipeline runs the whole method on the numbers game: a base model, search, traces, supervised and reward learning in two arms
// (astro learns from traces that fail and go back, direct from as many that do not), and the table that compares them.
//
// Each stage leaves a sealed folder; what is sealed is not made again, and a stage that was stopped goes on from its own checkpoints.
package pipeline

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"astro/model"
	"astro/training/countdown"
	"astro/training/eval"
	"astro/training/grpo"
	"astro/training/kto"
	"astro/training/linearize"
	"astro/training/recipe"
	"astro/training/search"
	"astro/training/sft"
	"astro/training/trainer"
)

// Config is everything that decides about a run. Start from Sized.
type Config struct {
	Size string
	Seed uint64 // of search, traces, learning and sampling; see WithSeed
	Arm  string // "" = both; ArmAstro = what the astro arm needs, and no more

	Base      recipe.Base // its Domain is that of all stages
	BaseModel string      // Hugging Face folder that is taken in place of training if it has Base's shape; "" = train

	SearchProblems int // of training multisets
	SearchBlock    int // trees that grow in lock step
	Search         search.Config

	Traces        linearize.Options
	SFT           sft.Config // Rows and RowTokens follow from the traces
	BatchExamples int        // examples of an update, about, in both arms

	RLProblems int // of training multisets
	AstroRL    RL
	DirectRL   RL // its Steps are a bound: it ends when it has drawn as many tokens as the astro arm

	SPOC    SPOCConfig
	StepKTO StepKTOConfig

	Eval  Eval
	Slots int // sequences that are sampled side by side
}

// Eval says how models are judged: on problems of test multisets, and during learning on problems of validation multisets.
type Eval struct {
	Problems, Samples           int
	CurveProblems, CurveSamples int
	AstroTokens                 int // longest answer of the astro arm
	DirectTokens                int // longest answer of the others
	Resamples                   int // of the bootstrap
	Graphs                      int // reasoning graphs that are drawn
}

// Sizes that Sized knows.
const (
	Tiny  = "tiny"
	Small = "small"
	Large = "large"
)

// Sized is the recipe of a size: tiny shows that everything works, small is for two cores, large wants a GPU.
func Sized(size string) (Config, error) {
	c := small()
	switch size {
	case Small:
	case Tiny:
		c.shrink()
	case Large:
		c.grow()
	default:
		return c, fmt.Errorf("unknown size %q: want %s, %s or %s", size, Tiny, Small, Large)
	}
	c.Size = size
	c.compared()
	return c.WithSeed(1), nil
}

// small took 13 minutes on two cores that other work shared, 3 of them for search and 5 for learning by rewards.
func small() Config {
	c := Config{Base: recipe.CountdownBase(), SearchProblems: 600, SearchBlock: 200, Search: search.Countdown(), BatchExamples: 32, RLProblems: 4000,
		Traces: linearize.Default(), SFT: sft.Default(), Slots: 64,
		Eval: Eval{Problems: 200, Samples: 8, CurveProblems: 64, CurveSamples: 4, AstroTokens: 200, DirectTokens: 40, Resamples: 10_000, Graphs: 6}}
	c.Traces.PerTree, c.Traces.K, c.Traces.Epochs, c.Traces.MaxTokens = 4, []int{0, 1, 2, 1}, 3, 192
	c.SFT.Epochs = 1 // the traces hold three linearisations of each tree
	c.AstroRL = RL{Config: grpo.Default(), CurveSteps: 5, BatchTokens: 2048, Slots: 32}
	c.AstroRL.Steps, c.AstroRL.MaxTokens, c.AstroRL.MaxRounds, c.AstroRL.Mini = 20, c.Eval.AstroTokens, 1, 2
	c.DirectRL = c.AstroRL
	c.DirectRL.Steps, c.DirectRL.MaxTokens, c.DirectRL.CurveSteps = 400, c.Eval.DirectTokens, 20
	c.DirectRL.Optimizer.PeakLR = 1e-4 // more makes steps illegal
	return c
}

// shrink makes three numbers and a model that is trained in half a minute.
func (c *Config) shrink() {
	d := countdown.Domain{Numbers: 3, Low: 1, High: 9, MaxValue: 20, TargetLow: 3, TargetHigh: 20}
	c.Base.Domain = d
	c.Base.Model.Vocab, c.Base.Model.Hidden, c.Base.Model.Layers, c.Base.Model.Heads, c.Base.Model.KVHeads, c.Base.Model.FFN = d.VocabSize(), 64, 2, 2, 2, 160
	c.Base.Mix.NoteTokens, c.Base.Rows, c.Base.RowTokens, c.Base.Optimizer.PeakLR = 60, 2, 96, 2e-3 // many updates of few tokens each
	c.Base = c.Base.WithTokens(360_000)
	c.SFT.Optimizer.PeakLR = 5e-4
	c.SearchProblems, c.SearchBlock, c.Search.Iterations, c.RLProblems, c.BatchExamples, c.Slots = 96, 48, 6, 200, 8, 32
	c.Traces.K = []int{0, 1}
	c.Eval = Eval{Problems: 40, Samples: 4, CurveProblems: 16, CurveSamples: 2, AstroTokens: 48, DirectTokens: 32, Resamples: 2000, Graphs: 2}
	for _, r := range []*RL{&c.AstroRL, &c.DirectRL} {
		r.Prompts, r.Group, r.CurveSteps = 8, 4, 2
	}
	c.AstroRL.Steps, c.AstroRL.MaxTokens, c.DirectRL.Steps, c.DirectRL.MaxTokens = 4, 48, 40, 32
	c.DirectRL.CurveSteps = 4
}

// grow makes four numbers up to twelve and a model that wants a GPU.
func (c *Config) grow() {
	d := countdown.Domain{Numbers: 4, Low: 1, High: 12, MaxValue: 99, TargetLow: 10, TargetHigh: 99}
	m := &c.Base.Model
	c.Base.Domain = d
	m.Vocab, m.Hidden, m.Layers, m.Heads, m.KVHeads, m.HeadDim, m.FFN = d.VocabSize(), 384, 6, 6, 6, 64, 1024
	c.Base = c.Base.WithTokens(200_000_000)
	c.Base.Optimizer.PeakLR = 1e-3
	c.SearchProblems, c.SearchBlock, c.RLProblems, c.Slots = 20_000, 1024, 20_000, 1024
	c.SFT.Optimizer.PeakLR = 5e-4
	c.Eval.Problems, c.Eval.CurveProblems = 500, 128
	c.AstroRL.Steps, c.AstroRL.Optimizer.PeakLR, c.AstroRL.Prompts = 200, 1e-4, 128
	c.DirectRL.Steps, c.DirectRL.Optimizer.PeakLR, c.DirectRL.Prompts = 2000, 5e-5, 128
	c.AstroRL.BatchTokens, c.DirectRL.BatchTokens = 1<<16, 1<<16
	c.AstroRL.Slots, c.DirectRL.Slots = c.Slots, c.Slots
}

// compared gives the methods that are compared with the settings of ours: SPOC, whose answers go on after a failure, those of the astro arm,
// Step-KTO those of the direct one.
func (c *Config) compared() {
	c.SPOC = SPOCConfig{RL: c.AstroRL, VerdictShare: .25}
	c.SPOC.Steps = c.DirectRL.Steps
	r := c.DirectRL
	c.StepKTO = StepKTOConfig{Config: kto.Default(), Problems: r.Prompts, Group: r.Group, MaxTokens: r.MaxTokens, CurveRounds: r.CurveSteps, BatchTokens: r.BatchTokens}
	c.StepKTO.Rounds, c.StepKTO.Mini, c.StepKTO.Optimizer = r.Steps, r.Mini, r.Optimizer
}

// WithSeed gives every random choice another seed. The test problems stay the same, so that seeds can be compared.
func (c Config) WithSeed(seed uint64) Config {
	c.Seed, c.Base.Seed, c.Search.Seed, c.Traces.Seed, c.SFT.Seed = seed, seed, seed, seed, seed
	c.AstroRL.Seed, c.DirectRL.Seed, c.SPOC.Seed, c.StepKTO.Seed = seed, seed, seed, seed
	return c
}

// WithCompute says what everything that is trained computes its products in.
func (c Config) WithCompute(compute trainer.Compute) Config {
	c.Base.Optimizer.Compute, c.SFT.Optimizer.Compute, c.StepKTO.Optimizer.Compute = compute, compute, compute
	for _, r := range []*RL{&c.AstroRL, &c.DirectRL, &c.SPOC.RL} {
		r.Config = r.Config.In(compute)
	}
	return c
}

// WithMask leaves failed branches out of the loss and lets traces fail more often: further from the paper, and better at this size.
func (c Config) WithMask() Config {
	c.Traces.MaskFailed, c.Traces.K = true, []int{0, 1, 2, 3}
	return c
}

// ArmAstro leaves the direct arm out, as an ablation of the astro arm may.
const ArmAstro = "astro"

// has says whether a stage is of the arms that are run.
func (c Config) has(s Stage) bool {
	return c.Arm != ArmAstro || s != DirectSFT && s != DirectRL
}

// models are those of Models that are made and judged.
func (c Config) models() []Stage {
	return slices.DeleteFunc(slices.Clone(Models), func(s Stage) bool { return !c.has(s) })
}

// maxProblems bounds each number of problems.
const maxProblems = 1 << 20

// Validate says what is wrong with a Config, or nil.
func (c Config) Validate() error {
	e := c.Eval
	for _, n := range []int{c.SearchProblems, c.RLProblems, e.Problems, e.CurveProblems} {
		if n < 1 || n > maxProblems {
			return fmt.Errorf("%d problems: want 1 to %d", n, maxProblems)
		}
	}
	switch {
	case c.Arm != "" && c.Arm != ArmAstro:
		return fmt.Errorf("unknown arm %q: want %s, or none for both", c.Arm, ArmAstro)
	case promptTokens+max(e.AstroTokens, c.AstroRL.MaxTokens) > c.Base.Model.MaxPositions:
		return fmt.Errorf("answers of %d tokens: a model of size %s has room for %d", max(e.AstroTokens, c.AstroRL.MaxTokens), c.Size, c.Base.Model.MaxPositions-promptTokens)
	case e.Samples < 1 || e.Samples > grpo.MaxGroup || e.CurveSamples < 1 || e.CurveSamples > grpo.MaxGroup:
		return fmt.Errorf("%d and %d samples of a problem: want 1 to %d", e.Samples, e.CurveSamples, grpo.MaxGroup)
	case e.Resamples < eval.MinResamples || e.Resamples > eval.MaxResamples || e.Graphs < 0:
		return fmt.Errorf("%d resamples and %d graphs: want %d to %d, and at least 0", e.Resamples, e.Graphs, eval.MinResamples, eval.MaxResamples)
	case e.AstroTokens < 1 || e.DirectTokens < 1 || c.BatchExamples < 1 || c.SearchBlock < 1 || c.Slots < 1:
		return errors.New("answers, batches, blocks and slots must be at least 1")
	}
	return errors.Join(c.Base.Validate(), c.Search.Validate(), c.Traces.Validate(), c.SFT.Validate(), c.AstroRL.Validate(), c.DirectRL.Validate(),
		c.SPOC.Validate(), c.StepKTO.Validate())
}

// domain is that of all stages.
func (c Config) domain() countdown.Domain { return c.Base.Domain }

// fits says whether a model of this shape can stand in for the base model.
func (c Config) fits(m model.Config) bool { return reflect.DeepEqual(m, c.Base.Model) }
