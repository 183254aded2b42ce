package pipeline

import (
	"context"
	"fmt"

	"astro/model"
	"astro/training/random"
	"astro/training/recipe"
	"astro/training/recipe/learning"
	"astro/training/recipe/report"
	"astro/training/recipe/stages"
)

// RL is reward learning of one arm.
type RL = learning.Config

// Point is a point of a learning curve, on problems of validation multisets.
type Point = learning.Point

// rlFigures are kept of reward learning.
type rlFigures = learning.Figures

// learn teaches an arm by rewards. The direct arm draws as many tokens as the other did.
func (p *Pipeline) learn(arm Stage) stages.Work {
	return func(ctx context.Context, part string) (func(string) error, any, error) {
		from, config, budget := AstroSFT, p.Config.AstroRL, 0
		if arm == DirectRL {
			var astro rlFigures
			if err := p.figures(AstroRL, &astro); err != nil {
				return nil, nil, err
			}
			from, config, budget = DirectSFT, p.Config.DirectRL, astro.Tokens
		}
		l, err := p.learning(arm, config, part, func() (*model.Weights, error) { return p.load(from) })
		if err != nil {
			return nil, nil, err
		}
		l.Budget = budget
		w, figures, err := l.Run(ctx)
		if err != nil {
			return nil, nil, err
		}
		return p.writer(w), figures, nil
	}
}

// learning is the learning of an arm from the training problems.
func (p *Pipeline) learning(arm Stage, c RL, part string, load func() (*model.Weights, error)) (*learning.Learning, error) {
	rewards, err := p.rewards()
	if err != nil {
		return nil, err
	}
	return &learning.Learning{Config: c, Dir: part, Device: p.Device, Slots: p.Config.Slots, Rewards: rewards, Load: load,
		Measure: func(ctx context.Context, w *model.Weights) (Point, error) { return p.point(ctx, w, arm, c.MaxTokens) },
		Tell:    func(done, total int, note string) { p.tell(Event{Stage: arm, Done: done, Total: total, Note: note}) }}, nil
}

// rewards are the training problems that are learnt from.
func (p *Pipeline) rewards() (*recipe.RewardProblems, error) {
	d := p.Config.domain()
	var lines []recipe.ProblemLine
	for i, problem := range d.Sample(d.Split().Train, p.Config.RLProblems, random.New(p.Config.Seed, streamRL)) {
		lines = append(lines, recipe.ProblemLine{ID: problem.String(), Problem: problem.String(), Line: i + 1})
	}
	r := recipe.CountdownRewards(d, lines)
	if len(r.Skipped) > 0 {
		return nil, fmt.Errorf("a problem of the domain cannot be asked: %w", r.Skipped[0])
	}
	return r, nil
}

// point measures a model, whose weights it frees, for a learning curve.
func (p *Pipeline) point(ctx context.Context, w *model.Weights, arm Stage, maxTokens int) (Point, error) {
	d, e := p.Config.domain(), p.Config.Eval
	q := quiz{problems: d.Sample(d.Split().Val, e.CurveProblems, random.New(0, streamCurve)), samples: e.CurveSamples, maxTokens: maxTokens, seed: p.Config.Seed}
	answered, err := p.ask(ctx, w, q, nil)
	if err != nil {
		return Point{}, err
	}
	m := report.Measure(arm, answered)
	return Point{Pass1: m.Pass1.Mean, SE: m.Pass1.SE, Returns: m.Returns, Distinct: m.Distinct, Length: m.Tokens}, nil
}
