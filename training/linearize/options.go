// Package linearize turns search trees into texts to learn from (ASTRO's Algorithm 1): some failed branches and then a right one,
// walked through without visiting any step twice; where the walk leaves a branch the text reflects, finds itself wrong and goes back.
//
// Options choose the walks (Plan), a Writer says them in the language of a domain: Phrases in fixed tokens, Prose through a model.
// For each Tree there are two arms: Search traces, and as many Direct ones that go straight to the answer. The choice is pure: the
// same Tree, Options and epoch give the same Plans, whatever else is in a file.
package linearize

import (
	"fmt"
	"slices"
)

// Options say which traces a Tree becomes.
type Options struct {
	PerTree int   // search traces of each Tree
	K       []int // wrong terminals of each, in turn from a random one on; {0, 1, 1, 2} with PerTree 4 gives one direct trace and three others

	// Local is the wanted share of backtracks that go back to a step (GOBACK) and not to the beginning (RESTART); where a Tree
	// cannot give the wanted kind it gives the other. Negative: wrong terminals are drawn uniformly, as in the paper.
	Local float64

	// Restart walks every path from the beginning to its end: all returns are restarts, and steps that paths share come again. Otherwise
	// paths are merged and no step comes twice, as in the paper.
	Restart bool `json:",omitempty"`

	MaskFailed bool // steps that are abandoned later have no weight in the loss; what is said about them keeps it
	PromptLoss bool // the prompt is learnt too

	HighQ     float64 // a step towards the answer with at least this Q may be followed by a positive verdict; 0 = none is. Text domains only
	HighShare float64 // share of those steps that are

	Epochs    int    // how often each Tree is linearised afresh
	Seed      uint64 // of every choice
	MaxSteps  int    // a trace of more steps is dropped and counted
	MaxTokens int    // a trace of more tokens is dropped and counted
}

// Default is the paper's setting, all tokens in the loss but the prompt's, with the measured share of local returns.
func Default() Options {
	return Options{PerTree: 3, K: []int{1, 2}, Local: .25, Epochs: 1, MaxSteps: 256, MaxTokens: 8192}
}

// Limits of Options.
const (
	maxPerTree = 64
	maxK       = 16
	maxEpochs  = 100
)

// Validate says what is wrong with Options, or nil.
func (o Options) Validate() error {
	switch {
	case o.PerTree < 1 || o.PerTree > maxPerTree:
		return fmt.Errorf("traces per tree must be 1 to %d, not %d", maxPerTree, o.PerTree)
	case len(o.K) == 0 || len(o.K) > maxPerTree || slices.Min(o.K) < 0 || slices.Max(o.K) > maxK:
		return fmt.Errorf("numbers of wrong terminals %v: want 1 to %d numbers from 0 to %d", o.K, maxPerTree, maxK)
	case !(o.Local <= 1):
		return fmt.Errorf("the share of local returns is %g; want 0 to 1, or a negative number for a uniform draw", o.Local)
	case !(o.HighQ >= 0 && o.HighQ <= 1 && o.HighShare >= 0 && o.HighShare <= 1):
		return fmt.Errorf("the bar for positive verdicts %g and their share %g must be in [0, 1]", o.HighQ, o.HighShare)
	case o.Epochs < 1 || o.Epochs > maxEpochs:
		return fmt.Errorf("epochs must be 1 to %d, not %d", maxEpochs, o.Epochs)
	case o.MaxSteps < 1 || o.MaxTokens < 2:
		return fmt.Errorf("at most %d steps and %d tokens leave no trace: want at least 1 and 2", o.MaxSteps, o.MaxTokens)
	}
	return nil
}
