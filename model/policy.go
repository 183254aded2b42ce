package model

import (
	"errors"
	"sync/atomic"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// Weights are a model's parameters on the device, in the order of Layout(Config), or with more behind them (see Int8). They never change after they are made.
type Weights struct {
	Config  Config
	Tensors []*tensors.Tensor
}

// Policy is a published set of weights: Weights and a Version that grows by one with every update.
// It is shared by reference count: the holder of the last reference frees the device memory.
type Policy struct {
	Version int64
	Weights *Weights
	refs    atomic.Int64
}

// NewPolicy wraps weights as version v; the caller holds the only reference.
func NewPolicy(v int64, w *Weights) *Policy {
	p := &Policy{Version: v, Weights: w}
	p.refs.Store(1)
	return p
}

// Retain adds a reference.
func (p *Policy) Retain() *Policy {
	if p.refs.Add(1) < 2 {
		panic("BUG: a Policy was retained after its last Release")
	}
	return p
}

// Release drops a reference; the last one frees the tensors.
func (p *Policy) Release() {
	switch n := p.refs.Add(-1); {
	case n < 0:
		panic("BUG: a Policy was released more often than retained")
	case n == 0 && p.Weights != nil:
		p.Weights.Free()
	}
}

// Free returns the device memory. Nothing may use the weights afterwards.
func (w *Weights) Free() {
	if err := w.free(); err != nil {
		panic("BUG: weights were freed twice or are in use: " + err.Error())
	}
}

// Drop is Free of weights that nobody reads any more although their Policy is in use, as after they were packed: Config stays.
func (w *Weights) Drop() {
	w.Free()
	w.Tensors = nil
}

func (w *Weights) free() error {
	var errs []error
	for _, t := range w.Tensors {
		errs = append(errs, t.FinalizeAll())
	}
	w.Tensors = nil
	return errors.Join(errs...)
}

// Bytes is the device memory that the weights take.
func (w *Weights) Bytes() int64 {
	n := int64(0)
	for _, t := range w.Tensors {
		n += t.ByteSize()
	}
	return n
}

// DType is the element type of the matrices, of 8-bit weights that of the embedding; norms are Float32 always.
func (w *Weights) DType() dtypes.DType { return w.Tensors[0].DType() }
