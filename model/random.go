package model

import (
	"fmt"
	"math/rand/v2"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
)

// Random makes fresh weights as transformers does: matrices normal with standard deviation InitStd, norms 1. The same seed
// gives the same values on every machine and device. The caller owns the Weights.
func Random(c Config, seed uint64, backend compute.Backend, dtype dtypes.DType) (*Weights, error) {
	mustBeWeightType(dtype)
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("making random weights: %w", err)
	}
	stream := uint64(0)
	w, err := build(c, place{backend: backend, dtype: dtype}, nil, func(s TensorSpec, dst put) {
		stream++
		fillRandom(s, rand.New(rand.NewPCG(seed, stream)), float32(c.initStd()), dst)
	})
	if err != nil {
		return nil, fmt.Errorf("making random weights: %w", err)
	}
	return w, nil
}

func fillRandom(s TensorSpec, r *rand.Rand, std float32, dst put) {
	values := make([]float32, runValues)
	for from, n := 0, s.Len(); from < n; from += runValues {
		values = values[:min(runValues, n-from)]
		for i := range values {
			if values[i] = 1; !s.Norm() {
				values[i] = std * float32(r.NormFloat64())
			}
		}
		dst(from, values)
	}
}
