package recipe

import (
	"context"
	"fmt"

	"astro/training/countdown"
	"astro/training/grpo"
	"astro/training/reward"
)

// RewardProblems are problems that rollouts can be graded on, as grpo takes them: +1 for a right answer, -1 for any other; a grader
// that gives a score in between gets a reward in between.
type RewardProblems struct {
	Problems []grpo.Problem
	Skipped  []error // why lines were left out
	grade    map[string]func(rollout []int32) (reward.Grade, error)
}

// Grade is the Grader of these problems.
func (r *RewardProblems) Grade(_ context.Context, p grpo.Problem, rollout []int32) (grpo.Grade, error) {
	grade := r.grade[p.ID]
	if grade == nil {
		return grpo.Grade{}, fmt.Errorf("no problem %q is known", p.ID)
	}
	g, err := grade(rollout)
	if err != nil {
		return grpo.Grade{}, err
	}
	return grpo.Grade{Reward: 2*g.Score - 1, Correct: g.Score == 1, Reason: string(g.Reason)}, nil
}

// verdict is the grade of a yes or no.
func verdict(correct bool, reason reward.Reason) reward.Grade {
	g := reward.Grade{Reason: reason}
	if correct {
		g.Score = 1
	}
	return g
}

// add takes a problem, or says why it is left out.
func (r *RewardProblems) add(l ProblemLine, prompt []int32, grade func([]int32) (reward.Grade, error)) error {
	if r.grade[l.ID] != nil {
		return fmt.Errorf("an earlier problem has the id %q too", l.ID)
	}
	if r.grade == nil {
		r.grade = map[string]func([]int32) (reward.Grade, error){}
	}
	r.grade[l.ID] = grade
	r.Problems = append(r.Problems, grpo.Problem{ID: l.ID, Prompt: prompt})
	return nil
}

// CountdownRewards grades whole derivations of the numbers game by the verifier, which follows returns and looks at the live path.
func CountdownRewards(d countdown.Domain, lines []ProblemLine) *RewardProblems {
	r := &RewardProblems{}
	for _, l := range lines {
		if err := r.addCountdown(d, l); err != nil {
			r.Skipped = append(r.Skipped, fmt.Errorf("line %d: %w", l.Line, err))
		}
	}
	return r
}

func (r *RewardProblems) addCountdown(d countdown.Domain, l ProblemLine) error {
	if _, err := NewCountdownSearch(d, l.ID, l.Problem); err != nil { // it knows what the model knows
		return err
	}
	p, err := reward.ParseCountdown(l.Problem)
	if err != nil {
		return err
	}
	return r.add(l, countdown.Prompt(p), func(rollout []int32) (reward.Grade, error) {
		v := d.Verify(p, rollout)
		return verdict(v.Correct, v.Reason), nil
	})
}

// TextRewards grades texts with an answer in \boxed{} by reward.Verify, or by another grader if one is given.
func TextRewards(s SearchText, lines []ProblemLine, grader reward.Grader) *RewardProblems {
	r := &RewardProblems{}
	for _, l := range lines {
		p, err := s.Problem(l.ID, l.Problem, l.Answer)
		if err == nil {
			err = r.add(l, p.Domain.Prompt(), func(rollout []int32) (reward.Grade, error) {
				if grader != nil {
					return grader.Grade(reward.Item{Problem: l.Problem, Gold: l.Answer, Response: p.Domain.Text(rollout)})
				}
				v, err := p.Domain.Grade(rollout)
				return verdict(v.Correct, reward.Reason(v.Reason)), err
			})
		}
		if err != nil {
			r.Skipped = append(r.Skipped, fmt.Errorf("line %d: %w", l.Line, err))
		}
	}
	return r
}
