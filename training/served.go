package training

import (
	"context"
	"fmt"
	"time"

	"astro/engine"
	"astro/feedback"
	"astro/training/grpo"
)

// served is a rated completion that an update learns from.
type served struct {
	feedback.Used
	reward float64
}

// takeServed adds the rated completions that wait. Those of one prompt are a group; what has no group of contrast is compared with
// all others of its kind (REINFORCE with the mean reward as its baseline).
func (l *Loop) takeServed(ctx context.Context, u *update) error {
	rated, err := l.store.Waiting(ctx, lookAhead*l.config.Served.Completions, time.Now().Add(-l.config.Served.Delay))
	if err != nil {
		return err
	}
	if len(u.groups) == 0 && len(rated) < l.config.Served.AtLeast {
		return nil // they wait for more
	}
	u.addServed(l.limitKeys(rated), l.config)
	return nil
}

// lookAhead is how many times as many completions are looked at as are learned from: where more come than can be learned from, those that
// became too old are dropped and do not keep the place of fresh ones.
const lookAhead = 8

// limitKeys leaves out completions of keys that have rated more than their share; they wait for the next update.
func (l *Loop) limitKeys(rated []feedback.Rated) []feedback.Rated {
	if l.config.Served.MaxKeyShare == 0 {
		return rated
	}
	limit, count := max(1, int(l.config.Served.MaxKeyShare*float64(l.config.Served.Completions))), map[string]int{}
	var kept []feedback.Rated
	for _, r := range rated {
		if count[r.Key]++; count[r.Key] <= limit {
			kept = append(kept, r)
		}
	}
	return kept
}

// addServed makes groups of rated completions, and drops those that are too old or cannot be learned from.
func (u *update) addServed(rated []feedback.Rated, c LoopConfig) {
	byPrompt, order := map[string]*grpo.Group{}, []string{}
	for _, r := range rated {
		used := feedback.Used{Completion: r.ID, Choice: r.Choice}
		behind := u.version - newest(r.Spans)
		if len(r.Spans) == 0 || behind < 0 || u.version-r.Spans[0].Version > c.Served.MaxStaleness || !c.Learn.Fits(len(r.Prompt), len(r.Output)) {
			u.dropped = append(u.dropped, used)
			continue
		}
		if len(u.rated) == c.Served.Completions {
			continue // they wait for the next update
		}
		key := fmt.Sprint(r.Prompt)
		if byPrompt[key] == nil {
			byPrompt[key], order = &grpo.Group{Problem: -1}, append(order, key)
		}
		byPrompt[key].Rollouts = append(byPrompt[key].Rollouts, rolloutOf(r, len(u.rated)))
		u.rated = append(u.rated, served{used, r.Reward})
		u.stale += float64(behind)
	}
	alone := grpo.Group{Problem: -1}
	for _, key := range order {
		if g := byPrompt[key]; g.Mixed() {
			u.groups = append(u.groups, *g)
		} else {
			alone.Rollouts = append(alone.Rollouts, g.Rollouts...)
		}
	}
	if len(alone.Rollouts) > 0 {
		u.groups = append(u.groups, alone)
	}
}

// rolloutOf is a rated completion as the Learner takes it. Where it was drawn from another distribution than the raw one, that is the
// behaviour policy, and nothing is said about how exact engine and trainer agree.
func rolloutOf(r feedback.Rated, source int) grpo.Rollout {
	s := grpo.Sample{Tokens: r.Output, Logprobs: r.Logprobs, Version: r.Version(), Finish: engine.FinishReason(r.Finish)}
	if r.Sampled != nil {
		s.Logprobs, s.Version = r.Sampled, 0
	}
	return grpo.Rollout{Sample: s, Prompt: r.Prompt, Source: source, Grade: grpo.Grade{Reward: r.Reward, Correct: r.Reward > 0, Reason: "feedback"}}
}

// newest is the last version that drew a token; 0 = none.
func newest(spans []feedback.Span) int64 {
	if len(spans) == 0 {
		return 0
	}
	return spans[len(spans)-1].Version
}
