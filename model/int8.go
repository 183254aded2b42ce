package model

import (
	"errors"
	"fmt"

	"astro/internal/device"
	"astro/kernels"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Int8Shapes are the shapes of weights of 8 bits (see Weights.Int8) whose embedding is of dtype.
func (c Config) Int8Shapes(dtype dtypes.DType) []shapes.Shape {
	var list, scales []shapes.Shape
	matrix := func(dims ...int) {
		list, scales = append(list, shapes.Make(dtypes.Int8, dims...)), append(scales, shapes.Make(dtypes.Float32, dims[1]))
	}
	for _, s := range Layout(c) {
		if s.rounded() {
			matrix(s.Dims...)
		} else {
			list = append(list, s.Shape(dtype))
		}
	}
	if c.TiedHead {
		matrix(c.Hidden, c.Vocab)
	}
	return append(list, scales...)
}

// Int8Bytes is the device memory that weights of 8 bits take.
func (c Config) Int8Bytes(dtype dtypes.DType) int64 {
	n := int64(0)
	for _, s := range c.Int8Shapes(dtype) {
		n += s.ByteSize()
	}
	return n
}

// rounded says that s is of 8 bits where matrices are: all but the embedding, of which a step reads only some rows.
func (s TensorSpec) rounded() bool { return s.Transposed() }

// Int8 says that these are weights of 8 bits: in Tensors matrices are int8 (kernels.Matrix), the embedding and norms as they are else. Behind
// those of Layout are, of a tied model, its head [hidden, vocab] int8, and then the scales [columns] f32 of each int8 matrix, in their order.
func (w *Weights) Int8() bool {
	return len(w.Tensors) > 0 && w.Tensors[w.Config.FirstLayer()+1].DType() == dtypes.Int8
}

// LoadInt8 is Load with weights of 8 bits, which the device makes of matrices of dtype one at a time: there is never more than one of those.
func LoadInt8(dir string, d *device.Device, dtype dtypes.DType, progress Progress) (*Weights, error) {
	return load(dir, place{d.Backend(), dtype, d}, progress)
}

// CopyInt8 is Copy to weights of 8 bits on a device.
func (w *Weights) CopyInt8(d *device.Device, dtype dtypes.DType) (*Weights, error) {
	return w.copyTo(place{d.Backend(), dtype, d})
}

// ToInt8 makes weights of 8 bits on the device on which these are, one matrix after the other. These are freed, also on an error.
func (w *Weights) ToInt8(d *device.Device) (*Weights, error) {
	left := w.Tensors
	w.Tensors = nil
	out, err := assemble(w.Config, place{int8: d}, nil, func(TensorSpec) (*tensors.Tensor, error) {
		t := left[0]
		left = left[1:]
		return t, nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("round weights to 8 bits: %w", err), (&Weights{Tensors: left}).free())
	}
	return out, nil
}

// rounder makes matrices of 8 bits, with a program for each shape.
type rounder struct {
	device   *device.Device
	programs map[string]*device.Program
	scales   []*tensors.Tensor
	tied     []*tensors.Tensor // the head of a tied model and its scales
}

// take gives what stands in the place of t, which it frees if that is something else.
func (r *rounder) take(s TensorSpec, t *tensors.Tensor, tied bool) (*tensors.Tensor, error) {
	if tied && s.Name == "embed" {
		var err error
		if r.tied, err = r.round(t, true); err != nil {
			return nil, errors.Join(err, t.FinalizeAll())
		}
	}
	if !s.rounded() {
		return t, nil
	}
	made, err := r.round(t, false)
	if err != nil {
		return nil, errors.Join(err, t.FinalizeAll())
	}
	r.scales = append(r.scales, made[1])
	return made[0], t.FinalizeAll()
}

// rest are the tensors behind those of Layout.
func (r *rounder) rest() (list []*tensors.Tensor) {
	if r.tied != nil {
		list, r.scales = append(list, r.tied[0]), append(r.scales, r.tied[1])
	}
	list = append(list, r.scales...)
	r.tied, r.scales = nil, nil
	return list
}

// round gives a matrix in 8 bits, turned if it is [out, in], and its scales.
func (r *rounder) round(t *tensors.Tensor, turned bool) ([]*tensors.Tensor, error) {
	spec := roundSpec(t.Shape(), turned)
	p := r.programs[spec.Name]
	if p == nil {
		var err error
		if p, err = r.device.Compile(spec); err != nil {
			return nil, err
		}
		r.programs[spec.Name] = p
	}
	return p.Run(t)
}

func roundSpec(shape shapes.Shape, turned bool) device.Spec {
	name := fmt.Sprintf("round_%dx%d_%s", shape.Dim(0), shape.Dim(1), shape.DType)
	if turned {
		name += "_turned"
	}
	return device.Spec{Name: name, Params: []device.Param{{Name: "matrix", Shape: shape, Alias: -1}}, Build: func(in []*Node) []*Node {
		w := in[0]
		if turned {
			w = Transpose(w, 0, 1)
		}
		m := kernels.Int8Matrix(w)
		return []*Node{m.Values, m.Scales}
	}}
}

// close frees programs, and what nobody took.
func (r *rounder) close() {
	for _, p := range r.programs {
		p.Close()
	}
	for _, t := range r.rest() {
		t.FinalizeAll()
	}
}
