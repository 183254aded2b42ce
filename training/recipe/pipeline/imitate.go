package pipeline

import (
	"context"
	"fmt"
	"path/filepath"

	"astro/model"
	"astro/training/recipe"
	"astro/training/recipe/stages"
	"astro/training/sft"
)

// sftFigures are kept of supervised learning.
type sftFigures struct {
	Examples int     `json:"examples"`
	Steps    int     `json:"steps"`
	Tokens   int     `json:"tokens"`
	Loss     float64 `json:"loss"`
}

// String is the figures in words.
func (f sftFigures) String() string {
	return fmt.Sprintf("%d examples, %d updates, %.2fM tokens, last loss %.3f", f.Examples, f.Steps, float64(f.Tokens)/1e6, f.Loss)
}

// imitate teaches the base model the traces of an arm.
func (p *Pipeline) imitate(arm Stage) stages.Work {
	return func(ctx context.Context, part string) (func(string) error, any, error) {
		name := map[Stage]string{DirectSFT: recipe.DirectTraces, AstroSFT: recipe.SearchTraces}[arm]
		examples, err := sft.ReadFile(filepath.Join(p.folder(Linearize), name), sft.Weights, p.Config.Base.Model.Vocab)
		if err != nil {
			return nil, nil, err
		}
		w, figures, err := p.teach(ctx, arm, examples, filepath.Join(part, "checkpoints"))
		if err != nil {
			return nil, nil, err
		}
		return p.writer(w), figures, nil
	}
}

// teach teaches the base model examples, with checkpoints in dir. The weights are the caller's.
func (p *Pipeline) teach(ctx context.Context, arm Stage, examples []sft.Example, dir string) (*model.Weights, sftFigures, error) {
	w, err := p.load(Base)
	if err != nil {
		return nil, sftFigures{}, err
	}
	const everySteps = 50
	trained, err := sft.Train(ctx, p.Device, w, examples, p.Config.packed(examples), sft.Work{Dir: dir, EverySteps: everySteps}, func(s sft.Progress) {
		p.tell(Event{Stage: arm, Done: s.Step, Total: s.Steps, Note: fmt.Sprintf("loss %.4f  %.0f tok/s", s.Loss, s.PerSecond)})
	})
	last := trained.Last
	return trained.Weights, sftFigures{len(examples), last.Steps, last.Tokens, last.Loss}, err
}

// packed chooses rows that the longest example fits in, and as many of them as hold the wanted number of examples.
func (c Config) packed(examples []sft.Example) sft.Config {
	const shortestRowTokens = 128
	s := c.SFT
	s.RowTokens = shortestRowTokens
	total := 0
	for _, e := range examples {
		s.RowTokens = max(s.RowTokens, len(e.Tokens)-1)
		total += len(e.Tokens) - 1
	}
	wanted := float64(c.BatchExamples) * float64(total) / float64(max(1, len(examples)))
	s.Rows = max(1, int(wanted/float64(s.RowTokens)+.5))
	return s
}
