// Package grpo teaches a model by verifiable rewards: groups of rollouts of one prompt, each judged, and the policy moved towards
// those that were better than their group (GRPO: Shao et al., arXiv 2402.03300).
//
// A Learner makes one step after the other: gather rollouts through the engine, score them, compute the gradient, check it, apply it,
// publish the new Policy. What it needs to go on is in a checkpoint; with LockStep rollouts and on the Go backend a run that was killed
// and started again ends with the very weights of one that was not.
package grpo

import (
	"errors"
	"fmt"
	"time"

	"astro/internal/device"
	"astro/model"
	"astro/training/trainer"
)

// Config says how to learn. Start from Default.
type Config struct {
	Steps     int // of gathering and learning
	Prompts   int // groups that a step learns from
	Group     int // rollouts of each
	MaxTokens int // of a rollout
	MaxRounds int // times that a step may draw prompts in place of those whose group has no contrast; 1 = they are not replaced
	Mini      int // updates of one step, each from its share of the groups

	Objective  Objective
	Advantages Advantages
	Norm       Norm
	Overlong   Overlong
	Band       Band

	OverlongBufferTokens int `json:",omitempty"` // of OverlongShape

	GradeTimeout time.Duration // of one call of the Grader
	Limits       Limits
	Optimizer    trainer.Config // its Steps follow from those above
	Rows         int            // packed rows of a micro-batch: what memory must hold
	RowTokens    int            // tokens of a row, at least a prompt and MaxTokens
	Seed         uint64         // of the order of prompts and of all draws
}

// Band keeps prompts whose share of correct rollouts lies within; what is always or never right teaches nothing. A prompt outside is
// passed over a few times, then tried again.
type Band struct{ Low, High float64 } // inclusive; 0 and 1 = all

// Limits are what an update must keep to. One that does not is refused: the weights stay, the Report says why.
type Limits struct {
	Ratio    float64 // largest probability ratio of a token to when it was drawn
	KL       float64 // mean estimate of KL(behaviour || now), in nats per token
	Gap      float64 // largest difference of a log-probability between engine and trainer, under the same weights; 0 = as it is, with the two below
	Refusals int     // steps in a row that may be refused; one more ends the run

	// Where engine or trainer rounds, single tokens are far apart, and importance weights stand for it; see Config.Rounded. Both need
	// Staleness; 0 = as they are.
	MeanGap float64 `json:",omitzero"` // mean of what Gap is the largest of
	GapKL   float64 `json:",omitzero"` // k3 estimate of KL(engine || trainer), in nats per token
}

// Limits of an engine or a trainer that rounds, and the largest importance weight there. Figures behind them: docs/decisions/0015.
const (
	roundedMeanGap = .01
	roundedGapKL   = .001
	roundedTIS     = 2
)

// Rounded is the Config for an engine or a trainer that computes in less than f32: tokens are weighed by how much likelier the trainer
// finds them than the engine did, up to 2 if nothing else is said, and an update is refused by what differs in the mean, not at the worst
// token.
func (c Config) Rounded() Config {
	c.Limits.Gap, c.Limits.MeanGap, c.Limits.GapKL = 0, roundedMeanGap, roundedGapKL
	if c.Objective.Staleness.TIS == 0 {
		c.Objective.Staleness.TIS = roundedTIS
	}
	return c
}

// In is the Config whose trainer computes so; see Rounded.
func (c Config) In(compute trainer.Compute) Config {
	if c.Optimizer.Compute = compute; compute != trainer.F32 {
		return c.Rounded()
	}
	return c
}

// Memory estimates what learning needs on a device of this kind, in bytes: that of the trainer, and with a KL part the reference.
func (c Config) Memory(kind device.Kind, m model.Config) int64 {
	return trainer.Memory(kind, m, c.Rows, c.RowTokens, c.Optimizer) + c.ReferenceBytes(m)
}

// ReferenceBytes is the memory of the weights that the KL part compares with; 0 without one.
func (c Config) ReferenceBytes(m model.Config) int64 {
	if c.Objective.KL == 0 {
		return 0
	}
	return m.WeightBytes(c.Optimizer.Compute.DType())
}

// Default is what learns well for tiny models; for a large one lower the learning rate to about 1e-6.
func Default() Config {
	o := trainer.Default(1)
	o.PeakLR, o.FinalLR, o.WeightDecay = 3e-4, 1, 0
	return Config{Steps: 100, Prompts: 32, Group: 8, MaxTokens: 256, MaxRounds: 3, Mini: 1,
		Objective: DefaultObjective(), Advantages: Advantages{Scale: ScaleNone}, Norm: NormTokens, Overlong: OverlongFail, Band: Band{0, 1},
		GradeTimeout: 10 * time.Second, Limits: Limits{Ratio: 100, KL: 1, Gap: .05, Refusals: 3}, Optimizer: o, Rows: 8, RowTokens: 512, Seed: 1}
}

