package pipeline

import (
	"context"
	"path/filepath"

	"astro/model"
	"astro/training/recipe"
	"astro/training/recipe/learning"
	"astro/training/recipe/stages"
	"astro/training/sft"
)

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
func (p *Pipeline) teach(ctx context.Context, arm Stage, examples []sft.Example, dir string) (*model.Weights, learning.Imitated, error) {
	w, err := p.load(Base)
	if err != nil {
		return nil, learning.Imitated{}, err
	}
	return learning.Imitate(ctx, p.Device, w, examples, p.Config.packed(examples), dir, func(done, total int, note string) {
		p.tell(Event{Stage: arm, Done: done, Total: total, Note: note})
	})
}

// packed chooses rows that the longest example fits in, and as many of them as hold the wanted number of examples.
func (c Config) packed(examples []sft.Example) sft.Config {
	s := c.SFT
	rowTokens, wanted := learning.Room(examples, c.BatchExamples)
	s.RowTokens, s.Rows = rowTokens, max(1, int(wanted/float64(rowTokens)+.5))
	return s
}
