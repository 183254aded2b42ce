package modeltest

import (
	"slices"

	"astro/model"

	"github.com/gomlx/gomlx/core/tensors"
)

// Values copies f32 tensors to the host.
func Values(list []*tensors.Tensor) [][]float32 {
	all := make([][]float32, len(list))
	for i, t := range list {
		all[i] = tensors.MustCopyFlatData[float32](t)
	}
	return all
}

// Same says whether f32 tensors are equal, bit for bit but for the sign of zero.
func Same(a, b []*tensors.Tensor) bool {
	return slices.EqualFunc(Values(a), Values(b), slices.Equal[[]float32])
}

// Weights are a model of these values, in the order of model.Layout.
func Weights(c model.Config, values [][]float32) *model.Weights {
	w := &model.Weights{Config: c}
	for i, s := range model.Layout(c) {
		w.Tensors = append(w.Tensors, tensors.FromFlatDataAndDimensions(values[i], s.Dims...))
	}
	return w
}
