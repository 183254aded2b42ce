// Package search grows trees of reasoning steps by Monte Carlo tree search with a Policy: what to try next is chosen by PUCT, the
// worth of a step is the mean score of answers that the Policy goes on to from it (ASTRO, sections 2.1 and 2.2).
//
// A growth decides (no clock, goroutine or file): Next says what to draw, Apply takes it. Run drives many growths side by side so
// that an engine's slots stay full, Blocks drives them in lock step. What is drawn follows from the seed, the problem, the node and
// the sample alone, and is applied in the order of the tree, so that a tree does not depend on what is searched beside it or on what
// arrives first.
package search

import (
	"errors"
	"fmt"
	"math"
)

// Config says how a tree grows.
type Config struct {
	Children   int     // k: steps drawn from each expanded node; those that are the same become one child
	Rollouts   int     // M: answers drawn from each child that does not end one
	Iterations int     // expanded nodes
	MaxDepth   int     // steps from the root; a node there is not expanded
	CPUCT      float64 // weight of the prior in the choice

	Leaves        int // nodes of one tree that are expanded together, kept apart by virtual loss; 1 = one after the other
	BudgetTokens  int // no expansion begins once a tree has drawn as many; 0 = no bound but the others
	ContextTokens int // a path of as many tokens, the prompt included, ends without an answer; 0 = no bound
	Seed          uint64
}

// Paper is the article's setting; its exploration constant is not known, 1 is that of a reimplementation.
func Paper() Config {
	return Config{Children: 8, Rollouts: 16, Iterations: 32, MaxDepth: 50, CPUCT: 1, Leaves: 1, Seed: 1}
}

// Countdown is the setting that was measured on the numbers game (toy-recipe.md).
func Countdown() Config {
	return Config{Children: 6, Rollouts: 2, Iterations: 12, MaxDepth: 50, CPUCT: 1, Leaves: 1, Seed: 1}
}

// Limits of a Config.
const (
	MaxSamples    = 128 // Children and Rollouts
	MaxIterations = 4096
	MaxNodes      = 1 << 16 // a tree may come to have: Children * Iterations
	maxDepth      = 4096
)

// Validate says what is wrong with a Config, or nil.
func (c Config) Validate() error {
	switch {
	case c.Children < 1 || c.Children > MaxSamples || c.Rollouts < 1 || c.Rollouts > MaxSamples:
		return fmt.Errorf("search with %d children and %d rollouts: want 1 to %d of both", c.Children, c.Rollouts, MaxSamples)
	case c.Iterations < 1 || c.Iterations > MaxIterations || c.Children*c.Iterations >= MaxNodes:
		return fmt.Errorf("search with %d iterations of %d children: want 1 to %d, and fewer than %d nodes", c.Iterations, c.Children, MaxIterations, MaxNodes)
	case c.MaxDepth < 1 || c.MaxDepth > maxDepth:
		return fmt.Errorf("search to depth %d: want 1 to %d", c.MaxDepth, maxDepth)
	case c.Leaves < 1 || c.Leaves > c.Iterations:
		return fmt.Errorf("search with %d leaves at a time: want 1 to the number of iterations", c.Leaves)
	case c.BudgetTokens < 0 || c.ContextTokens < 0:
		return errors.New("search with a negative budget or context: want 0 for none")
	case !(c.CPUCT >= 0) || math.IsInf(c.CPUCT, 0):
		return fmt.Errorf("search with an exploration constant of %g: want 0 or more", c.CPUCT)
	}
	return nil
}

// String is everything that decides what a tree becomes, for tree.Tree.Settings.
func (c Config) String() string {
	return fmt.Sprintf("children %d, rollouts %d, iterations %d, depth %d, cpuct %g, leaves %d, budget %d, context %d",
		c.Children, c.Rollouts, c.Iterations, c.MaxDepth, c.CPUCT, c.Leaves, c.BudgetTokens, c.ContextTokens)
}

// Problem is what one tree is searched for.
type Problem struct {
	ID     string // unique among those of a search
	Text   string
	Gold   string // the right answer; "" where the text says what is right
	Domain Domain
}

// Domain is one problem in the language of its kind. Its methods are called from one goroutine at a time and give the same answer to
// the same arguments. Answers are the tokens after the prompt.
type Domain interface {
	// Prompt is what every path follows.
	Prompt() []int32
	// Step says how the step after these is drawn, Rollout how the rest of the answer is.
	Step(answer []int32) Limit
	Rollout(answer []int32) Limit
	// Judge looks at a step that was just drawn: answer[at:], which ended as end says.
	Judge(answer []int32, at int, end End) (Verdict, error)
	// Grade judges a whole answer, of a rollout or of a step that ended the sequence.
	Grade(answer []int32) (Verdict, error)
	// Text is tokens as text.
	Text(tokens []int32) string
}

// Verdict is what a Domain says about an answer so far. An error beside it says that the grader failed; it is never a score.
type Verdict struct {
	Terminal bool    // the answer is stated, or nothing can follow; Grade need not set it
	Correct  bool    // of a terminal
	Score    float64 // of a terminal, in [0, 1]
	Answer   string  // of a terminal: what is stated, in a canonical form; "" = nothing
	Reason   string  // of a terminal
}

// Failure says why one problem has no tree; the others go on. Reason is a stable word to count by.
type Failure struct {
	Reason string
	Err    error
}

// Reasons of a Failure.
const (
	FailedPolicy = "policy_failed"   // the engine could not draw
	FailedPrompt = "prompt_too_long" // for the engine
	FailedGrader = "grader_failed"
	FailedTree   = "tree_refused" // it is not valid, or above a limit
)

// Error implements error.
func (f *Failure) Error() string { return f.Reason + ": " + f.Err.Error() }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }
