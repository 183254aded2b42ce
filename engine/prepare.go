package engine

import (
	"fmt"
	"sync"

	"astro/model"

	"github.com/gomlx/gomlx/core/tensors"
)

// prepared is the head of a Policy that is about to be published. It is made beside the steps that run, so that these do not wait for
// a large matrix.
type prepared struct {
	mu     sync.Mutex
	policy *model.Policy // nil = none
	head   *tensors.Tensor
}

// Prepare implements Runner.
func (r *DeviceRunner) Prepare(p *model.Policy) error {
	if len(p.Weights.Tensors) != len(r.forward.weights) {
		return nil // Publish says what is wrong
	}
	head, err := r.head(p.Weights)
	if err != nil {
		return fmt.Errorf("prepare policy %d: %w", p.Version, err)
	}
	r.prepared.mu.Lock()
	defer r.prepared.mu.Unlock()
	r.prepared.drop()
	r.prepared.policy, r.prepared.head = p, head
	return nil
}

// take gives the head of a Policy, which is made now if it was not prepared.
func (h *prepared) take(r *DeviceRunner, p *model.Policy) (*tensors.Tensor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.policy == p {
		head := h.head
		h.policy, h.head = nil, nil
		return head, nil
	}
	return r.head(p.Weights)
}

// drop frees what was prepared and never published; mu is held.
func (h *prepared) drop() {
	if h.policy != nil && h.policy.Weights != nil && h.policy.Weights.Config.TiedHead {
		freeAll([]*tensors.Tensor{h.head})
	}
	h.policy, h.head = nil, nil
}

// head is the matrix that logits are made with: a tensor of the weights, or the embedding turned.
func (r *DeviceRunner) head(w *model.Weights) (*tensors.Tensor, error) {
	if !w.Config.TiedHead {
		return w.Tensors[2], nil
	}
	out, err := r.once(r.forward.turnSpec(), w.Tensors[0])
	if err != nil {
		return nil, fmt.Errorf("turn the embedding into a head: %w", err)
	}
	return out, nil
}
