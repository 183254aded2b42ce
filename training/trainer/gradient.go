package trainer

import (
	"errors"
	"fmt"

	"astro/internal/invariant"

	"github.com/gomlx/gomlx/core/tensors"
)

// Pending is the gradient that batches together ask for, not applied yet: its Stats can be judged first. It belongs to the
// weights that it was computed from; Apply takes it before anything else changes them, Free gives its memory back.
type Pending struct {
	Stats Stats
	step  int // of the Trainer when it was computed
	sum   []*tensors.Tensor
}

// Gradient computes the gradient of the batches' loss: the weighted sum of its terms times norm, which must be above 0. Batches are
// run one after the other and accumulated, so that memory is needed for one only.
func (t *Trainer) Gradient(norm float64, batches ...*Batch) (*Pending, error) {
	if !(norm > 0) {
		return nil, fmt.Errorf("cannot compute a gradient: the norm of the loss is %g; want more than 0", norm)
	}
	return t.gradient(norm, batches)
}

// gradient is Gradient, where the norm 0 stands for the weighted mean.
func (t *Trainer) gradient(norm float64, batches []*Batch) (*Pending, error) {
	if t.broken != nil {
		return nil, t.broken
	}
	stats, err := t.statsOf(batches)
	if err != nil {
		return nil, err
	}
	if norm == 0 {
		norm = 1 / stats.Weight
	}
	g := &Pending{Stats: stats, step: t.step}
	if err := t.accumulate(g, norm, batches); err != nil {
		g.Free()
		return nil, fmt.Errorf("training step %d: %w", t.step, err)
	}
	return g, nil
}

// accumulate adds up the gradients of the batches.
func (t *Trainer) accumulate(g *Pending, norm float64, batches []*Batch) error {
	hyper := tensorOf(t.hyper(norm))
	defer free([]*tensors.Tensor{hyper})
	n := len(t.trained)
	var told []float64
	for i, b := range batches {
		p, err := t.program(t.gradSpec(b.Rows, b.Tokens, i == 0))
		if err != nil {
			return err
		}
		args := t.batchArgs(b)
		out, err := p.Run(concat(*t.params(), t.frozen(), args, []*tensors.Tensor{hyper}, g.sum)...)
		free(t.ownBatch(args))
		if err != nil {
			g.sum = nil // its tensors may be donated already
			return err
		}
		g.sum = out[:n:n]
		told = t.loss.gather(told, scalars(out[n]))
		t.read(&g.Stats, told, out[n+1])
		free(out[n:])
	}
	return nil
}

// Apply makes one update of a gradient.
func (t *Trainer) Apply(g *Pending) error {
	if t.broken != nil {
		return t.broken
	}
	if g.sum == nil || g.step != t.step {
		panic(fmt.Sprintf("BUG: got a gradient of step %d, freed or used: %t; want one of step %d", g.step, g.sum == nil, t.step))
	}
	p, err := t.program(t.applySpec())
	if err != nil {
		return err
	}
	hyper := tensorOf(t.hyper(1))
	defer free([]*tensors.Tensor{hyper})
	rest, err := t.replace(p, append(g.sum[:len(g.sum):len(g.sum)], hyper))
	if err != nil {
		return fmt.Errorf("training step %d: %w", t.step, err)
	}
	free(rest)
	t.step++
	invariant.Check(t.check)
	return nil
}

// Values copies the gradient to the host, in the order of the model's Layout, or of LoRA's factors: A and B of each matrix in turn.
func (g *Pending) Values() ([][]float32, error) {
	if g.sum == nil {
		return nil, errors.New("the gradient is freed")
	}
	var values [][]float32
	for _, x := range g.sum {
		flat, err := tensors.CopyFlatData[float32](x)
		if err != nil {
			return nil, fmt.Errorf("copying a gradient: %w", err)
		}
		values = append(values, flat)
	}
	return values, nil
}

// Free gives the memory back. It may be called more than once.
func (g *Pending) Free() {
	free(g.sum)
	g.sum = nil
}
