package grpo

import (
	"context"
	"fmt"

	"astro/training/trainer"
)

// NewLiveLearner makes a Learner for somebody who drives its phases: Gather, then Learn, then whatever makes the weights public. Unlike
// NewLearner it needs no problems, for groups may come from elsewhere. With a KL part the reference is what the trainer holds now.
func NewLiveLearner(c Config, t *trainer.Trainer, s Sampler, problems []Problem, grade Grader) (*Learner, error) {
	if len(problems) > 0 {
		if err := c.checkProblems(problems, t.Model().Vocab, t.Model().MaxPositions); err != nil {
			return nil, fmt.Errorf("cannot learn: %w", err)
		}
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("cannot learn: %w", err)
	}
	l := &Learner{config: c, trainer: t, loss: c.Objective.Loss(), sampler: s, graders: graders{grade: grade, timeout: c.GradeTimeout},
		problems: problems, prompts: newPrompts(len(problems), c.Seed, c.Band)}
	if c.Objective.KL > 0 {
		reference, err := t.SnapshotAs(t.Compute().DType())
		if err != nil {
			return nil, fmt.Errorf("cannot learn: copy the reference: %w", err)
		}
		l.reference = reference
	}
	return l, nil
}

// Free frees what NewLiveLearner made.
func (l *Learner) Free() {
	if l.reference != nil {
		l.reference.Free()
		l.reference = nil
	}
}

// Gather samples and grades groups of the Learner's problems. After an error the prompts that it tried come again.
func (l *Learner) Gather(ctx context.Context) ([]Group, Tally, error) {
	p := l.prompts.copy()
	groups, tally, err := l.gather(ctx, p)
	if err == nil {
		l.prompts = p
	}
	return groups, tally, err
}

// Learn makes the updates of one step from groups, of Gather or of others, unless the numbers say that one should not be made
// (Report.Refused). Groups without contrast teach nothing. Each rollout's advantage is in it afterwards. An error leaves the trainer's
// weights between two policies.
func (l *Learner) Learn(groups []Group, r *Report) error {
	if err := l.learn(groups, r); err != nil {
		return err
	}
	l.steps++
	return nil
}

// Forward passes over the prompts of so many steps, as if each had gathered one round; with a Band of all prompts it is where a run
// that made those steps stands.
func (l *Learner) Forward(steps int) {
	if len(l.problems) == 0 {
		return
	}
	for range steps * l.config.Prompts {
		l.prompts.next()
	}
}

// Schedule is the optimizer's Config for all updates.
func (c Config) Schedule() trainer.Config { return c.schedule() }

// Fits says whether a rollout fits into a training row.
func (c Config) Fits(promptTokens, outputTokens int) bool {
	return promptTokens > 0 && outputTokens > 0 && promptTokens+outputTokens <= c.RowTokens+1
}

// prompt is what a rollout of a group continues.
func (l *Learner) prompt(g *Group, r *Rollout) []int32 {
	if r.Prompt != nil {
		return r.Prompt
	}
	return l.problems[g.Problem].Prompt
}
