package learning

import (
	"context"
	"fmt"

	"astro/internal/device"
	"astro/model"
	"astro/training/sft"
)

// Imitated is kept of supervised learning.
type Imitated struct {
	Examples int     `json:"examples"`
	Steps    int     `json:"steps"`
	Tokens   int     `json:"tokens"`
	Loss     float64 `json:"loss"`
}

// String is the figures in words.
func (f Imitated) String() string {
	return fmt.Sprintf("%d examples, %d updates, %.2fM tokens, last loss %.3f", f.Examples, f.Steps, float64(f.Tokens)/1e6, f.Loss)
}

// Imitate teaches a model, whose weights it owns, examples, with checkpoints in dir. The weights that it gives are the caller's.
func Imitate(ctx context.Context, d *device.Device, w *model.Weights, examples []sft.Example, c sft.Config, dir string, tell func(done, total int, note string)) (*model.Weights, Imitated, error) {
	const everySteps = 50
	trained, err := sft.Train(ctx, d, w, examples, c, sft.Work{Dir: dir, EverySteps: everySteps}, func(s sft.Progress) {
		tell(s.Step, s.Steps, fmt.Sprintf("loss %.4f  %.0f tok/s", s.Loss, s.PerSecond))
	})
	last := trained.Last
	return trained.Weights, Imitated{len(examples), last.Steps, last.Tokens, last.Loss}, err
}

// Room is what an update on some examples needs: rows that the longest one fits in, and about as many tokens as batchExamples of them
// have.
func Room(examples []sft.Example, batchExamples int) (rowTokens int, batchTokens float64) {
	const shortestRowTokens = 128
	rowTokens = shortestRowTokens
	total := 0
	for _, e := range examples {
		rowTokens = max(rowTokens, len(e.Tokens)-1)
		total += len(e.Tokens) - 1
	}
	return rowTokens, float64(batchExamples) * float64(total) / float64(max(1, len(examples)))
}
