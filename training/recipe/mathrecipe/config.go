// Package mathrecipe runs the whole method on a Llama model and problems with known answers in \boxed{}: search, traces, supervised and
// reward learning in two arms (astro learns from traces that fail and go back, direct from as many that do not), and the table that
// compares them on problems that nothing learnt from.
//
// Each stage leaves a sealed folder; what is sealed is not made again, and a stage that was stopped goes on from its own checkpoints.
package mathrecipe

import (
	"errors"
	"fmt"

	"astro/model"
	"astro/training/eval"
	"astro/training/grpo"
	"astro/training/linearize"
	"astro/training/recipe"
	"astro/training/recipe/learning"
	"astro/training/search"
	"astro/training/sft"
	"astro/training/trainer"
)

// Config is everything that decides about a run. Start from Paper.
type Config struct {
	Seed          uint64 // of search, traces, learning and sampling; see WithSeed
	ContextTokens int    // that a prompt and its answer may have; 0 = the model's own
	PromptTokens  int    // a problem that is longer is left out, and counted
	Slots         int    // sequences that are sampled side by side

	HeldOut    float64 // share of the problems that models are judged on, unless there are others for that
	Validation float64 // share of the problems that learning curves are drawn on

	Instruction  string          // to solve a problem, with {{problem}} in it; "" = ours
	Steps        recipe.Boundary // where a step of a solution ends
	StepTokens   int             // a longer step ends its path without an answer
	AnswerTokens int             // of a path and its rollout together
	Temperature  float64         // of search
	SearchBlock  int             // trees that grow in lock step
	Search       search.Config

	Traces linearize.Options
	Prose  Prose

	SFT           sft.Config // Rows, RowTokens and Batches follow from the traces
	BatchExamples int        // examples of an update, about, in both arms
	BatchTokens   int        // tokens of a micro-batch, about: what memory must hold

	RL   learning.Config // of both arms; the direct one ends when it has drawn as many tokens as the astro arm
	Eval Eval
}

// Prose says who writes the sentences between the steps of a trace.
type Prose struct {
	Writer      Writer
	Model       string `json:",omitempty"` // of a Server, as it is named there
	URL         string `json:"-"`          // of a Server; where it is decides about nothing
	Key         string `json:"-"`
	Temperature float64
	SelfEval    int // judgements of a solution that must all say yes; 0 = none are asked for
	Workers     int `json:"-"` // trees that are written at a time
}

// Writer is one of those who write.
type Writer string

// Writers.
const (
	OwnModel Writer = "model"    // the model itself, in this process
	Server   Writer = "server"   // any model over the OpenAI API
	Template Writer = "template" // nobody: steps stay as they were searched, every sentence is fixed
)

// Eval says how models are judged.
type Eval struct {
	Samples                     int // of each test problem
	Vote                        int // k of maj@k and of pass@k beside pass@1
	CurveProblems, CurveSamples int // of a learning curve
	Resamples                   int // of the bootstrap
	Graphs                      int // reasoning graphs that are drawn
}

// highQ and highShare say which steps of a trace are praised; the paper does not say where it sets the bar.
const highQ, highShare = .8, .25

// Paper has the settings of the paper (docs/RECIPES.md says which of them it does not give).
func Paper() Config {
	c := Config{PromptTokens: 1024, Slots: 64, HeldOut: .1, Validation: .05,
		Steps: recipe.BlankLine, StepTokens: 512, AnswerTokens: 4096, Temperature: 1, SearchBlock: 24, Search: search.Paper(),
		Traces: linearize.Default(), Prose: Prose{Writer: OwnModel, Temperature: .7, SelfEval: 8, Workers: 8},
		SFT: sft.Default(), BatchExamples: 32, BatchTokens: 8192,
		RL:   learning.Config{Config: grpo.Default(), CurveSteps: 10, BatchTokens: 16384},
		Eval: Eval{Samples: 16, Vote: 8, CurveProblems: 64, CurveSamples: 4, Resamples: 10_000, Graphs: 6}}
	t := &c.Traces
	t.PerTree, t.K, t.Local, t.PromptLoss, t.HighQ, t.HighShare, t.MaxTokens = 4, []int{0, 1, 2, 1}, -1, true, highQ, highShare, 8192
	c.SFT.Epochs, c.SFT.Optimizer.PeakLR = 1, 3e-6
	r := &c.RL
	r.Group, r.Prompts, r.Optimizer.PeakLR, r.MaxTokens, r.Band = 4, 64, 2e-7, 15_360, grpo.Band{Low: .01, High: .75}
	return c.WithSeed(1)
}

