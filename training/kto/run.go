package kto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"astro/internal/device"
	"astro/model"
	"astro/training/checkpoint"
)

// Source gives a run its answers.
type Source struct {
	Name string // of what it draws from and how it labels; a checkpoint only goes on with the same

	// Draw answers some problems with the weights, which it owns, and labels the answers: at most MaxAnswers. It depends on round, the
	// first of which is 1, and on the weights alone. When ctx ends it returns ctx's error.
	Draw func(ctx context.Context, round int, w *model.Weights) ([]Answer, error)
}

// Work says where a run keeps its checkpoints. The zero value keeps none.
type Work struct {
	Dir         string // "" = none
	EveryRounds int    // between two checkpoints; 0 = 10
}

// Run makes all rounds of config from the given weights, which it owns, which must be f32, and which are the reference. Where work has
// checkpoints of the same run, it goes on from the newest one; more or fewer rounds are the same run with another end. When ctx ends it
// saves one and returns ctx's error. Progress is told after every round; it may be nil. The weights that it returns are the caller's.
func Run(ctx context.Context, d *device.Device, w *model.Weights, s Source, c Config, work Work, progress func(Report)) (*model.Weights, error) {
	r, err := start(d, w, s, c, work)
	if err != nil {
		return nil, fmt.Errorf("cannot learn: %w", err)
	}
	defer r.close()
	for r.owner.Rounds < c.Rounds {
		report, err := r.round(ctx)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil, r.save(err)
		}
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", r.owner.Rounds+1, err)
		}
		r.owner.Rounds = report.Round
		if progress != nil {
			progress(report)
		}
		if report.Round%r.work.EveryRounds == 0 {
			if err := r.save(nil); err != nil {
				return nil, err
			}
		}
	}
	if err := r.save(nil); err != nil {
		return nil, err
	}
	return r.trainer.Snapshot()
}

// run is a Run under way.
type run struct {
	learner
	source Source
	work   Work
	owner  owner
	saved  int // rounds of the newest checkpoint; -1 = none
}

// owner is what a checkpoint keeps of a run, to go on with the same one only.
type owner struct {
	Stage  string // "kto"
	Config Config
	Source string
	Rounds int // made
}

// same says whether a checkpoint is of this run.
func (o owner) same(other owner) bool {
	a, b := o.Config, other.Config
	a.Rounds, b.Rounds = 0, 0
	return o.Stage == other.Stage && o.Source == other.Source && a == b
}

// start makes a run from its first round, or goes on from a checkpoint. It owns the weights.
func start(d *device.Device, w *model.Weights, s Source, c Config, work Work) (*run, error) {
	r := &run{source: s, work: work, owner: owner{Stage: "kto", Config: c, Source: s.Name}, saved: -1}
	r.config, r.reference = c, w // until a trainer has them
	if r.work.EveryRounds == 0 {
		r.work.EveryRounds = 10
	}
	if err := r.open(d, w); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// open makes the trainer and the reference.
func (r *run) open(d *device.Device, w *model.Weights) (err error) {
	if err := r.config.Validate(); err != nil {
		return err
	}
	path, err := checkpoint.Newest(r.work.Dir)
	if err != nil {
		return err
	}
	if path != "" {
		return r.resume(d, path)
	}
	if r.trainer, err = loss().NewTrainer(d, w, r.config.schedule()); err != nil {
		return err
	}
	r.reference = nil
	r.reference, err = r.trainer.SnapshotAs(r.trainer.Compute().DType())
	return err
}

// resume loads a checkpoint.
func (r *run) resume(d *device.Device, path string) error {
	content, was, err := checkpoint.Resume(path, d.Backend(), r.config.schedule().DType(), "run: its settings or problems differ; use another folder, or those that it was made with", r.owner.same)
	if err != nil {
		return err
	}
	r.owner.Rounds, r.saved = was.Rounds, was.Rounds
	r.trainer, err = loss().Resume(d, content, r.config.schedule())
	return err
}

// round draws and learns.
func (r *run) round(ctx context.Context) (Report, error) {
	report, begin := Report{Round: r.owner.Rounds + 1}, time.Now()
	w, err := r.trainer.Snapshot()
	if err != nil {
		return report, err
	}
	answers, err := r.source.Draw(ctx, report.Round, w)
	if err != nil {
		return report, err
	}
	if len(answers) > MaxAnswers {
		return report, fmt.Errorf("%d answers were drawn; at most %d can be learnt from", len(answers), MaxAnswers)
	}
	m := r.trainer.Model()
	for i := range answers {
		if err := answers[i].check(r.config, m.Vocab, m.MaxPositions); err != nil {
			return report, fmt.Errorf("answer %d: %w", i+1, err)
		}
	}
	report.Draw = time.Since(begin)
	err = r.learn(answers, &report)
	report.Time = time.Since(begin)
	return report, err
}

// save writes a checkpoint if the run keeps any and has none of this round, and returns why, or why it could not.
func (r *run) save(why error) error {
	if r.work.Dir == "" || r.saved == r.owner.Rounds {
		return why
	}
	kept, err := json.Marshal(r.owner)
	if err != nil {
		panic("BUG: a run's settings are no JSON: " + err.Error())
	}
	if _, err := checkpoint.Save(r.work.Dir, r.trainer.Content(kept), nil); err != nil {
		return err
	}
	r.saved = r.owner.Rounds
	return why
}

func (r *run) close() {
	if r.trainer != nil {
		r.trainer.Close()
	}
	if r.reference != nil {
		r.reference.Free()
	}
}
