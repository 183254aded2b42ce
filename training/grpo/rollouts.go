package grpo

import (
	"context"
	"errors"
	"fmt"

	"astro/engine"
	"astro/sampler"
)

// Rollout is a graded answer.
type Rollout struct {
	Sample
	Prompt    []int32 // that it continues; nil = its group's problem's
	Grade     Grade
	Advantage float64
	Source    int // the caller's, to know a rollout again
}

// Group is rollouts that are compared with each other, usually all of one problem; those that failed are left out.
type Group struct {
	Problem  int // its index; not used where each Rollout has its Prompt
	Rollouts []Rollout
}

// rewards of the group's rollouts.
func (g *Group) rewards() []float64 {
	var all []float64
	for _, r := range g.Rollouts {
		all = append(all, r.Grade.Reward)
	}
	return all
}

// Mixed says whether the group's rewards differ.
func (g *Group) Mixed() bool { return Mixed(g.rewards()) }

// Tally counts what gathering saw.
type Tally struct {
	Rounds    int
	Groups    int // sampled, with at least two rollouts that count
	Mixed     int // of them, with contrast
	Rollouts  int // that count: drawn, graded, not masked
	Correct   int
	Truncated int // cut at MaxTokens
	Shaped    int // of Rollouts, with a reward that OverlongShape lowered
	Failed    int // the engine failed them
	Errors    int // the Grader failed on them
	Hung      int // the Grader did not answer in time
	Stale     int // drawn by another Policy than the one that learns
	Tokens    int // drawn, by all
	Reward    float64
	Reasons   map[string]int // of the Grader
	LastError error          // of Failed and Errors
}

// gather samples groups until enough have contrast, or rounds are used up, and gives those with contrast. Prompts are taken from p.
func (l *Learner) gather(ctx context.Context, p *prompts) ([]Group, Tally, error) {
	var mixed []Group
	t := Tally{Reasons: map[string]int{}}
	for t.Rounds < l.config.MaxRounds && len(mixed) < l.config.Prompts {
		groups, err := l.round(ctx, p, l.config.Prompts-len(mixed), &t)
		if err != nil {
			return nil, t, err
		}
		mixed = append(mixed, groups...)
		t.Rounds++
	}
	return mixed, t, nil
}

// round samples and grades n groups and gives those with contrast.
func (l *Learner) round(ctx context.Context, p *prompts, n int, t *Tally) ([]Group, error) {
	groups, requests := make([]Group, n), make([]engine.Request, n)
	for i := range n {
		problem, seed := p.next()
		groups[i].Problem = problem
		requests[i] = l.request(problem, seed)
	}
	samples, err := l.sampler.Sample(ctx, requests)
	if err != nil {
		return nil, fmt.Errorf("gather rollouts: %w", err)
	}
	for i := range groups {
		for _, s := range samples[i] {
			if l.keep(&s, requests[i].Version, t) {
				groups[i].Rollouts = append(groups[i].Rollouts, Rollout{Sample: s})
			}
		}
	}
	if err := l.judge(ctx, groups, t); err != nil {
		return nil, err
	}
	return l.contrast(groups, p, t), nil
}

// request asks for a group at temperature 1 and without truncation of any kind: a token's raw log-probability is then that of the
// distribution it was drawn from.
func (l *Learner) request(problem int, seed uint64) engine.Request {
	params := sampler.Default()
	params.Seed = seed
	return engine.Request{Prompt: l.problems[problem].Prompt, N: l.config.Group, Params: params, Seeded: true, MaxTokens: l.config.MaxTokens,
		Class: engine.Batch, Version: l.sampler.Version()}
}

// keep says whether a sample is a rollout, and counts what it is otherwise.
func (l *Learner) keep(s *Sample, version int64, t *Tally) bool {
	t.Tokens += len(s.Tokens)
	switch {
	case s.Finish == engine.FinishError:
		t.Failed++
		t.LastError = s.Err
		return false
	case s.Version != version:
		t.Stale++
		return false
	case len(s.Tokens) == 0:
		t.Failed++
		t.LastError = fmt.Errorf("a sample ended with %q and no token", s.Finish)
		return false
	case s.Finish == engine.FinishLength:
		t.Truncated++
		return l.config.Overlong.counts(s.Finish)
	}
	return true
}

// judge grades every rollout and leaves those out that could not be graded.
func (l *Learner) judge(ctx context.Context, groups []Group, t *Tally) error {
	var problems []Problem
	var rollouts [][]int32
	for _, g := range groups {
		for _, r := range g.Rollouts {
			if l.config.Overlong.judged(r.Finish) {
				problems, rollouts = append(problems, l.problems[g.Problem]), append(rollouts, r.Tokens)
			}
		}
	}
	answers := l.graders.all(ctx, problems, rollouts)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("grade rollouts: %w", err)
	}
	for i := range groups {
		kept := groups[i].Rollouts[:0]
		for _, r := range groups[i].Rollouts {
			a := graded{grade: Grade{Reward: FailReward, Reason: truncated}}
			if l.config.Overlong.judged(r.Finish) {
				a, answers = answers[0], answers[1:]
			}
			penalty := l.config.lengthPenalty(len(r.Tokens))
			a.grade.Reward -= penalty
			if t.count(a) {
				if penalty > 0 {
					t.Shaped++
				}
				r.Grade = a.grade
				kept = append(kept, r)
			}
		}
		groups[i].Rollouts = kept
	}
	return nil
}

// truncated is the reason of a rollout that no Grader was asked about.
const truncated = "truncated"

// Judged is how many of the Rollouts a Grader has judged.
func (t *Tally) Judged() int { return t.Rollouts - t.Reasons[truncated] }

// count adds an answer of the Grader and says whether it is one.
func (t *Tally) count(a graded) bool {
	switch {
	case errors.Is(a.err, errDeadline):
		t.Hung++
		return false
	case a.err != nil:
		t.Errors++
		t.LastError = a.err
		return false
	}
	t.Rollouts++
	t.Reward += a.grade.Reward
	t.Reasons[a.grade.Reason]++
	if a.grade.Correct {
		t.Correct++
	}
	return true
}

// contrast keeps the groups that teach, and what each says about its prompt.
func (l *Learner) contrast(groups []Group, p *prompts, t *Tally) []Group {
	var mixed []Group
	for _, g := range groups {
		if len(g.Rollouts) < 2 {
			continue
		}
		correct := 0.0
		for _, r := range g.Rollouts {
			if r.Grade.Correct {
				correct++
			}
		}
		p.saw(g.Problem, correct/float64(len(g.Rollouts)))
		t.Groups++
		if g.Mixed() {
			t.Mixed++
			mixed = append(mixed, g)
		}
	}
	return mixed
}

// setAdvantages computes the advantages of groups together.
func (l *Learner) setAdvantages(groups []Group) {
	var rewards [][]float64
	for i := range groups {
		rewards = append(rewards, groups[i].rewards())
	}
	for i, advantages := range l.config.Advantages.Of(rewards) {
		for j, a := range advantages {
			groups[i].Rollouts[j].Advantage = a
		}
	}
}
