package model

import (
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// Copy makes weights of the same values on another backend, with the matrices as dtype (Float32 or BFloat16). The caller owns the copy;
// the original, which must be f32, stays its owner's.
func (w *Weights) Copy(backend compute.Backend, dtype dtypes.DType) (*Weights, error) {
	return w.copyTo(place{backend: backend, dtype: dtype})
}

func (w *Weights) copyTo(to place) (*Weights, error) {
	mustBeWeightType(to.dtype)
	from := map[string]*tensors.Tensor{}
	for i, s := range Layout(w.Config) {
		from[s.Name] = w.Tensors[i]
	}
	var failed error
	out, err := build(w.Config, to, nil, func(s TensorSpec, dst put) {
		if err := tensors.ConstFlatData(from[s.Name], func(values []float32) { dst(0, values) }); err != nil {
			failed = fmt.Errorf("tensor %s: %w", s.Name, err)
		}
	})
	if err == nil && failed != nil {
		out.Free()
		err = failed
	}
	if err != nil {
		return nil, fmt.Errorf("copy weights to another backend: %w", err)
	}
	return out, nil
}
