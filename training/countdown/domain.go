// Package countdown is the numbers game as a domain to learn: its rules, every game that can be played, problems split by
// multiset, the documents that a base model is trained on, and the tokenizer whose tokens read as ASTRO's sentences.
//
// Everything here is decided by seeds and is the same on every machine. The verifier is not here: reward.Countdown shares no
// code with this package, and the tests let each check the other.
package countdown

import (
	"fmt"

	"astro/training/reward"
)

// Problem asks to reach Target from Numbers; its String is what a user writes.
type Problem = reward.CountdownProblem

// Domain is a family of problems: Numbers integers from Low to High, steps that stay within MaxValue, and a target between
// TargetLow and TargetHigh.
type Domain struct {
	Numbers    int // how many, 2 to 4
	Low, High  int // of the given numbers, inclusive
	MaxValue   int // largest value that a step may reach
	TargetLow  int // inclusive
	TargetHigh int // inclusive
}

// CD4 is the domain of the demo model: four numbers from 1 to 9, values up to 50, targets 10 to 50 (toy-recipe.md 4).
var CD4 = Domain{Numbers: 4, Low: 1, High: 9, MaxValue: 50, TargetLow: 10, TargetHigh: 50}

// Validate says what is wrong with a Domain, or nil.
func (d Domain) Validate() error {
	switch {
	case d.Numbers < 2 || d.Numbers > maxNumbers:
		return fmt.Errorf("a Countdown domain needs 2 to %d numbers, not %d", maxNumbers, d.Numbers)
	case d.Low < 1 || d.High < d.Low || d.MaxValue < d.High:
		return fmt.Errorf("numbers must satisfy 1 <= low %d <= high %d <= largest value %d", d.Low, d.High, d.MaxValue)
	case d.MaxValue > maxValue:
		return fmt.Errorf("the largest value may be at most %d, not %d", maxValue, d.MaxValue)
	case d.TargetLow < 1 || d.TargetHigh < d.TargetLow || d.TargetHigh > d.MaxValue:
		return fmt.Errorf("targets must satisfy 1 <= low %d <= high %d <= largest value %d", d.TargetLow, d.TargetHigh, d.MaxValue)
	}
	return nil
}

const (
	maxNumbers = len(reward.WordsGoBack) + 2 // a return goes back to at most this many numbers less two steps
	maxValue   = 999                         // what the verifier reads
)

// Rules is the verifier of this domain.
func (d Domain) Rules() reward.Countdown { return reward.Countdown{MaxValue: d.MaxValue} }

// inTarget says whether v is a target of the domain.
func (d Domain) inTarget(v int) bool { return d.TargetLow <= v && v <= d.TargetHigh }
