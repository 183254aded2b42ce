package kto

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"astro/model"
	"astro/training/trainer"
)

// learner makes the updates of a run.
type learner struct {
	config    Config
	trainer   *trainer.Trainer
	reference *model.Weights
}

// Report is what one round did.
type Report struct {
	Round                 int // the first is 1
	Answers               int
	Outcomes, GoodOutcome int // labels on whole answers
	Steps, GoodSteps      int // labels on steps

	Updates  int     // made
	Loss     float64 // mean over updates
	KL       float64 // estimate of KL(policy || reference), in nats per answer; of the last update, as are the rest
	StepKL   float64 // the same per labelled step
	GradNorm float64
	LR       float64
	Entropy  float64 // per labelled token

	Draw, Time time.Duration // for drawing, and for all
}

// learn makes the updates of a round from its answers.
func (l *learner) learn(answers []Answer, r *Report) error {
	answers = r.count(answers)
	for pass := range l.config.Passes {
		order := trainer.Order(l.config.Seed, uint64((r.Round-1)*l.config.Passes+pass), len(answers))
		for i := range l.config.Mini {
			var share []Answer
			for _, at := range order[i*len(order)/l.config.Mini : (i+1)*len(order)/l.config.Mini] {
				share = append(share, answers[at])
			}
			if len(share) == 0 {
				continue
			}
			if err := l.update(share, r); err != nil {
				return err
			}
		}
	}
	r.Loss /= float64(max(1, r.Updates))
	return nil
}

// count counts labels, and gives the answers that have some.
func (r *Report) count(answers []Answer) []Answer {
	r.Answers = len(answers)
	var labelled []Answer
	for _, a := range answers {
		for _, label := range a.Labels {
			all, good := &r.Steps, &r.GoodSteps
			if label.Outcome {
				all, good = &r.Outcomes, &r.GoodOutcome
			}
			*all++
			if label.Good {
				*good++
			}
		}
		if len(a.Labels) > 0 {
			labelled = append(labelled, a)
		}
	}
	return labelled
}

// update makes one update from answers that have labels. Numbers that are not finite are an error, and change nothing.
func (l *learner) update(answers []Answer, r *Report) error {
	batches, err := l.pack(answers)
	if err != nil {
		return err
	}
	w, err := l.weigh(answers, batches)
	if err != nil {
		return err
	}
	pending, err := l.trainer.Gradient(1, batches...)
	if err != nil {
		return err
	}
	defer pending.Free()
	s := pending.Stats
	if sum := w.loss + s.GradNorm; math.IsNaN(sum) || math.IsInf(sum, 0) {
		return fmt.Errorf("the loss is %g and the norm of its gradient %g; a lower learning rate may help", w.loss, s.GradNorm)
	}
	if err := l.trainer.Apply(pending); err != nil {
		return err
	}
	r.Updates++
	r.Loss += w.loss
	r.KL, r.StepKL, r.GradNorm, r.LR, r.Entropy = w.z[outcomes], w.z[steps], s.GradNorm, s.LR, s.Values[0]
	return nil
}

// pack packs answers, long ones first so that rows fill well. Tokens on which there is a label have weight 1. Until slopes are known, their
// column holds the place of each token's answer in answers.
func (l *learner) pack(answers []Answer) ([]*trainer.Batch, error) {
	order := make([]int, len(answers))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(answers[b].Tokens), len(answers[a].Tokens)) })
	packer := loss().NewPacker(l.config.Rows, l.config.RowTokens)
	var batches []*trainer.Batch
	for _, i := range order {
		full, err := packer.Add(example(answers[i], i))
		if err != nil {
			return nil, err
		}
		if full != nil {
			batches = append(batches, full)
		}
	}
	return append(batches, packer.Flush()), nil
}

// example is an answer as the trainer takes it, with its place in the column. A place is below MaxAnswers, which f32 tells apart.
func example(a Answer, place int) trainer.Example {
	n := len(a.Tokens)
	e := trainer.Example{Tokens: a.Tokens, Weights: make([]float32, n), Columns: [][]float32{make([]float32, n)}}
	for i := range n {
		e.Columns[slope][i] = float32(place)
	}
	for _, label := range a.Labels {
		for i := label.From; i < label.To; i++ {
			e.Weights[i] = 1
		}
	}
	return e
}

// weigh judges the labels at the current weights and puts the slopes into the batches.
func (l *learner) weigh(answers []Answer, batches []*trainer.Batch) (worth, error) {
	ratios, err := l.ratios(answers, batches)
	if err != nil {
		return worth{}, err
	}
	var labels []Label
	var r []float64
	for i, a := range answers {
		for _, label := range a.Labels {
			sum := 0.0
			for _, x := range ratios[i][label.From:label.To] {
				sum += x
			}
			labels, r = append(labels, label), append(r, sum)
		}
	}
	w := l.config.Objective.of(labels, r)
	slopes, next := ratios, w.slopes // the ratios are used up
	for i, a := range answers {
		clear(slopes[i])
		for _, label := range a.Labels {
			for at := label.From; at < label.To; at++ {
				slopes[i][at] += next[0]
			}
			next = next[1:]
		}
	}
	for _, b := range batches {
		eachToken(b, func(e, answer, at int) { b.Columns[slope][e] = float32(slopes[answer][at]) })
	}
	return w, nil
}

// ratios are log p - log p_reference of the tokens of each answer, 0 where there is no label.
func (l *learner) ratios(answers []Answer, batches []*trainer.Batch) ([][]float64, error) {
	ratios := make([][]float64, len(answers))
	for i, a := range answers {
		ratios[i] = make([]float64, len(a.Tokens))
	}
	for _, b := range batches {
		now, err := l.trainer.Score(b)
		if err != nil {
			return nil, err
		}
		before, err := l.trainer.ScoreUnder(l.reference, b)
		if err != nil {
			return nil, err
		}
		eachToken(b, func(e, answer, at int) { ratios[answer][at] = float64(now[e]) - float64(before[e]) })
	}
	return ratios, nil
}

// eachToken visits the elements of a packed batch that have a weight, with the answer that each belongs to and its place there.
func eachToken(b *trainer.Batch, visit func(element, answer, at int)) {
	for e, weight := range b.Weights {
		if weight != 0 {
			visit(e, int(b.Columns[slope][e]), int(b.Positions[e])+1) // the target of an input is the token behind it
		}
	}
}
