package pipeline

import (
	"context"
	"fmt"

	"astro/engine"
	"astro/model"
	"astro/sampler"
	"astro/training/countdown"
	"astro/training/grpo"
	"astro/training/random"
	"astro/training/recipe"
)

// Answer is one graded answer.
type Answer struct {
	Correct  bool   `json:"correct"`
	Reason   string `json:"reason"`
	Stated   string `json:"stated,omitempty"` // the answer that it states
	First    bool   `json:"first,omitempty"`  // its first finished attempt is right
	Cut      bool   `json:"cut,omitempty"`    // at the longest length
	Tokens   int    `json:"tokens"`
	Returns  int    `json:"returns"`
	Copied   int    `json:"copied"`   // returns that restate their problem exactly
	Distinct int    `json:"distinct"` // different finished legal attempts
	Text     string `json:"text,omitempty"`
}

// Answered is a problem with its answers.
type Answered struct {
	Problem string   `json:"problem"`
	Set     string   `json:"set"` // its numbers in order, by which answers are alike
	Answers []Answer `json:"answers"`
}

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
	policy := model.NewPolicy(1, w)
	defer policy.Release()
	steps, err := grpo.OpenLockStep(p.Device, policy, min(p.Config.Slots, len(q.problems)*q.samples), promptTokens+q.maxTokens)
	if err != nil {
		return nil, err
	}
	defer steps.Close()
	var all []Answered
	for len(all) < len(q.problems) {
		first := len(all)
		some := q.problems[first:min(first+p.Config.Slots, len(q.problems))]
		samples, err := steps.Sample(ctx, q.requests(some, first))
		if err != nil {
			return nil, fmt.Errorf("ask problems: %w", err)
		}
		for i, problem := range some {
			graded, err := p.grade(problem, samples[i], q.texts)
			if err != nil {
				return nil, err
			}
			all = append(all, graded)
		}
		if tell != nil {
			tell(len(all))
		}
	}
	return all, nil
}

func (q quiz) requests(problems []countdown.Problem, first int) []engine.Request {
	requests := make([]engine.Request, len(problems))
	for i, problem := range problems {
		params := sampler.Default()
		params.Seed = random.New(q.seed, uint64(first+i)).Uint64()
		requests[i] = engine.Request{Prompt: countdown.Prompt(problem), N: q.samples, Params: params, Seeded: true, MaxTokens: q.maxTokens, Class: engine.Batch, Version: 1}
	}
	return requests
}

// grade judges the samples of one problem.
func (p *Pipeline) grade(problem countdown.Problem, samples []grpo.Sample, texts bool) (Answered, error) {
	d := p.Config.domain()
	a := Answered{Problem: problem.String(), Set: setOf(problem)}
	for _, s := range samples {
		if s.Finish == engine.FinishError {
			return a, fmt.Errorf("answer %s: %w", problem, s.Err)
		}
		v, effort := d.Verify(problem, s.Tokens), recipe.CountdownEffort(d, problem, s.Tokens)
		answer := Answer{Correct: v.Correct, Reason: string(v.Reason), Stated: v.Extracted, First: v.FirstCorrect, Cut: s.Finish == engine.FinishLength,
			Tokens: len(s.Tokens), Returns: effort.Returns.Total(), Copied: v.RightReturns, Distinct: effort.Distinct}
		if texts {
			answer.Text = textOf(s.Tokens)
		}
		a.Answers = append(a.Answers, answer)
	}
	return a, nil
}
