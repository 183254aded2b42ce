package mathrecipe

import (
	"context"
	"fmt"
	"io"

	"astro/engine"
	"astro/model"
	"astro/training/grpo"
	"astro/training/linearize"
	"astro/training/linearize/reasoning"
	"astro/training/recipe/learning"
	"astro/training/recipe/report"
	"astro/training/recipe/stages"
	"astro/training/reward"
	"astro/training/search"
)

// ask asks a model, whose weights it owns, in lock step. tell, which may be nil, hears how many problems are done.
func (r *run) ask(ctx context.Context, w *model.Weights, problems []search.Problem, samples int, texts bool, tell func(done int)) ([]report.Answered, error) {
	q := learning.Quiz{Samples: samples, MaxTokens: r.config.RL.MaxTokens, Slots: r.config.Slots, Seed: r.config.Seed}
	for _, p := range problems {
		q.Prompts = append(q.Prompts, p.Domain.Prompt())
	}
	var all []report.Answered
	err := q.Ask(ctx, r.Device, w, func(i int, drawn []grpo.Sample) error {
		a, err := grade(problems[i], drawn, texts)
		if err != nil {
			return err
		}
		if all = append(all, a); tell != nil {
			tell(len(all))
		}
		return nil
	})
	return all, err
}

// grade judges the samples of one problem. Wrong answers that are equal are given one notation, so that they vote together.
func grade(p search.Problem, samples []grpo.Sample, texts bool) (report.Answered, error) {
	a := report.Answered{Problem: p.Text, Set: p.ID}
	var wrong []string
	for _, s := range samples {
		v, err := p.Domain.Grade(s.Tokens)
		if err != nil {
			return a, fmt.Errorf("grade an answer to %s: %w", p.ID, err)
		}
		text := p.Domain.Text(s.Tokens)
		x := report.Answer{Correct: v.Correct, Reason: v.Reason, Stated: v.Answer, Cut: s.Finish == engine.FinishLength, Tokens: len(s.Tokens),
			Returns: linearize.CountReturns(text).Total()}
		if !x.Correct && x.Stated != "" {
			x.Stated, wrong = known(wrong, x.Stated)
		}
		if texts {
			x.Text = text
		}
		a.Answers = append(a.Answers, x)
	}
	return a, nil
}

// known is the first of the answers that this one equals, or itself, which is then kept.
func known(answers []string, answer string) (string, []string) {
	for _, other := range answers {
		if other == answer || reward.Equal(other, answer, reward.Options{}).Equal {
			return other, answers
		}
	}
	return answer, append(answers, answer)
}

// evaluate judges all models on the test problems. A model that was judged before a stop is not judged again.
func (r *run) evaluate(ctx context.Context, part string) (func(string) error, any, error) {
	var learned learning.Figures
	if err := r.figures(AstroRL, &learned); err != nil {
		return nil, nil, err
	}
	answers := map[stages.Name][]report.Answered{}
	var names []string
	for i, arm := range Models {
		all, err := r.judge(ctx, part, arm, i)
		if err != nil {
			return nil, nil, err
		}
		answers[arm], names = all, append(names, report.FileName(arm))
	}
	graphs, err := report.Graphs(part, answers[AstroRL], r.config.Eval.Graphs, graph)
	if err != nil {
		return nil, nil, err
	}
	return func(dir string) error { return stages.CopyFiles(dir, part, append(names, graphs...)...) }, compare(&r.config, answers, learned.Curve), nil
}

// judge asks one model the test problems.
func (r *run) judge(ctx context.Context, part string, arm stages.Name, index int) ([]report.Answered, error) {
	return report.Kept(part, arm, func() ([]report.Answered, error) {
		w, err := r.load(arm)
		if err != nil {
			return nil, err
		}
		n := len(r.test)
		return r.ask(ctx, w, r.test, r.config.Eval.Samples, true, func(done int) {
			r.tell(Evaluate, index*n+done, len(Models)*n, string(arm))
		})
	})
}

// graph draws an answer.
func graph(a report.Answered, x report.Answer) (func(io.Writer) error, error) {
	return reasoning.Text(a.Problem, x.Text).WriteSVG, nil
}
