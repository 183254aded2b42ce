package trainer

import (
	"encoding/json"
	"fmt"

	"astro/internal/device"
	"astro/model"
	"astro/model/llama"
	"astro/training/checkpoint"
)

// Content is everything that a checkpoint must keep for the Trainer to go on. Its tensors are the Trainer's own: they are valid
// until the next Step.
func (t *Trainer) Content(owner json.RawMessage) checkpoint.Content {
	if t.broken != nil {
		panic("BUG: a broken trainer has nothing to keep: " + t.broken.Error())
	}
	return checkpoint.Content{Weights: &model.Weights{Config: t.model, Tensors: t.weights}, Adapter: t.adapter, Served: t.served,
		M: t.m, V: t.v, Step: t.step, Owner: owner}
}

// Resume makes a Trainer for NextToken that goes on where a checkpoint was saved, loaded as c.DType() or f32; it owns the content's tensors. On
// the Go backend the steps that follow are bit for bit those of a run that was never interrupted. Of a checkpoint that was trained otherwise,
// fully and not with LoRA or with factors of another kind, only the weights are taken, as they are served: training begins on them, at step 0.
func Resume(d *device.Device, content checkpoint.Content, c Config) (*Trainer, error) {
	return NextToken().Resume(d, content, c)
}

// Resume is the function Resume for this Loss.
func (l Loss) Resume(d *device.Device, content checkpoint.Content, c Config) (*Trainer, error) {
	t, err := l.empty(d, content.Weights.Config, c)
	if err != nil {
		return nil, fmt.Errorf("cannot resume: %w", err)
	}
	if !goesOn(t.adapter, content.Adapter) {
		return l.anew(d, content, c)
	}
	if t.weights, err = t.rounded(content.Weights.Tensors); err != nil {
		return nil, fmt.Errorf("cannot resume: %w", err)
	}
	t.m, t.v, t.adapter, t.step = content.M, content.V, content.Adapter, content.Step
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("cannot resume: %w", err)
	}
	t.cos, t.sin = llama.RopeTables(t.model, t.model.MaxPositions)
	return t, nil
}

// anew begins on the weights of a checkpoint that was trained otherwise.
func (l Loss) anew(d *device.Device, content checkpoint.Content, c Config) (*Trainer, error) {
	if content.Adapter == nil {
		free(concat(content.M, content.V))
		return l.NewTrainer(d, content.Weights, c)
	}
	w, err := l.whole(d, content)
	if err != nil {
		return nil, fmt.Errorf("cannot resume: %w", err)
	}
	return l.NewTrainer(d, w, c)
}
