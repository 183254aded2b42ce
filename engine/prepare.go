package engine

import (
	"fmt"
	"sync"

	"astro/model"

	"github.com/gomlx/gomlx/core/tensors"
)

// prepared is what programs take of a Policy that is about to be published. It is made beside the steps that run, so that these do not wait
// for large matrices.
type prepared struct {
	mu        sync.Mutex
	published *published // nil = none
}

// published is a Policy that rows may run on.
type published struct {
	policy *model.Policy
	args   []*tensors.Tensor // of programs, for each device: head and weights, or packed weights
	made   []*tensors.Tensor // those among them that are ours to free
}

func (p *published) free() {
	if p != nil {
		freeAll(p.made)
	}
}

// Prepare implements Runner.
func (r *DeviceRunner) Prepare(p *model.Policy) error {
	if r.refuses(p) != nil {
		return nil // Publish says what is wrong
	}
	made, err := r.make(p)
	if err != nil {
		return fmt.Errorf("prepare policy %d: %w", p.Version, err)
	}
	r.prepared.mu.Lock()
	defer r.prepared.mu.Unlock()
	r.prepared.drop()
	r.prepared.published = made
	return nil
}

// take gives what was made of a Policy, which is made now if it was not prepared.
func (h *prepared) take(r *DeviceRunner, p *model.Policy) (*published, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if made := h.published; made != nil && made.policy == p {
		h.published = nil
		return made, nil
	}
	return r.make(p)
}

// drop frees what was prepared and never published; mu is held.
func (h *prepared) drop() {
	h.published.free()
	h.published = nil
}

// refuses says why a Policy cannot be published, or nil.
func (r *DeviceRunner) refuses(p *model.Policy) error {
	if len(p.Weights.Tensors) != len(r.whole) {
		return fmt.Errorf("it has %d tensors, the served model %d", len(p.Weights.Tensors), len(r.whole))
	}
	for i, w := range p.Weights.Tensors {
		if !w.Shape().Equal(r.whole[i]) {
			return fmt.Errorf("tensor %d is %s, the served model has %s", i, w.Shape(), r.whole[i])
		}
	}
	return nil
}

// make gives what programs take of a Policy: its weights behind a head, which is a tensor of theirs or the embedding turned, or packed, or
// cut for each device.
func (r *DeviceRunner) make(p *model.Policy) (*published, error) {
	w := p.Weights
	switch {
	case r.forward.packed != nil:
		blob, err := r.once(r.forward.packSpec(), w.Tensors...)
		if err != nil {
			return nil, fmt.Errorf("pack the weights: %w", err)
		}
		return &published{p, blob, blob}, nil
	case r.forward.int8:
		return &published{p, w.Tensors, nil}, nil
	case r.forward.devices > 1:
		return r.makeShares(p)
	case !w.Config.TiedHead:
		return &published{p, append([]*tensors.Tensor{w.Tensors[2]}, w.Tensors...), nil}, nil
	}
	head, err := r.once(r.forward.turnSpec(), w.Tensors[0])
	if err != nil {
		return nil, fmt.Errorf("turn the embedding into a head: %w", err)
	}
	return &published{p, append(head[:1:1], w.Tensors...), head}, nil
}
