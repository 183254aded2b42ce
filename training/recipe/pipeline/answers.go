package pipeline

import (
	"context"

	"astro/engine"
	"astro/model"
	"astro/training/countdown"
	"astro/training/grpo"
	"astro/training/recipe"
	"astro/training/recipe/learning"
	"astro/training/recipe/report"
)

// Answer is one graded answer.
type Answer = report.Answer

// Answered is a problem with its answers.
type Answered = report.Answered

// quiz is what a model is asked.
type quiz struct {
	problems  []countdown.Problem
	samples   int
	maxTokens int
	seed      uint64
	texts     bool // keep what was answered
}

// promptTokens bounds a prompt.
const promptTokens = 16

// ask asks a model, whose weights it owns, in lock step. Tell, which may be nil, hears how many problems are done.
func (p *Pipeline) ask(ctx context.Context, w *model.Weights, q quiz, tell func(done int)) ([]Answered, error) {
	asked := learning.Quiz{Samples: q.samples, MaxTokens: q.maxTokens, Slots: p.Config.Slots, Seed: q.seed}
	for _, problem := range q.problems {
		asked.Prompts = append(asked.Prompts, countdown.Prompt(problem))
	}
	var all []Answered
	err := asked.Ask(ctx, p.Device, w, func(i int, samples []grpo.Sample) error {
		all = append(all, p.grade(q.problems[i], samples, q.texts))
		if tell != nil {
			tell(len(all))
		}
		return nil
	})
	return all, err
}

// grade judges the samples of one problem.
func (p *Pipeline) grade(problem countdown.Problem, samples []grpo.Sample, texts bool) Answered {
	d := p.Config.domain()
	a := Answered{Problem: problem.String(), Set: setOf(problem)}
	for _, s := range samples {
		v, effort := d.Verify(problem, s.Tokens), recipe.CountdownEffort(d, problem, s.Tokens)
		answer := Answer{Correct: v.Correct, Reason: string(v.Reason), Stated: v.Extracted, First: v.FirstCorrect, Cut: s.Finish == engine.FinishLength,
			Tokens: len(s.Tokens), Returns: effort.Returns.Total(), Copied: v.RightReturns, Distinct: effort.Distinct}
		if texts {
			answer.Text = textOf(s.Tokens)
		}
		a.Answers = append(a.Answers, answer)
	}
	return a
}
