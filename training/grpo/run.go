package grpo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"astro/internal/device"
	"astro/internal/smallfile"
	"astro/model"
	"astro/training/checkpoint"
	"astro/training/trainer"
)

// Work says where a run keeps its checkpoints. The zero value keeps none.
type Work struct {
	Dir        string                 // "" = none
	EverySteps int                    // between two checkpoints; 0 = 10
	Slots      int                    // sequences that are sampled side by side; 0 = 64
	Extra      func(dir string) error // adds files, such as a tokenizer, to each checkpoint; nil = none
}

// Trained is what a run gives; the caller owns the Weights.
type Trained struct {
	Weights *model.Weights
	Version int64 // of the last Policy
}

// Run makes all steps of config from the given weights, which it owns and which must be f32, with rollouts in lock step. Where work has
// checkpoints of the same run, it goes on from the newest one. When ctx ends it saves one and returns ctx's error. Progress is told after
// every step; it may be nil.
func Run(ctx context.Context, d *device.Device, w *model.Weights, problems []Problem, grade Grader, c Config, work Work, progress func(Report)) (Trained, error) {
	r, err := start(d, w, problems, grade, c, work)
	if err != nil {
		return Trained{}, fmt.Errorf("cannot learn: %w", err)
	}
	defer r.close()
	for r.learner.steps < c.Steps {
		report, err := r.learner.Step(ctx)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return Trained{}, r.save(err)
		}
		if err != nil {
			return Trained{}, err
		}
		if progress != nil {
			progress(report)
		}
		if report.Step%r.work.EverySteps == 0 {
			if err := r.save(nil); err != nil {
				return Trained{}, err
			}
		}
	}
	if err := r.save(nil); err != nil {
		return Trained{}, err
	}
	out, err := r.learner.trainer.Snapshot()
	return Trained{out, r.learner.sampler.Version()}, err
}

// run is a Run under way.
type run struct {
	learner *Learner
	sampler *LockStep
	owner   owner
	work    Work
	saved   int // step of the newest checkpoint; -1 = none
}

// owner is what a checkpoint's manifest keeps of a run. What is known of prompts is in a file of its own, because it can be large.
type owner struct {
	Stage    string // "grpo"
	Config   Config
	Problems string // fingerprint
	Steps    int    // made
	Refusals int
	Version  int64 // current Policy's
}

// promptsName is the file of what is known of prompts, in a checkpoint.
const promptsName = "prompts.json"

// maxPromptsBytes bounds it.
const maxPromptsBytes = 1 << 30

// same says whether a checkpoint is of this run. More or fewer steps are the same run with another end.
func (o owner) same(other owner) bool {
	a, b := o.Config, other.Config
	a.Steps, b.Steps = 0, 0
	a.Objective.Kind, b.Objective.Kind = a.Objective.kind(), b.Objective.kind()
	return o.Stage == other.Stage && o.Problems == other.Problems && reflect.DeepEqual(a, b)
}

