// Package recipe runs whole experiments from one command: what is trained, on what, how it is judged, and what is written.
package recipe

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"astro/internal/device"
	"astro/model"
	"astro/training/checkpoint"
	"astro/training/countdown"
	"astro/training/trainer"

	"github.com/gomlx/compute/dtypes"
)

// Base trains the Countdown base model from scratch: it learns the form of a derivation, arithmetic, and to tell whether a
// result is the target, from random play. It plans little; that is what search and learning add.
type Base struct {
	Domain    countdown.Domain
	Mix       countdown.Mix
	Model     model.Config
	Optimizer trainer.Config // its Steps follow from Tokens
	Rows      int            // packed rows per step
	RowTokens int            // tokens per row; the longest document of the Mix may have one more
	Tokens    int            // document tokens to train on, about
	Seed      uint64         // of the weights and the documents
}

// CountdownBase is the recipe of models/countdown-base.
func CountdownBase() Base {
	d := countdown.CD4
	b := Base{
		Domain: d, Mix: countdown.DefaultMix, Rows: 8, RowTokens: countdown.MaxDocumentTokens, Tokens: 24_000_000, Seed: 1,
		Model: model.Config{Vocab: d.VocabSize(), Hidden: 96, Layers: 3, Heads: 3, KVHeads: 3, HeadDim: 32, FFN: 256,
			MaxPositions: countdown.ContextTokens, NormEps: 1e-5, TiedHead: true, Rope: model.Rope{Theta: 1e4},
			BOS: countdown.BOS, EOS: []int32{countdown.EOS}, InitStd: .06},
	}
	return b.scheduled()
}

// WithTokens is the same recipe on another number of tokens, at the same rate.
func (b Base) WithTokens(tokens int) Base {
	rate := b.Optimizer.PeakLR
	b.Tokens = tokens
	b = b.scheduled()
	b.Optimizer.PeakLR = rate
	return b
}

// scheduled fits the schedule to the tokens. The rate is higher than the trainer's default and ends at almost nothing: what keeps a
// model of this size from legal steps at the end is noise of the last updates (docs/LOG.md).
func (b Base) scheduled() Base {
	b.Optimizer = trainer.Default(max(1, b.Tokens/(b.Rows*b.RowTokens)))
	b.Optimizer.PeakLR, b.Optimizer.FinalLR, b.Optimizer.Beta2 = 3e-3, .01, .98
	return b
}

// Validate says what is wrong with a recipe, or nil.
func (b Base) Validate() error {
	if longest := b.Mix.DocumentTokens(b.Domain) - 1; b.RowTokens < longest || b.Rows < 1 || b.Tokens < 1 {
		return fmt.Errorf("a batch of %d rows of %d tokens: want at least 1 of %d, and some tokens", b.Rows, b.RowTokens, longest)
	}
	if b.Model.Vocab != b.Domain.VocabSize() {
		return fmt.Errorf("the model has %d token ids, the domain %d", b.Model.Vocab, b.Domain.VocabSize())
	}
	for _, err := range []error{b.Domain.Validate(), b.Mix.Validate(), b.Model.Validate(), b.Optimizer.Validate()} {
		if err != nil {
			return err
		}
	}
	return nil
}

// Progress is where a run stands.
type Progress struct {
	Step, Steps int
	Tokens      int           // document tokens seen so far
	Loss        float64       // of the last step
	Elapsed     time.Duration // training so far, earlier runs from the same checkpoints included
	PerSecond   float64       // document tokens per second in this process
}

// Work says where a run keeps its checkpoints. The zero value keeps none.
type Work struct {
	Dir        string // "" = none
	EverySteps int    // between two checkpoints; 0 = 500
}

// Trained is what training gives; the caller owns the Weights.
type Trained struct {
	Weights  *model.Weights
	Steps    int
	Tokens   int // document tokens seen
	Loss     float64
	Duration time.Duration // of training, over all runs from the same checkpoints
}

// Train runs the recipe to its end, from the newest checkpoint in work if it is of the same recipe. It stops between two
// steps when ctx ends, after a last checkpoint. Progress, which may be nil, is called after every step.
func (b Base) Train(ctx context.Context, d *device.Device, work Work, progress func(Progress)) (Trained, error) {
	if err := b.Validate(); err != nil {
		return Trained{}, fmt.Errorf("cannot train the base model: %w", err)
	}
	r, err := b.start(d, work)
	if err != nil {
		return Trained{}, err
	}
	defer r.trainer.Close()
	r.begin = time.Now()
	for r.trainer.Steps() < b.Optimizer.Steps {
		if ctx.Err() != nil {
			return Trained{}, fmt.Errorf("training stopped at step %d of %d: %w", r.trainer.Steps(), b.Optimizer.Steps, r.save(ctx.Err()))
		}
		if err := r.step(); err != nil {
			return Trained{}, err
		}
		if progress != nil {
			progress(r.progress())
		}
	}
	w, err := r.trainer.Snapshot()
	return Trained{w, r.trainer.Steps(), r.tokens, r.loss, r.elapsed()}, err
}

