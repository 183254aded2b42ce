package trainer

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"astro/internal/device"
)

// Speed is how fast a Trainer makes updates of one shape.
type Speed struct {
	Backend         string  `json:"backend"`
	Rows            int     `json:"rows"`
	RowTokens       int     `json:"row_tokens"`
	Steps           int     `json:"steps"`
	BestMillis      float64 `json:"best_ms"`
	MedianMillis    float64 `json:"median_ms"`
	TokensPerSecond float64 `json:"tokens_per_s"` // at the best time
	PeakBytes       int64   `json:"peak_bytes"`   // resident memory of this process at its highest, loading and compiling included
}

// Time makes one update that compiles and then so many timed ones, each of a full batch: every row one Example of RowTokens
// predictions, the tokens spread over the vocabulary. It changes the weights as any update does.
func (t *Trainer) Time(rows, rowTokens, steps int) (Speed, error) {
	s := Speed{Backend: string(t.device.Kind()), Rows: rows, RowTokens: rowTokens, Steps: steps}
	if rows < 1 || rowTokens < 1 || steps < 1 {
		return s, errors.New("rows, tokens of a row and steps must be at least 1")
	}
	if rowTokens > t.model.MaxPositions {
		return s, fmt.Errorf("rows of %d tokens are longer than the model's context of %d", rowTokens, t.model.MaxPositions)
	}
	b := t.fullBatch(rows, rowTokens)
	took := make([]float64, steps+1)
	for i := range took {
		start := time.Now()
		if _, err := t.Step(b); err != nil {
			return s, err
		}
		took[i] = time.Since(start).Seconds() * 1e3
	}
	timed := took[1:]
	slices.Sort(timed)
	s.BestMillis, s.MedianMillis = timed[0], timed[steps/2]
	s.TokensPerSecond = float64(rows*rowTokens) / s.BestMillis * 1e3
	s.PeakBytes = device.PeakMemoryBytes()
	return s, nil
}

// fullBatch has no padding.
func (t *Trainer) fullBatch(rows, rowTokens int) *Batch {
	b := t.loss.NewBatch(rows, rowTokens)
	for row := range rows {
		e := Example{Tokens: make([]int32, rowTokens+1), Weights: make([]float32, rowTokens+1)}
		for i := range e.Tokens {
			e.Tokens[i], e.Weights[i] = int32((row*rowTokens+i)*7919%t.model.Vocab), 1
		}
		for range t.loss.Columns {
			e.Columns = append(e.Columns, make([]float32, rowTokens+1))
		}
		b.put(e, row*rowTokens, 1)
	}
	return b
}
