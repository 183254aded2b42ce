package trainer

import (
	"encoding/json"
	"fmt"

	"astro/internal/device"
	"astro/model"
	"astro/training/checkpoint"

	"github.com/gomlx/compute/dtypes"
)

// Content is everything that a checkpoint must keep for the Trainer to go on. Its tensors are the Trainer's own: they are valid
// until the next Step.
func (t *Trainer) Content(owner json.RawMessage) checkpoint.Content {
	if t.broken != nil {
		panic("BUG: a broken trainer has nothing to keep: " + t.broken.Error())
	}
	return checkpoint.Content{Weights: &model.Weights{Config: t.model, Tensors: t.weights}, M: t.m, V: t.v, Step: t.step, Owner: owner}
}

// Resume makes a Trainer for NextToken that goes on where a checkpoint was saved; it owns the content's tensors. On the Go backend the
// steps that follow are bit for bit those of a run that was never interrupted.
func Resume(d *device.Device, content checkpoint.Content, c Config) (*Trainer, error) {
	return NextToken().Resume(d, content, c)
}

// Resume is the function Resume for this Loss.
func (l Loss) Resume(d *device.Device, content checkpoint.Content, c Config) (*Trainer, error) {
	t, err := l.NewTrainer(d, content.Weights, c)
	if err != nil {
		return nil, err
	}
	for i, s := range t.layout {
		want := s.Shape(dtypes.Float32)
		if !content.M[i].Shape().Equal(want) || !content.V[i].Shape().Equal(want) {
			return nil, fmt.Errorf("cannot resume: the moments of %s are %s and %s; want %s", s.Name, content.M[i].Shape(), content.V[i].Shape(), want)
		}
	}
	free(concat(t.m, t.v))
	t.m, t.v, t.step = content.M, content.V, content.Step
	return t, nil
}
