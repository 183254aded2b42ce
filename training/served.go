package training

import (
	"context"
	"fmt"
	"slices"
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
// all others of its kind (REINFORCE with the mean reward as its baseline). What is too old is dropped until fresh ones are found: where more
// is rated than can be learned from, it would keep their place for ever.
func (l *Loop) takeServed(ctx context.Context, u *update) error {
	page, before := lookAhead*l.config.Served.Completions, time.Now().Add(-l.config.Served.Delay)
	var fresh []feedback.Rated
	var dropped []feedback.Used
	for seq, looks := int64(0), 0; looks < maxLooks; looks++ {
		rated, err := l.store.WaitingAfter(ctx, seq, page, before)
		if err != nil {
			return err
		}
		for _, r := range rated {
			seq = r.Seq
			if u.tooOld(r, l.config) {
				dropped = append(dropped, feedback.Used{Completion: r.ID, Choice: r.Choice})
			} else {
				fresh = append(fresh, r)
			}
		}
		if len(rated) < page || len(fresh) >= page { // shares may leave out some
			break
		}
	}
	if len(u.groups) == 0 && len(fresh)+len(dropped) < l.config.Served.AtLeast {
		return nil // they wait for more
	}
	u.dropped = append(u.dropped, dropped...)
	u.addServed(fresh, l.config)
	return nil
}

// Rated completions are looked at in pages of lookAhead times as many as an update learns from, at most maxLooks of them.
const (
	lookAhead = 4
	maxLooks  = 64
)

// tooOld says that a completion cannot be learned from: too many versions behind, or longer than a row.
func (u *update) tooOld(r feedback.Rated, c LoopConfig) bool {
	return len(r.Spans) == 0 || u.version < newest(r.Spans) || u.version-r.Spans[0].Version > c.Served.MaxStaleness || !c.Learn.Fits(len(r.Prompt), len(r.Output))
}

// influence counts how many completions of an update each key and each rater has rated.
type influence struct {
	maxKey, maxRater int // completions; 0 = all
	keys             map[string]int
	raters           map[feedback.Rater]int
}

func newInfluence(c *Served) *influence {
	limit := func(share float64) int {
		if share == 0 {
			return 0
		}
		return max(1, int(share*float64(c.Completions)))
	}
	return &influence{limit(c.MaxKeyShare), limit(c.MaxRaterShare), map[string]int{}, map[feedback.Rater]int{}}
}

// take counts a completion for all who rated it, unless one of them has rated its share: then it says which kind of share that is.
func (n *influence) take(raters []feedback.Rater) (key, rater bool) {
	for _, r := range raters {
		key = key || n.maxKey > 0 && n.keys[r.Key] >= n.maxKey
		rater = rater || n.maxRater > 0 && n.raters[r] >= n.maxRater
	}
	if key || rater {
		return key, rater
	}
	for i, r := range raters {
		n.raters[r]++
		if !slices.ContainsFunc(raters[:i], func(before feedback.Rater) bool { return before.Key == r.Key }) {
			n.keys[r.Key]++
		}
	}
	return false, false
}

// addServed makes groups of rated completions that are fresh. What is beyond the share of a key or a rater waits for the next update.
func (u *update) addServed(rated []feedback.Rated, c LoopConfig) {
	shares := newInfluence(&c.Served)
	byPrompt, order := map[string]*grpo.Group{}, []string{}
	for _, r := range rated {
		used := feedback.Used{Completion: r.ID, Choice: r.Choice}
		if len(u.rated) == c.Served.Completions {
			continue // they wait for the next update
		}
		if key, rater := shares.take(r.Raters); key || rater {
			u.keyCapped, u.raterCapped = u.keyCapped+count(key), u.raterCapped+count(rater)
			continue
		}
		key := fmt.Sprint(r.Prompt)
		if byPrompt[key] == nil {
			byPrompt[key], order = &grpo.Group{Problem: -1}, append(order, key)
		}
		byPrompt[key].Rollouts = append(byPrompt[key].Rollouts, rolloutOf(r, len(u.rated)))
		u.rated = append(u.rated, served{used, r.Reward})
		u.stale += float64(u.version - newest(r.Spans))
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
