package mathrecipe

import (
	"context"
	"fmt"
	"path/filepath"

	"astro/model"
	"astro/training/recipe"
	"astro/training/recipe/learning"
	"astro/training/recipe/report"
	"astro/training/recipe/stages"
	"astro/training/sft"
)

// imitate teaches the model the traces of an arm, all tokens in the loss that the traces say.
func (r *run) imitate(arm stages.Name) stages.Work {
	return func(ctx context.Context, part string) (func(string) error, any, error) {
		name := map[stages.Name]string{DirectSFT: recipe.DirectTraces, AstroSFT: recipe.SearchTraces}[arm]
		examples, err := sft.ReadFile(filepath.Join(r.stages().Path(Linearize), name), sft.Weights, r.base.Vocab)
		if err != nil {
			return nil, nil, err
		}
		w, err := r.load(Base)
		if err != nil {
			return nil, nil, err
		}
		w, figures, err := learning.Imitate(ctx, r.Device, w, examples, r.config.packed(examples), filepath.Join(part, "checkpoints"),
			func(done, total int, note string) { r.tell(arm, done, total, note) })
		if err != nil {
			return nil, nil, err
		}
		return r.writer(w), figures, nil
	}
}

// packed chooses rows that the longest example fits in, as many of them as a micro-batch holds, and as many micro-batches as have the wanted
// number of examples.
func (c Config) packed(examples []sft.Example) sft.Config {
	s := c.SFT
	rowTokens, wanted := learning.Room(examples, c.BatchExamples)
	s.RowTokens, s.Rows = rowTokens, rowsOf(c.BatchTokens, rowTokens)
	s.Batches = max(1, int(wanted/float64(s.Rows*s.RowTokens)+.5))
	return s
}

// learn teaches an arm by rewards. The direct arm draws as many tokens as the other did.
func (r *run) learn(arm stages.Name) stages.Work {
	return func(ctx context.Context, part string) (func(string) error, any, error) {
		from, config, budget := AstroSFT, r.config.RL, 0
		if arm == DirectRL {
			var astro learning.Figures
			if err := r.figures(AstroRL, &astro); err != nil {
				return nil, nil, err
			}
			from, budget = DirectSFT, astro.Tokens
			config.Steps *= directSteps
		}
		rewards := recipe.TextRewards(r.text, lines(r.train), nil)
		if len(rewards.Skipped) > 0 {
			return nil, nil, fmt.Errorf("a problem that was searched cannot be asked: %w", rewards.Skipped[0])
		}
		l := learning.Learning{Config: config, Dir: part, Device: r.Device, Slots: r.config.Slots, Rewards: rewards, Budget: budget,
			Load:    func() (*model.Weights, error) { return r.load(from) },
			Measure: func(ctx context.Context, w *model.Weights) (learning.Point, error) { return r.point(ctx, w, arm) },
			Tell:    func(done, total int, note string) { r.tell(arm, done, total, note) }}
		w, figures, err := l.Run(ctx)
		if err != nil {
			return nil, nil, err
		}
		return r.writer(w), figures, nil
	}
}

// directSteps bounds the steps of the direct arm, in those of the astro arm: its answers are shorter, so that as many tokens are more steps.
const directSteps = 20

// point measures a model, whose weights it frees, for a learning curve.
func (r *run) point(ctx context.Context, w *model.Weights, arm stages.Name) (learning.Point, error) {
	e := r.config.Eval
	problems := r.validation[:min(len(r.validation), e.CurveProblems)]
	answered, err := r.ask(ctx, w, problems, e.CurveSamples, false, nil)
	if err != nil {
		return learning.Point{}, err
	}
	m := report.Measure(arm, answered)
	return learning.Point{Pass1: m.Pass1.Mean, SE: m.Pass1.SE, Returns: m.Returns, Length: m.Tokens}, nil
}
