package pipeline

import (
	"context"
	"fmt"
	"io"
	"strings"

	"astro/model"
	"astro/training/linearize/reasoning"
	"astro/training/random"
	"astro/training/recipe/report"
	"astro/training/recipe/stages"
	"astro/training/reward"
)

// String is the headline of a table.
func (t SeedTable) String() string {
	var parts []string
	for _, r := range t.Rows {
		parts = append(parts, fmt.Sprintf("%s %.1f", r.Arm, 100*r.Pass1.Mean))
	}
	return "pass@1 in %: " + strings.Join(parts, ", ")
}

// evaluate judges all models on the same test problems. A model that was judged before a stop is not judged again.
func (p *Pipeline) evaluate(ctx context.Context, part string) (func(string) error, any, error) {
	var learned rlFigures
	if err := p.figures(AstroRL, &learned); err != nil {
		return nil, nil, err
	}
	answers := map[Stage][]Answered{}
	var names []string
	models := p.Config.models()
	for i, arm := range models {
		load := func() (*model.Weights, error) { return p.load(arm) }
		all, err := p.judge(ctx, part, arm, load, func(done, problems int) {
			p.tell(Event{Stage: Evaluate, Done: i*problems + done, Total: len(models) * problems, Note: string(arm)})
		})
		if err != nil {
			return nil, nil, err
		}
		answers[arm], names = all, append(names, report.FileName(arm))
	}
	graphs, err := report.Graphs(part, answers[AstroRL], p.Config.Eval.Graphs, p.graph)
	if err != nil {
		return nil, nil, err
	}
	return func(dir string) error { return stages.CopyFiles(dir, part, append(names, graphs...)...) }, compare(&p.Config, answers, learned.Curve), nil
}

// judge asks one model the test problems, and keeps its answers in part; answers that are there are not asked for again.
func (p *Pipeline) judge(ctx context.Context, part string, arm Stage, load func() (*model.Weights, error), tell func(done, problems int)) ([]Answered, error) {
	return report.Kept(part, arm, func() ([]Answered, error) {
		w, err := load()
		if err != nil {
			return nil, err
		}
		d, e := p.Config.domain(), p.Config.Eval
		q := quiz{problems: d.Sample(d.Split().Test, e.Problems, random.New(0, streamTest)), samples: e.Samples, maxTokens: e.DirectTokens, seed: p.Config.Seed, texts: true}
		if arm == AstroSFT || arm == AstroRL || arm == SPOC {
			q.maxTokens = e.AstroTokens
		}
		return p.ask(ctx, w, q, func(done int) { tell(done, len(q.problems)) })
	})
}

// graph draws an answer.
func (p *Pipeline) graph(a Answered, x Answer) (func(io.Writer) error, error) {
	problem, err := reward.ParseCountdown(a.Problem)
	if err != nil {
		return nil, err
	}
	words, _ := reward.CountdownWords(x.Text)
	return reasoning.Countdown(reward.Countdown{MaxValue: p.Config.domain().MaxValue}, problem, words).WriteSVG, nil
}
