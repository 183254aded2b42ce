// Package kto teaches a model by yes and no (KTO: Ethayarajh et al., arXiv 2402.01306), about whole answers and about their steps
// (Step-KTO: Lin et al., arXiv 2501.10799). Nothing is compared with anything else: an answer alone can teach.
//
// A run goes in rounds: answers are drawn with the current weights and labelled by the caller, then learnt from in some updates. What it
// needs to go on is in a checkpoint; on the Go backend a run that was stopped ends with the very weights of one that was not.
package kto

import (
	"errors"
	"fmt"

	"astro/training/trainer"
)

// Config says how to learn. Start from Default.
type Config struct {
	Rounds    int // of drawing and learning
	Passes    int // times that the answers of a round are learnt from, in a fresh order each
	Mini      int // updates of one pass, each from its share of the answers
	Objective Objective
	Optimizer trainer.Config // its Steps follow from those above
	Rows      int            // packed rows of a micro-batch: what memory must hold
	RowTokens int            // tokens of a row; an answer with its prompt may have one more
	Seed      uint64         // of the order of answers
}

// Default is what learns well for tiny models.
func Default() Config {
	o := trainer.Default(1)
	o.PeakLR, o.FinalLR, o.WeightDecay = 3e-4, 1, 0
	return Config{Rounds: 20, Passes: 1, Mini: 2, Objective: Objective{Beta: .1, Good: 1, Bad: 1, Balance: true}, Optimizer: o, Rows: 8, RowTokens: 512, Seed: 1}
}

// Bounds of a Config, and of what a round draws.
const (
	MaxRounds    = 1 << 20
	MaxUpdates   = 1000 // of a round
	MaxAnswers   = 1 << 20
	MaxRowTokens = 1 << 16
)

// Validate says what is wrong with a Config, or nil.
func (c Config) Validate() error {
	switch {
	case c.Rounds < 1 || c.Rounds > MaxRounds:
		return fmt.Errorf("%d rounds: want 1 to %d", c.Rounds, MaxRounds)
	case c.Passes < 1 || c.Mini < 1 || c.Passes > MaxUpdates || c.Mini > MaxUpdates || c.Passes*c.Mini > MaxUpdates:
		return fmt.Errorf("%d passes of %d updates in a round: want at least 1 of each, and at most %d updates", c.Passes, c.Mini, MaxUpdates)
	case c.Rows < 1 || c.RowTokens < 1 || c.RowTokens > MaxRowTokens:
		return fmt.Errorf("%d rows of %d tokens: want at least 1, and rows of at most %d", c.Rows, c.RowTokens, MaxRowTokens)
	}
	return errors.Join(c.Objective.Validate(), c.schedule().Validate())
}

// schedule is the optimizer's Config for all updates.
func (c Config) schedule() trainer.Config {
	o := c.Optimizer
	o.Steps = max(1, c.Rounds*c.Passes*c.Mini)
	o.WarmupSteps = min(o.WarmupSteps, o.Steps)
	return o
}

// Answer is a prompt with what was answered, and what is known of it.
type Answer struct {
	Tokens []int32 // prompt and answer
	Prompt int     // the first tokens, which are given; at least 1
	Labels []Label // none = there is nothing to learn from it
}

// Label is a judgement on the tokens [From, To) of an Answer, which lie behind its prompt.
type Label struct {
	From, To int
	Good     bool
	Outcome  bool // on the answer as a whole, not on one of its steps
}

// check says what makes an Answer unusable for a model of so many token ids and positions.
func (a *Answer) check(c Config, vocab, positions int) error {
	if n, limit := len(a.Tokens), min(c.RowTokens, positions)+1; a.Prompt < 1 || n <= a.Prompt || n > limit {
		return fmt.Errorf("it has %d tokens, %d of them given; want at least 1 given and 1 answered, and at most %d for the model's context and a training row", n, a.Prompt, limit)
	}
	for i, id := range a.Tokens {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("token %d is %d; the model's vocabulary has %d", i, id, vocab)
		}
	}
	for _, l := range a.Labels {
		if l.From < a.Prompt || l.To <= l.From || l.To > len(a.Tokens) {
			return fmt.Errorf("a label is on the tokens [%d, %d); the answer is [%d, %d)", l.From, l.To, a.Prompt, len(a.Tokens))
		}
	}
	return nil
}