// Bounds of a Config.
const (
	MaxGroup        = 128 // as the engine takes in one Request
	MaxPrompts      = 1 << 16
	MaxRowTokens    = 1 << 16
	maxRoundsBound  = 100
	maxGradeTimeout = time.Hour
)

// Validate says what is wrong with a Config, or nil.
func (c Config) Validate() error {
	switch {
	case c.Steps < 1 || c.Prompts < 1 || c.Prompts > MaxPrompts:
		return fmt.Errorf("%d steps of %d prompts: want at least 1, and at most %d prompts", c.Steps, c.Prompts, MaxPrompts)
	case c.Group < 2 || c.Group > MaxGroup:
		return fmt.Errorf("groups of %d: want 2 to %d, for a rollout is compared with others of its prompt", c.Group, MaxGroup)
	case c.MaxTokens < 1 || c.Rows < 1 || c.RowTokens < 1 || c.RowTokens > MaxRowTokens:
		return fmt.Errorf("%d tokens in %d rows of %d: want at least 1, and rows of at most %d", c.MaxTokens, c.Rows, c.RowTokens, MaxRowTokens)
	case c.MaxRounds < 1 || c.MaxRounds > maxRoundsBound:
		return fmt.Errorf("%d rounds of sampling: want 1 to %d", c.MaxRounds, maxRoundsBound)
	case c.Mini < 1 || c.Mini > c.Prompts:
		return fmt.Errorf("%d updates from %d groups: want 1 to as many as there are groups", c.Mini, c.Prompts)
	case c.GradeTimeout <= 0 || c.GradeTimeout > maxGradeTimeout:
		return fmt.Errorf("a grader's deadline of %v: want more than 0, at most %v", c.GradeTimeout, maxGradeTimeout)
	case !(c.Band.Low >= 0 && c.Band.Low < c.Band.High && c.Band.High <= 1):
		return fmt.Errorf("a difficulty band from %g to %g: want 0 <= low < high <= 1", c.Band.Low, c.Band.High)
	}
	if err := c.Limits.validate(c.Objective.Staleness); err != nil {
		return err
	}
	return errors.Join(c.checkOverlong(), c.Objective.Validate(), c.Advantages.Validate(), c.Norm.Validate(), c.schedule().Validate())
}

func (m Limits) validate(s Staleness) error {
	ofMeans := m.MeanGap > 0 && m.GapKL > 0
	switch {
	case !(m.Ratio > 1) || !(m.KL > 0) || !(m.Gap >= 0) || !(m.MeanGap >= 0) || !(m.GapKL >= 0) || m.Refusals < 0:
		return fmt.Errorf("limits %+v: want a ratio above 1, a KL above 0, and nothing below 0", m)
	case m.Gap == 0 && !ofMeans:
		return fmt.Errorf("limits %+v: want one of what engine and trainer differ by: Gap, or MeanGap and GapKL", m)
	case (m.MeanGap > 0 || m.GapKL > 0) && s.TIS == 0:
		return fmt.Errorf("limits %+v: those of means need importance weights, which are off: set Objective.Staleness.TIS, 2 for instance", m)
	}
	return nil
}

// schedule is the optimizer's Config for all updates.
func (c Config) schedule() trainer.Config {
	o := c.Optimizer
	o.Steps = max(1, c.Steps*c.Mini)
	o.WarmupSteps = min(o.WarmupSteps, o.Steps)
	return o
}

// Problem is a prompt to learn from.
type Problem struct {
	ID     string
	Prompt []int32 // token ids, at least one
}

// checkProblems says which problem a model of this size cannot be asked.
func (c Config) checkProblems(problems []Problem, vocab, positions int) error {
	if len(problems) == 0 {
		return errors.New("there are no problems")
	}
	for i, p := range problems {
		n := len(p.Prompt)
		if limit := min(positions, c.RowTokens+1); n < 1 || n+c.MaxTokens > limit {
			return fmt.Errorf("problem %d (%q): a prompt of %d tokens and %d to answer; together 2 to %d fit into the model's context and a training row", i+1, p.ID, n, c.MaxTokens, limit)
		}
		for _, id := range p.Prompt {
			if id < 0 || int(id) >= vocab {
				return fmt.Errorf("problem %d (%q): token id %d is outside the vocabulary of %d", i+1, p.ID, id, vocab)
			}
		}
	}
	return nil
}
