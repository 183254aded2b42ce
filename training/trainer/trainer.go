package trainer

import (
	"errors"
	"fmt"
	"math"

	"astro/internal/device"
	"astro/internal/invariant"
	"astro/model"
	"astro/model/llama"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// Trainer changes one set of f32 weights step by step. It is not safe for concurrent use.
//
// Invariant: weights, m and v each hold one valid tensor per entry of layout, except after a Step failed on the device;
// then the Trainer is broken and every method says so.
type Trainer struct {
	device   *device.Device
	config   Config
	model    model.Config
	layout   []model.TensorSpec
	programs map[string]*device.Program

	weights, m, v []*tensors.Tensor
	cos, sin      *tensors.Tensor
	step          int
	broken        error
}

// New makes a Trainer that owns the weights, which must be f32 and must not be used elsewhere from now on. Moments are zero.
func New(d *device.Device, w *model.Weights, c Config) (*Trainer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("cannot train: %w", err)
	}
	t := &Trainer{device: d, config: c, model: w.Config, layout: model.Layout(w.Config), programs: map[string]*device.Program{}}
	for i, s := range t.layout {
		if got, want := w.Tensors[i].Shape(), s.Shape(dtypes.Float32); !got.Equal(want) {
			return nil, fmt.Errorf("cannot train: %s is %s; want %s: load the model as f32", s.Name, got, want)
		}
	}
	t.weights = w.Tensors
	for _, s := range t.layout {
		t.m = append(t.m, tensors.FromShape(s.Shape(dtypes.Float32)))
		t.v = append(t.v, tensors.FromShape(s.Shape(dtypes.Float32)))
	}
	t.cos, t.sin = llama.RopeTables(t.model, t.model.MaxPositions)
	return t, nil
}

// Stats is what one Step tells.
type Stats struct {
	Loss     float64 // weighted mean of the negative log-probabilities, in nats, before the update
	GradNorm float64 // global norm before clipping
	LR       float64
	Weight   float64 // sum of the loss weights
}

// Step makes one update from the batches together: one batch is one fused program, more are accumulated. The loss is the
// weighted mean over all of them.
func (t *Trainer) Step(batches ...*Batch) (Stats, error) {
	if t.broken != nil {
		return Stats{}, t.broken
	}
	stats := Stats{LR: t.config.LR(t.step)}
	for _, b := range batches {
		b.check()
		stats.Weight += b.Weight()
	}
	if stats.Weight == 0 {
		return Stats{}, errors.New("cannot make a training step: no token has a weight in the loss")
	}
	h := t.hyper(stats)
	run := t.accumulated
	if len(batches) == 1 {
		run = t.fused
	}
	loss, norm, err := run(batches, h)
	stats.Loss, stats.GradNorm = loss, norm
	if err != nil {
		return stats, fmt.Errorf("training step %d: %w", t.step, err)
	}
	t.step++
	invariant.Check(t.check)
	return stats, nil
}

// check says which tensor is not what the layout wants.
func (t *Trainer) check() error {
	for name, group := range map[string][]*tensors.Tensor{"weights": t.weights, "m": t.m, "v": t.v} {
		if len(group) != len(t.layout) {
			return fmt.Errorf("%s are %d tensors; want %d", name, len(group), len(t.layout))
		}
		for i, s := range t.layout {
			if err := group[i].CheckValid(); err != nil {
				return fmt.Errorf("%s of %s: %w", name, s.Name, err)
			}
			if got, want := group[i].Shape(), s.Shape(dtypes.Float32); !got.Equal(want) {
				return fmt.Errorf("%s of %s is %s; want %s", name, s.Name, got, want)
			}
		}
	}
	return nil
}

func (t *Trainer) hyper(s Stats) hyper {
	n := float64(t.step + 1)
	return hyper{norm: 1 / s.Weight, lr: s.LR,
		correction: [2]float64{1 - math.Pow(t.config.Beta1, n), 1 - math.Pow(t.config.Beta2, n)}}
}

// fused runs a step of one batch.
func (t *Trainer) fused(batches []*Batch, h hyper) (loss, norm float64, err error) {
	b := batches[0]
	p, err := t.program(t.stepSpec(b.Rows, b.Tokens))
	if err != nil {
		return 0, 0, err
	}
	args := append(t.batchArgs(b), tensorOf(h))
	defer free(t.ownBatch(args))
	return t.replace(p, args)
}

