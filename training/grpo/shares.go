package grpo

import (
	"cmp"
	"slices"

	"astro/training/trainer"
)

// share is what one update learns from.
type share struct {
	batches []*trainer.Batch
	norm    float64 // of their loss
	places  []place // of all its rollouts
}

// place is where a rollout lies in a share.
type place struct {
	rollout *Rollout
	batch   int // in batches
	at      int // element whose target is its first token
}

// contrasting are the groups that teach. Others are left out of everything, so that they add exactly nothing to a gradient: their
// advantages are 0, but not a KL part, and not their tokens in what the loss is divided by.
func contrasting(groups []Group) []Group {
	var kept []Group
	for _, g := range groups {
		if g.Mixed() {
			kept = append(kept, g)
		}
	}
	return kept
}

// shares cuts groups into one share for each update and completes their columns.
func (l *Learner) shares(groups []Group, r *Report) ([]share, error) {
	var all []share
	for i := range l.config.Mini {
		from, to := i*len(groups)/l.config.Mini, (i+1)*len(groups)/l.config.Mini
		if from == to {
			continue
		}
		s, err := l.pack(groups[from:to])
		if err == nil {
			err = l.refer(s.batches)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, l.anchor(all, r)
}

// pack packs the rollouts of groups, long ones first so that rows fill well, and says what their loss is normalised by.
func (l *Learner) pack(groups []Group) (share, error) {
	type item struct {
		prompt  []int32
		rollout *Rollout
		weight  float32
	}
	var items []item
	var lengths []int
	for gi := range groups {
		g := &groups[gi]
		for i := range g.Rollouts {
			items = append(items, item{prompt: l.prompt(g, &g.Rollouts[i]), rollout: &g.Rollouts[i]})
			lengths = append(lengths, len(g.Rollouts[i].Tokens))
		}
	}
	full := (l.config.Prompts*l.config.Group + l.config.Mini - 1) / l.config.Mini
	weights, norm := l.config.Norm.weigh(lengths, full, l.config.MaxTokens)
	for i := range items {
		items[i].weight = weights[i]
	}
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Compare(len(b.prompt)+len(b.rollout.Tokens), len(a.prompt)+len(a.rollout.Tokens))
	})
	packer, s := l.loss.NewPacker(l.config.Rows, l.config.RowTokens), share{norm: norm}
	for _, it := range items {
		full, err := packer.Add(l.example(it.prompt, it.rollout, it.weight))
		if err != nil {
			return share{}, err
		}
		if full != nil {
			s.batches = append(s.batches, full)
		}
		s.places = append(s.places, place{it.rollout, len(s.batches), packer.Place() + len(it.prompt) - 1})
	}
	s.batches = append(s.batches, packer.Flush())
	return s, nil
}

// example is a rollout as the trainer takes it.
func (l *Learner) example(prompt []int32, r *Rollout, weight float32) trainer.Example {
	n := len(prompt) + len(r.Tokens)
	e := trainer.Example{Tokens: append(append(make([]int32, 0, n), prompt...), r.Tokens...), Weights: make([]float32, n)}
	for range l.loss.Columns {
		e.Columns = append(e.Columns, make([]float32, n))
	}
	for i, lp := range r.Logprobs {
		at := len(prompt) + i
		e.Weights[at], e.Columns[behaviour][at], e.Columns[advantage][at] = weight, lp, float32(r.Advantage)
	}
	return e
}

// refer fills in the reference's log-probabilities.
func (l *Learner) refer(batches []*trainer.Batch) error {
	if l.config.Objective.KL == 0 {
		return nil
	}
	for _, b := range batches {
		logprobs, err := l.trainer.ScoreUnder(l.reference, b)
		if err != nil {
			return err
		}
		for i, w := range b.Weights {
			if w != 0 {
				b.Columns[reference][i] = logprobs[i]
			}
		}
	}
	return nil
}
