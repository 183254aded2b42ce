package model

import (
	"errors"
	"fmt"
	"slices"

	"astro/internal/device"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/gomlx/core/tensors"
)

// Progress is told how many bytes of the device's weights are in place, of how many. It may be nil.
type Progress func(doneBytes, totalBytes int64)

// ParseDType reads the name of a weight type as flags give it: f32 or bf16.
func ParseDType(name string) (dtypes.DType, error) {
	switch name {
	case "f32":
		return dtypes.Float32, nil
	case "bf16":
		return dtypes.BFloat16, nil
	}
	return dtypes.InvalidDType, fmt.Errorf("dtype %q is not supported; supported are f32 and bf16", name)
}

// Load reads the model at dir, a Hugging Face folder or a GGUF file, and puts its weights on the device, matrices as dtype (Float32 or
// BFloat16), norms as Float32; what a GGUF file has in fewer bits is widened. Every tensor is checked before the first one is copied;
// on the host only one tensor at a time is in memory beside the mapped files. Without a backend (nil) all of them stay in the host's memory.
// The caller owns the Weights.
func Load(dir string, backend compute.Backend, dtype dtypes.DType, progress Progress) (*Weights, error) {
	return load(dir, place{backend: backend, dtype: dtype}, progress)
}

func load(dir string, to place, progress Progress) (*Weights, error) {
	mustBeWeightType(to.dtype)
	config, err := LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	from, err := openSource(dir, config)
	if err != nil {
		return nil, fmt.Errorf("loading model: %w", err)
	}
	defer from.Close()
	if err := checkTensors(config, from); err != nil {
		return nil, fmt.Errorf("loading model %s: %w", dir, err)
	}
	w, err := build(config, to, progress, func(s TensorSpec, dst put) {
		fillParts(s, from, dst)
	})
	if err != nil {
		return nil, fmt.Errorf("loading model %s: %w", dir, err)
	}
	return w, nil
}

func mustBeWeightType(dtype dtypes.DType) {
	if dtype != dtypes.Float32 && dtype != dtypes.BFloat16 {
		panic(fmt.Sprintf("BUG: weights got dtype %s; want Float32 or BFloat16", dtype))
	}
}

// checkTensors compares a checkpoint with the layout: everything there, in its shape and a type that can be read, and nothing
// that would have to be computed with but is not known.
func checkTensors(c Config, from source) error {
	known := map[string]bool{}
	for _, s := range Layout(c) {
		for _, p := range s.Parts {
			known[from.name(p.Name)] = true
			if err := checkPart(p, from); err != nil {
				return err
			}
		}
	}
	for _, name := range from.names() {
		if !known[name] && !from.harmless(name) {
			return fmt.Errorf("the checkpoint has tensor %q, which by %s a %s does not have", name, from.shapes(), architecture)
		}
	}
	return nil
}

func checkPart(p Part, from source) error {
	name := from.name(p.Name)
	t, ok := from.tensor(name)
	if !ok {
		hint := ""
		if name == headName {
			hint = "; if the head is the embedding, config.json must say tie_word_embeddings"
		}
		return fmt.Errorf("tensor %q %v is missing%s", name, p.Dims, hint)
	}
	if !slices.Equal(t.dims, p.Dims) {
		return fmt.Errorf("tensor %q has shape %v; %s wants %v", name, t.dims, from.shapes(), p.Dims)
	}
	if !t.float {
		return fmt.Errorf("tensor %q has dtype %s; supported are F32, F16 and BF16", name, t.dtype)
	}
	return nil
}

// place is where weights are made and what of.
type place struct {
	backend compute.Backend // nil = in the host's memory
	dtype   dtypes.DType
	int8    *device.Device // of the backend; matrices are rounded to 8 bits on it; nil = they are dtype
}

// bytes is the memory that all tensors take.
func (p place) bytes(c Config) int64 {
	if p.int8 != nil {
		return c.Int8Bytes(p.dtype)
	}
	return c.WeightBytes(p.dtype)
}

// build makes the weights of c one tensor after the other: fill writes its values into host memory that is used again for the
// next. On an error what was built is freed.
func build(c Config, to place, progress Progress, fill func(TensorSpec, put)) (*Weights, error) {
	var stage staging
	return assemble(c, to, progress, func(s TensorSpec) (*tensors.Tensor, error) { return stage.upload(s, to.backend, to.dtype, fill) })
}

// assemble makes weights of c of what one gives for each tensor, which is rounded if the place wants it. On an error what was made is freed.
func assemble(c Config, to place, progress Progress, one func(TensorSpec) (*tensors.Tensor, error)) (*Weights, error) {
	w := &Weights{Config: c}
	r := &rounder{device: to.int8, programs: map[string]*device.Program{}}
	defer r.close()
	done, tell := int64(0), func(int64) {}
	if progress != nil {
		total := to.bytes(c)
		tell = func(n int64) { done += n; progress(done, total) }
	}
	for _, s := range Layout(c) {
		t, err := one(s)
		if err == nil && to.int8 != nil {
			t, err = r.take(s, t, c.TiedHead)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("putting %s %v on the device: %w", s.Name, s.Dims, err), w.free())
		}
		w.Tensors = append(w.Tensors, t)
		tell(t.ByteSize())
	}
	if to.int8 != nil {
		for _, t := range r.rest() {
			w.Tensors = append(w.Tensors, t)
			tell(t.ByteSize())
		}
	}
	return w, nil
}

// Upload puts one tensor on the device, or without a backend into the host's memory: read gives its values from element at on.
func Upload(s TensorSpec, backend compute.Backend, dtype dtypes.DType, read func(values []float32, at int)) (*tensors.Tensor, error) {
	mustBeWeightType(dtype)
	var stage staging
	return stage.upload(s, backend, dtype, func(s TensorSpec, dst put) {
		values := make([]float32, runValues)
		for at, n := 0, s.Len(); at < n; at += runValues {
			values = values[:min(runValues, n-at)]
			read(values, at)
			dst(at, values)
		}
	})
}

// staging is host memory on the way to the device, kept from one tensor to the next.
type staging struct {
	f32  []float32
	bf16 []bfloat16.BFloat16
}

// upload fills a host array for s and copies it to the device.
func (g *staging) upload(s TensorSpec, backend compute.Backend, dtype dtypes.DType, fill func(TensorSpec, put)) (*tensors.Tensor, error) {
	shape, n := s.Shape(dtype), s.Len()
	var flat any
	var dst put
	if shape.DType == dtypes.BFloat16 {
		g.bf16 = slices.Grow(g.bf16[:0], n)[:n]
		flat, dst = g.bf16, putBF16(g.bf16)
	} else {
		g.f32 = slices.Grow(g.f32[:0], n)[:n]
		flat, dst = g.f32, putF32(g.f32)
	}
	fill(s, dst)
	if backend == nil {
		return tensors.FromRaw(nil, 0, shape, dtypes.UnsafeByteSliceFromAny(flat))
	}
	buffer, err := backend.BufferFromFlatData(0, flat, shape)
	if err != nil {
		return nil, err
	}
	return tensors.FromBuffer(buffer)
}
