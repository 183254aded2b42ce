package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"astro/model"
	"astro/training/linearize/reasoning"
	"astro/training/random"
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
		answers[arm], names = all, append(names, answersName(arm))
	}
	graphs, err := p.graphs(part, answers[AstroRL])
	if err != nil {
		return nil, nil, err
	}
	return func(dir string) error { return stages.CopyFiles(dir, part, append(names, graphs...)...) }, compare(&p.Config, answers, learned.Curve), nil
}

func answersName(arm Stage) string { return string(arm) + ".json" }

// judge asks one model the test problems, and keeps its answers in part; answers that are there are not asked for again.
func (p *Pipeline) judge(ctx context.Context, part string, arm Stage, load func() (*model.Weights, error), tell func(done, problems int)) (all []Answered, err error) {
	path := filepath.Join(part, answersName(arm))
	if err := stages.ReadJSON(path, &all); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return all, err
	}
	w, err := load()
	if err != nil {
		return nil, err
	}
	d, e := p.Config.domain(), p.Config.Eval
	q := quiz{problems: d.Sample(d.Split().Test, e.Problems, random.New(0, streamTest)), samples: e.Samples, maxTokens: e.DirectTokens, seed: p.Config.Seed, texts: true}
	if arm == AstroSFT || arm == AstroRL || arm == SPOC {
		q.maxTokens = e.AstroTokens
	}
	all, err = p.ask(ctx, w, q, func(done int) { tell(done, len(q.problems)) })
	if err != nil {
		return nil, err
	}
	return all, stages.WriteJSON(path, all)
}

// graphs draws answers that went back and were right in the end, and gives the names of their files.
func (p *Pipeline) graphs(part string, all []Answered) (names []string, err error) {
	rules := reward.Countdown{MaxValue: p.Config.domain().MaxValue}
	for _, a := range all {
		for _, x := range a.Answers {
			if len(names) == p.Config.Eval.Graphs {
				return names, nil
			}
			if !x.Correct || x.Returns == 0 {
				continue
			}
			problem, err := reward.ParseCountdown(a.Problem)
			if err != nil {
				return nil, err
			}
			words, _ := reward.CountdownWords(x.Text)
			name := fmt.Sprintf("graph-%d.svg", len(names)+1)
			if err := writeFile(filepath.Join(part, name), reasoning.Countdown(rules, problem, words).WriteSVG); err != nil {
				return nil, err
			}
			names = append(names, name)
			break // one of each problem
		}
	}
	return names, nil
}

// writeFile writes a file through a function.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
