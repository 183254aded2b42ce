package model

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"astro/model/safetensors"

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

// Load reads the Hugging Face folder dir and puts its weights on the device, matrices as dtype (Float32 or BFloat16), norms as
// Float32. Every tensor is checked before the first one is copied; on the host only one tensor at a time is in memory beside
// the mapped files. The caller owns the Weights.
func Load(dir string, backend compute.Backend, dtype dtypes.DType, progress Progress) (*Weights, error) {
	mustBeWeightType(dtype)
	config, err := LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	folder, err := safetensors.OpenFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("loading model: %w", err)
	}
	defer folder.Close()
	if err := checkTensors(config, folder); err != nil {
		return nil, fmt.Errorf("loading model %s: %w", dir, err)
	}
	w, err := build(config, backend, dtype, progress, func(s TensorSpec, dst put) {
		fillParts(s, folder, dst)
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
func checkTensors(c Config, folder *safetensors.Folder) error {
	known := map[string]bool{}
	for _, s := range Layout(c) {
		for _, p := range s.Parts {
			known[p.Name] = true
			if err := checkPart(p, folder); err != nil {
				return err
			}
		}
	}
	for _, name := range folder.Names() {
		if !known[name] && !harmless(name, c) {
			return fmt.Errorf("the checkpoint has tensor %q, which a %s of this config.json does not have", name, architecture)
		}
	}
	return nil
}

func checkPart(p Part, folder *safetensors.Folder) error {
	t, ok := folder.Tensor(p.Name)
	if !ok {
		hint := ""
		if p.Name == headName {
			hint = "; if the head is the embedding, config.json must say tie_word_embeddings"
		}
		return fmt.Errorf("tensor %q %v is missing%s", p.Name, p.Dims, hint)
	}
	if !slices.Equal(t.Dims, p.Dims) {
		return fmt.Errorf("tensor %q has shape %v; config.json wants %v", p.Name, t.Dims, p.Dims)
	}
	if !t.DType.Float() {
		return fmt.Errorf("tensor %q has dtype %s; supported are F32, F16 and BF16", p.Name, t.DType)
	}
	return nil
}

// harmless says whether a tensor outside the layout may be ignored: angles that old checkpoints store although they
// follow from config.json, and a copy of a tied head.
func harmless(name string, c Config) bool {
	return strings.HasSuffix(name, ".rotary_emb.inv_freq") || name == headName && c.TiedHead
}

// build makes the weights of c one tensor after the other: fill writes its values into host memory that is used again for the
// next. On an error what was built is freed.
func build(c Config, backend compute.Backend, dtype dtypes.DType, progress Progress, fill func(TensorSpec, put)) (*Weights, error) {
	w := &Weights{Config: c}
	total, done := c.WeightBytes(dtype), int64(0)
	var stage staging
	for _, s := range Layout(c) {
		t, err := stage.upload(s, backend, dtype, fill)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("putting %s %v on the device: %w", s.Name, s.Dims, err), w.free())
		}
		w.Tensors = append(w.Tensors, t)
		done += t.ByteSize()
		if progress != nil {
			progress(done, total)
		}
	}
	return w, nil
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
	buffer, err := backend.BufferFromFlatData(0, flat, shape)
	if err != nil {
		return nil, err
	}
	return tensors.FromBuffer(buffer)
}