func fingerprint(problems []Problem) string {
	text, err := json.Marshal(problems)
	if err != nil {
		panic("BUG: problems are no JSON: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// start makes a run from its first step, or goes on from a checkpoint.
func start(d *device.Device, w *model.Weights, problems []Problem, grade Grader, c Config, work Work) (r *run, err error) {
	if work.EverySteps == 0 {
		work.EverySteps = 10
	}
	if work.Slots == 0 {
		work.Slots = 64
	}
	r = &run{owner: owner{Stage: "grpo", Config: c, Problems: fingerprint(problems), Version: 1}, work: work, saved: -1}
	err = errors.Join(c.Validate(), c.checkProblems(problems, w.Config.Vocab, w.Config.MaxPositions))
	if err != nil {
		w.Free()
		return nil, err
	}
	parts, err := r.parts(d, w)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			parts.close()
		}
	}()
	if err := r.open(d, parts, problems, grade); err != nil {
		return nil, err
	}
	return r, nil
}

// parts are what a Learner is made of, before it is.
type parts struct {
	trainer   *trainer.Trainer
	reference *model.Weights
	prompts   *prompts // nil = none seen yet
}

func (p *parts) close() {
	if p.trainer != nil {
		p.trainer.Close()
	}
	if p.reference != nil {
		p.reference.Free()
	}
}

// parts makes the trainer from w or a checkpoint, and the reference from w.
func (r *run) parts(d *device.Device, w *model.Weights) (p *parts, err error) {
	c, loss := r.owner.Config, r.owner.Config.Objective.Loss()
	path, err := checkpoint.Newest(r.work.Dir)
	if err != nil {
		w.Free()
		return nil, err
	}
	p = &parts{}
	if path == "" {
		if p.trainer, err = loss.NewTrainer(d, w, c.schedule()); err != nil {
			w.Free()
			return nil, err
		}
		if c.Objective.KL > 0 {
			p.reference, err = p.trainer.SnapshotAs(p.trainer.Compute().DType())
		}
	} else {
		p.reference = w
		err = r.resume(d, path, loss, p)
	}
	if err == nil && c.Objective.KL == 0 && p.reference != nil {
		p.reference.Free()
		p.reference = nil
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// resume loads a checkpoint.
func (r *run) resume(d *device.Device, path string, loss trainer.Loss, p *parts) error {
	content, was, err := checkpoint.Resume(path, d.Backend(), r.owner.Config.schedule().DType(), "run: its settings or problems differ; use another folder, or those that it was made with", r.owner.same)
	if err != nil {
		return err
	}
	if p.prompts, err = readPrompts(path); err != nil {
		return err
	}
	r.owner.Steps, r.owner.Refusals, r.owner.Version, r.saved = was.Steps, was.Refusals, was.Version, was.Steps
	p.trainer, err = loss.Resume(d, content, r.owner.Config.schedule())
	return err
}

func readPrompts(dir string) (*prompts, error) {
	path := filepath.Join(dir, promptsName)
	text, err := smallfile.Read(path, maxPromptsBytes)
	if err != nil {
		return nil, fmt.Errorf("the checkpoint is not one of grpo: %w", err)
	}
	var p prompts
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &p, nil
}

// open starts the engine on the trainer's weights and makes the Learner.
func (r *run) open(d *device.Device, p *parts, problems []Problem, grade Grader) error {
	c := r.owner.Config
	w, err := p.trainer.SnapshotAs(c.Optimizer.Compute.DType())
	if err != nil {
		return err
	}
	policy := model.NewPolicy(r.owner.Version, w)
	defer policy.Release()
	longest := 0
	for _, problem := range problems {
		longest = max(longest, len(problem.Prompt))
	}
	if r.sampler, err = OpenLockStep(d, policy, min(r.work.Slots, c.Prompts*c.Group), longest+c.MaxTokens); err != nil {
		return err
	}
	if r.learner, err = NewLearner(c, p.trainer, r.sampler, problems, grade, p.reference); err != nil {
		r.sampler.Close()
		return err
	}
	r.learner.steps, r.learner.refusals = r.owner.Steps, r.owner.Refusals
	if p.prompts != nil {
		r.learner.prompts.Passed, r.learner.prompts.Groups, r.learner.prompts.Rates = p.prompts.Passed, p.prompts.Groups, p.prompts.Rates
	}
	return nil
}

// save writes a checkpoint if the run keeps any and has none of this step, and returns why, or why it could not.
func (r *run) save(why error) error {
	l := r.learner
	if r.work.Dir == "" || r.saved == l.steps {
		return why
	}
	r.owner.Steps, r.owner.Refusals, r.owner.Version = l.steps, l.refusals, l.sampler.Version()
	kept, err := json.Marshal(r.owner)
	if err != nil {
		panic("BUG: a run's settings are no JSON: " + err.Error())
	}
	extra := func(dir string) error {
		text, err := json.Marshal(l.prompts)
		if err != nil {
			panic("BUG: prompts are no JSON: " + err.Error())
		}
		if err := os.WriteFile(filepath.Join(dir, promptsName), text, 0o644); err != nil || r.work.Extra == nil {
			return err
		}
		return r.work.Extra(dir)
	}
	if _, err := checkpoint.Save(r.work.Dir, l.trainer.Content(kept), extra); err != nil {
		return err
	}
	r.saved = l.steps
	return why
}

func (r *run) close() {
	r.sampler.Close()
	r.learner.trainer.Close()
	if r.learner.reference != nil {
		r.learner.reference.Free()
	}
}
