package engine

import (
	"fmt"

	"astro/internal/device"
	"astro/sampler"

	"github.com/gomlx/gomlx/core/tensors"
)

// draws turns the logits that a forward program left on the device into tokens and log-probabilities.
type draws struct{ sampler *sampler.Device }

func newDraws(d *device.Device, vocab int) *draws { return &draws{sampler.NewDevice(d, vocab)} }

// warm compiles the usual program for logits of n rows.
func (d *draws) warm(n int) error { return d.sampler.Warm(n) }

func (d *draws) close() { d.sampler.Close() }

// sample draws for the listed rows that ask for a token; line i of logits [seqs, vocab] belongs to list[i].
func (d *draws) sample(logits *tensors.Tensor, all []Row, list []int, out []RowResult) error {
	rows := make([]*sampler.Row, len(list))
	wanted := false
	for i, at := range list {
		rows[i] = all[at].Sample
		wanted = wanted || rows[i] != nil
	}
	if !wanted { // chunks of prompts that are not at their end
		return nil
	}
	choices, errs, err := d.sampler.Draw(logits, rows)
	if err != nil {
		return fmt.Errorf("draw %d tokens: %w", len(list), err)
	}
	for i, at := range list {
		if out[at].Err = errs[i]; errs[i] == nil && rows[i] != nil {
			out[at].Choices = choices[i : i+1 : i+1]
		}
	}
	return nil
}

// score fills in the log-probabilities of given tokens; logits [seqs*tokens, vocab] has a line for each token of a Bucket. A row
// with a line that is not finite has failed.
func (d *draws) score(logits *tensors.Tensor, b Bucket, all []Row, list []int, out []RowResult) error {
	targets, topN := make([]int32, b.Seqs*b.Tokens), 0
	for i := range targets {
		targets[i] = -1
	}
	for i, at := range list {
		if s := all[at].Score; s != nil {
			copy(targets[i*b.Tokens:], s.Targets)
			topN = max(topN, s.TopN)
		}
	}
	scored, tops, errs, err := d.sampler.Score(logits, targets, topN)
	if err != nil {
		return fmt.Errorf("score %d rows: %w", len(list), err)
	}
	for i, at := range list {
		if s := all[at].Score; s != nil {
			first := i * b.Tokens
			out[at].take(s, targets[first:], scored[first:], tops[first:], errs[first:])
		}
	}
	return nil
}

// take keeps the scores of one row.
func (r *RowResult) take(s *Score, targets []int32, scored []sampler.TokenLogprob, tops [][]sampler.TokenLogprob, errs []error) {
	r.Scores = make([]TokenScore, len(s.Targets))
	for i := range r.Scores {
		r.Scores[i].Token = -1
		if targets[i] < 0 {
			continue
		}
		if errs[i] != nil {
			r.Err = errs[i]
			continue
		}
		r.Scores[i] = TokenScore{TokenLogprob: scored[i], Top: tops[i][:min(s.TopN, len(tops[i]))]}
	}
}