// accumulated runs a step of several batches: their gradients one by one, then the update.
func (t *Trainer) accumulated(batches []*Batch, h hyper) (loss, norm float64, err error) {
	hyper := tensorOf(h)
	defer free([]*tensors.Tensor{hyper})
	var acc []*tensors.Tensor
	defer func() { free(acc) }()
	for i, b := range batches {
		p, err := t.program(t.gradSpec(b.Rows, b.Tokens, i == 0))
		if err != nil {
			return 0, 0, err
		}
		args := t.batchArgs(b)
		out, err := p.Run(concat(t.weights, args, []*tensors.Tensor{hyper}, acc)...)
		free(t.ownBatch(args))
		if err != nil {
			acc = nil // its tensors may be donated already
			return 0, 0, err
		}
		acc = out[:len(t.layout)]
		loss += scalars(out[len(t.layout)])[0]
		free(out[len(t.layout):])
	}
	p, err := t.program(t.applySpec())
	if err != nil {
		return 0, 0, err
	}
	_, norm, err = t.replace(p, append(acc[:len(acc):len(acc)], hyper))
	return loss, norm, err
}

// replace runs a program that takes weights, m, v and args, and keeps what it makes of the first three.
func (t *Trainer) replace(p *device.Program, args []*tensors.Tensor) (loss, norm float64, err error) {
	n := len(t.layout)
	out, err := p.Run(concat(t.weights, t.m, t.v, args)...)
	if err != nil {
		t.broken = fmt.Errorf("the trainer's tensors are lost after a failed step; go on from a checkpoint: %w", err)
		return 0, 0, err
	}
	t.weights, t.m, t.v = out[:n:n], out[n:2*n:2*n], out[2*n:3*n:3*n]
	stats := scalars(out[3*n])
	free(out[3*n:])
	return stats[0], stats[1], nil
}

// Score gives the log-probability of each of a batch's targets, [rows*tokens]; those of padding mean nothing.
func (t *Trainer) Score(b *Batch) ([]float32, error) {
	if t.broken != nil {
		return nil, t.broken
	}
	b.check()
	p, err := t.program(t.scoreSpec(b.Rows, b.Tokens))
	if err != nil {
		return nil, err
	}
	args := t.batchArgs(b)
	defer free(t.ownBatch(args))
	out, err := p.Run(concat(t.weights, args)...)
	if err != nil {
		return nil, fmt.Errorf("scoring %d tokens: %w", len(b.Targets), err)
	}
	defer free(out)
	return tensors.MustCopyFlatData[float32](out[0]), nil
}

// Snapshot copies the weights on the device; the caller owns the copy.
func (t *Trainer) Snapshot() (*model.Weights, error) {
	if t.broken != nil {
		return nil, t.broken
	}
	p, err := t.program(t.copySpec())
	if err != nil {
		return nil, err
	}
	out, err := p.Run(t.weights...)
	if err != nil {
		return nil, fmt.Errorf("copying the weights: %w", err)
	}
	return &model.Weights{Config: t.model, Tensors: out}, nil
}

// Steps is the number of updates made so far.
func (t *Trainer) Steps() int { return t.step }

// Close frees the Trainer's memory and programs. It must not be used afterwards.
func (t *Trainer) Close() {
	for _, p := range t.programs {
		p.Close()
	}
	free(concat([]*tensors.Tensor{t.cos, t.sin}))
	if t.broken == nil {
		free(concat(t.weights, t.m, t.v))
	}
	t.broken = errors.New("the trainer is closed")
}

// batchArgs is a batch as the programs take it; its first five tensors are the caller's to free.
func (t *Trainer) batchArgs(b *Batch) []*tensors.Tensor {
	i32 := func(x []int32) *tensors.Tensor { return tensors.FromFlatDataAndDimensions(x, b.Rows, b.Tokens) }
	return []*tensors.Tensor{i32(b.Inputs), i32(b.Targets), i32(b.Positions), i32(b.Segments),
		tensors.FromFlatDataAndDimensions(b.Weights, b.Rows, b.Tokens), t.cos, t.sin}
}

// ownBatch is what must be freed of batchArgs and what was appended to it.
func (t *Trainer) ownBatch(args []*tensors.Tensor) []*tensors.Tensor {
	return concat(args[:numBatchNodes-2], args[numBatchNodes:])
}

func tensorOf(h hyper) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(h.values(), numHyper)
}

func scalars(t *tensors.Tensor) []float64 {
	var all []float64
	for _, x := range tensors.MustCopyFlatData[float32](t) {
		all = append(all, float64(x))
	}
	return all
}

func concat(lists ...[]*tensors.Tensor) []*tensors.Tensor {
	var all []*tensors.Tensor
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func free(list []*tensors.Tensor) {
	for _, t := range list {
		t.MustFinalizeAll()
	}
}
