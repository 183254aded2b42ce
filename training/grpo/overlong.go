package grpo

import (
	"fmt"

	"astro/engine"
)

// Overlong says what becomes of a rollout that was cut at MaxTokens.
type Overlong string

// The ways.
const (
	OverlongFail Overlong = "fail" // its reward is FailReward, whatever it says
	OverlongMask Overlong = "mask" // it neither teaches nor counts in its group's mean
	// OverlongShape: it is judged by what it says, and every rollout's reward falls within the last OverlongBufferTokens before MaxTokens,
	// by 1 at its end (DAPO's soft overlong punishment, Yu et al., arXiv 2503.14476, eq. 13).
	OverlongShape Overlong = "shape"
)

// FailReward is what a rollout that was cut gets with OverlongFail.
const FailReward = -1

// checkOverlong says what is wrong with the settings of overlong rollouts, or nil.
func (c Config) checkOverlong() error {
	switch c.Overlong {
	case OverlongShape:
		if c.OverlongBufferTokens < 1 || c.OverlongBufferTokens > c.MaxTokens {
			return fmt.Errorf("rewards that fall within the last %d tokens of %d: want at least 1, and at most all", c.OverlongBufferTokens, c.MaxTokens)
		}
	case OverlongFail, OverlongMask:
		if c.OverlongBufferTokens != 0 {
			return fmt.Errorf("an overlong buffer of %d tokens with overlong rollouts %q: want 0, for it belongs to shape", c.OverlongBufferTokens, c.Overlong)
		}
	default:
		return fmt.Errorf("overlong rollouts %q: want fail, mask or shape", c.Overlong)
	}
	return nil
}

// counts says whether a rollout that ended so is one to learn from, judged whether the Grader is asked about it.
func (o Overlong) counts(end engine.FinishReason) bool {
	return end != engine.FinishLength || o != OverlongMask
}

func (o Overlong) judged(end engine.FinishReason) bool {
	return end != engine.FinishLength || o == OverlongShape
}

// lengthPenalty is what the reward of a rollout of so many tokens is lowered by, from 0 to 1:
//
//	0                                          up to MaxTokens - OverlongBufferTokens
//	(tokens - (MaxTokens - buffer)) / buffer   from there to MaxTokens
func (c Config) lengthPenalty(tokens int) float64 {
	if c.Overlong != OverlongShape {
		return 0
	}
	over := tokens - (c.MaxTokens - c.OverlongBufferTokens)
	return min(1, float64(max(0, over))/float64(c.OverlongBufferTokens))
}