// WithSeed gives every random choice another seed. Which problems are held out stays the same.
func (c Config) WithSeed(seed uint64) Config {
	c.Seed, c.Search.Seed, c.Traces.Seed, c.SFT.Seed, c.RL.Seed = seed, seed, seed, seed, seed
	return c
}

// WithCompute says what everything that is trained computes its products in.
func (c Config) WithCompute(compute trainer.Compute) Config {
	c.SFT.Optimizer.Compute, c.RL.Config = compute, c.RL.Config.In(compute)
	return c
}

// Bounds of a Config.
const (
	maxWorkers  = 1024
	maxSelfEval = 64
)

// Validate says what is wrong with a Config, or nil.
func (c Config) Validate() error {
	e, p := c.Eval, c.Prose
	switch {
	case c.PromptTokens < 1 || c.StepTokens < 1 || c.AnswerTokens < c.StepTokens || c.ContextTokens < 0:
		return fmt.Errorf("prompts of %d tokens, steps of %d, answers of %d: want at least 1, and answers as long as a step", c.PromptTokens, c.StepTokens, c.AnswerTokens)
	case c.Slots < 1 || c.SearchBlock < 1 || c.BatchExamples < 1 || c.BatchTokens < 1:
		return errors.New("slots, blocks of trees, examples and tokens of a batch must be at least 1")
	case !(c.HeldOut >= 0 && c.Validation > 0 && c.HeldOut+c.Validation < 1):
		return fmt.Errorf("%g of the problems held out and %g to validate: want shares that leave some to learn from", c.HeldOut, c.Validation)
	case !(c.Temperature > 0 && c.Temperature <= 2) || !(p.Temperature >= 0 && p.Temperature <= 2):
		return fmt.Errorf("temperatures of %g and %g: want above 0 to 2, and 0 to 2", c.Temperature, p.Temperature)
	case e.Samples < 1 || e.Samples > grpo.MaxGroup || e.CurveSamples < 1 || e.CurveSamples > grpo.MaxGroup || e.CurveProblems < 1:
		return fmt.Errorf("%d and %d samples of a problem: want 1 to %d", e.Samples, e.CurveSamples, grpo.MaxGroup)
	case e.Vote < 1 || e.Graphs < 0 || e.Resamples < eval.MinResamples || e.Resamples > eval.MaxResamples:
		return fmt.Errorf("a vote of %d, %d graphs, %d resamples: want at least 1, 0 and %d", e.Vote, e.Graphs, e.Resamples, eval.MinResamples)
	}
	return errors.Join(p.validate(), c.Search.Validate(), c.Traces.Validate(), c.SFT.Validate(), c.RL.Validate())
}

func (p Prose) validate() error {
	switch {
	case p.Writer != OwnModel && p.Writer != Server && p.Writer != Template:
		return fmt.Errorf("prose by %q: want %s or %s, or a server's address", p.Writer, OwnModel, Template)
	case p.Writer == Server && (p.URL == "" || p.Model == ""):
		return errors.New("prose by a server: want its address and the name of its model")
	case p.Workers < 1 || p.Workers > maxWorkers || p.SelfEval < 0 || p.SelfEval > maxSelfEval:
		return fmt.Errorf("%d workers and %d self-evaluations: want 1 to %d and 0 to %d", p.Workers, p.SelfEval, maxWorkers, maxSelfEval)
	}
	return nil
}

// fit shortens what does not fit into the model's context, with the longest prompt that there is.
func (c Config) fit(m model.Config, longestPrompt int) (Config, error) {
	if c.ContextTokens == 0 || c.ContextTokens > m.MaxPositions {
		c.ContextTokens = m.MaxPositions
	}
	room := c.ContextTokens - longestPrompt
	if room < 1 {
		return c, fmt.Errorf("a context of %d tokens has no room behind a prompt of %d: choose a longer context or a smaller bound for prompts", c.ContextTokens, longestPrompt)
	}
	c.AnswerTokens, c.RL.MaxTokens = min(c.AnswerTokens, room), min(c.RL.MaxTokens, room)
	c.StepTokens = min(c.StepTokens, c.AnswerTokens)
	c.Traces.MaxTokens = min(c.Traces.MaxTokens, c.ContextTokens)
	return c, nil
}