// run is a training run under way.
type run struct {
	recipe  Base
	work    Work
	trainer *trainer.Trainer
	source  *countdown.Source
	packer  *trainer.Packer
	begin   time.Time // of this process's first step
	before  time.Duration
	resumed int // tokens of the steps before it
	tokens  int
	loss    float64
}

// owner is what a checkpoint keeps of a run.
type owner struct {
	Recipe  Base
	Elapsed time.Duration
}

func (r *run) elapsed() time.Duration { return r.before + time.Since(r.begin) }

func (r *run) progress() Progress {
	return Progress{Step: r.trainer.Steps(), Steps: r.recipe.Optimizer.Steps, Tokens: r.tokens, Loss: r.loss, Elapsed: r.elapsed(),
		PerSecond: float64(r.tokens-r.resumed) / time.Since(r.begin).Seconds()}
}

// start makes a run from scratch, or goes on from a checkpoint.
func (b Base) start(d *device.Device, work Work) (*run, error) {
	if work.EverySteps == 0 {
		work.EverySteps = 500
	}
	source, err := countdown.NewSource(b.Domain, b.Mix, b.Domain.Split().Train, b.Seed)
	if err != nil {
		return nil, err
	}
	r := &run{recipe: b, work: work, source: source, packer: trainer.NewPacker(b.Rows, b.RowTokens)}
	path, err := checkpoint.Newest(work.Dir)
	if err != nil {
		return nil, err
	}
	if path != "" {
		return r, r.resume(d, path)
	}
	w, err := model.Random(b.Model, b.Seed, d.Backend(), dtypes.Float32)
	if err != nil {
		return nil, err
	}
	r.trainer, err = trainer.New(d, w, b.Optimizer)
	return r, err
}

// resume loads a checkpoint and draws again the documents that it has seen, so that the next batch is the one that would have
// come.
func (r *run) resume(d *device.Device, path string) error {
	const other = "recipe; use another folder, or the flags that it was made with"
	c, was, err := checkpoint.Resume(path, d.Backend(), r.recipe.Optimizer.DType(), other, func(was owner) bool { return reflect.DeepEqual(was.Recipe, r.recipe) })
	if err != nil {
		return err
	}
	if r.trainer, err = trainer.Resume(d, c, r.recipe.Optimizer); err != nil {
		return err
	}
	for range c.Step {
		r.batch()
	}
	r.before, r.resumed = was.Elapsed, r.tokens
	return nil
}

// batch draws documents until a batch is full.
func (r *run) batch() *trainer.Batch {
	for {
		doc := r.source.Next()
		r.tokens += len(doc.Tokens)
		full, err := r.packer.Add(example(doc))
		if err != nil {
			panic("BUG: a document does not fit: " + err.Error())
		}
		if full != nil {
			return full
		}
	}
}

// example puts the loss on what follows the prompt: prompts are random and teach nothing.
func example(doc countdown.Document) trainer.Example {
	weights := make([]float32, len(doc.Tokens))
	for i := doc.Prompt; i < len(weights); i++ {
		weights[i] = 1
	}
	return trainer.Example{Tokens: doc.Tokens, Weights: weights}
}

func (r *run) step() error {
	s, err := r.trainer.Step(r.batch())
	if err != nil {
		return err
	}
	r.loss = s.Loss
	if r.trainer.Steps()%r.work.EverySteps == 0 {
		return r.save(nil)
	}
	return nil
}

// save writes a checkpoint if the run keeps any, and returns why, or why it could not.
func (r *run) save(why error) error {
	if r.work.Dir == "" {
		return why
	}
	kept, err := json.Marshal(owner{r.recipe, r.elapsed()})
	if err != nil {
		panic("BUG: a recipe is no JSON: " + err.Error())
	}
	if _, err := checkpoint.Save(r.work.Dir, r.trainer.Content(kept), r.recipe.Domain.WriteTokenizer); err != nil {
		return err
	}
	return why
}
