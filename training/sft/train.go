package sft

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"astro/internal/device"
	"astro/model"
	"astro/training/checkpoint"
	"astro/training/trainer"
)

// Work says where a run keeps its checkpoints. The zero value keeps none.
type Work struct {
	Dir        string                 // "" = none
	EverySteps int                    // between two checkpoints; 0 = 200
	Extra      func(dir string) error // adds files, such as a tokenizer, to each; nil = none
}

// Progress is where a run stands.
type Progress struct {
	Step, Steps int
	Epoch       float64 // epochs seen so far
	Tokens      int     // predicted so far, prompts included
	Loss        float64 // of the last step, in nats per weight
	GradNorm    float64
	LR          float64
	Elapsed     time.Duration // in this process
	PerSecond   float64       // tokens per second in this process
}

// Trained is what training gives; the caller owns the Weights.
type Trained struct {
	Weights *model.Weights
	Last    Progress
}

// Train teaches the weights the examples; it owns the weights, which must be f32. Where work has checkpoints of the same run, it goes on
// from the newest one. When ctx ends it saves one and returns ctx's error. Progress is told after every step; it may be nil.
func Train(ctx context.Context, d *device.Device, w *model.Weights, examples []Example, c Config, work Work, progress func(Progress)) (Trained, error) {
	r, err := start(d, w, examples, c, work)
	if err != nil {
		return Trained{}, fmt.Errorf("cannot train: %w", err)
	}
	defer r.trainer.Close()
	for r.trainer.Steps() < r.steps {
		if err := ctx.Err(); err != nil {
			return Trained{}, r.save(err)
		}
		if err := r.step(); err != nil {
			return Trained{}, err
		}
		if progress != nil {
			progress(r.progress())
		}
	}
	if err := r.save(nil); err != nil {
		return Trained{}, err
	}
	out, err := r.trainer.Snapshot()
	return Trained{out, r.progress()}, err
}

// run is a training run under way.
type run struct {
	owner   owner
	work    Work
	steps   int
	trainer *trainer.Trainer
	feed    *feed
	begin   time.Time
	resumed int // tokens of the steps before this process
	stats   trainer.Stats
	saved   int // step of the newest checkpoint; -1 = none
}

// owner is what a checkpoint keeps of a run, to go on with the same one only.
type owner struct {
	Stage    string // "sft"
	Config   Config
	Examples int
	Data     string // fingerprint
}

// start makes a run from its first step, or goes on from a checkpoint.
func start(d *device.Device, w *model.Weights, examples []Example, c Config, work Work) (r *run, err error) {
	owned := w // until a trainer has them
	defer func() {
		if err != nil && owned != nil {
			owned.Free()
		}
	}()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := c.checkExamples(examples, w.Config.Vocab, w.Config.MaxPositions); err != nil {
		return nil, err
	}
	if work.EverySteps == 0 {
		work.EverySteps = 200
	}
	r = &run{owner: owner{"sft", c, len(examples), fingerprint(examples)}, work: work, steps: c.Steps(examples), feed: newFeed(c, examples), saved: -1}
	path, err := checkpoint.Newest(work.Dir)
	if err != nil {
		return nil, err
	}
	if path != "" {
		err = r.resume(d, path)
	} else if r.trainer, err = trainer.New(d, w, c.Schedule(r.steps)); err == nil {
		owned = nil
	}
	if err == nil && owned != nil {
		owned.Free() // the checkpoint's are used
		owned = nil
	}
	r.begin = time.Now()
	return r, err
}

// resume loads a checkpoint and passes over the batches that it has seen.
func (r *run) resume(d *device.Device, path string) error {
	const other = "run: its settings or examples differ; use another folder, or those that it was made with"
	c, _, err := checkpoint.Resume(path, d.Backend(), r.owner.Config.Schedule(r.steps).DType(), other, func(was owner) bool { return reflect.DeepEqual(was, r.owner) })
	if err != nil {
		return err
	}
	if r.trainer, err = trainer.Resume(d, c, r.owner.Config.Schedule(r.steps)); err != nil {
		return err
	}
	for range c.Step {
		r.feed.update()
	}
	r.resumed, r.saved = r.feed.tokens, c.Step
	return nil
}

func (r *run) step() error {
	stats, err := r.trainer.Step(r.feed.update()...)
	if err != nil {
		return err
	}
	r.stats = stats
	if r.trainer.Steps()%r.work.EverySteps == 0 {
		return r.save(nil)
	}
	return nil
}

func (r *run) progress() Progress {
	f := r.feed
	seen := float64(f.epoch*len(f.examples)+len(f.examples)-len(f.order)) / float64(len(f.examples))
	if f.done {
		seen = float64(f.config.Epochs)
	}
	elapsed := time.Since(r.begin)
	return Progress{Step: r.trainer.Steps(), Steps: r.steps, Epoch: seen, Tokens: f.tokens, Loss: r.stats.Loss, GradNorm: r.stats.GradNorm,
		LR: r.stats.LR, Elapsed: elapsed, PerSecond: float64(f.tokens-r.resumed) / max(1e-9, elapsed.Seconds())}
}

// save writes a checkpoint if the run keeps any and has none of this step, and returns why, or why it could not.
func (r *run) save(why error) error {
	if r.work.Dir == "" || r.saved == r.trainer.Steps() {
		return why
	}
	kept, err := json.Marshal(r.owner)
	if err != nil {
		panic("BUG: a run's settings are no JSON: " + err.Error())
	}
	if _, err := checkpoint.Save(r.work.Dir, r.trainer.Content(kept), r.work.Extra); err != nil {
		return err
	}
	r.saved = r.trainer.Steps()
	return why
}
