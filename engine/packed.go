package engine

import (
	"fmt"

	"astro/internal/device"
	"astro/kernels/native"
	"astro/model"
	"astro/model/llama"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// Form is how a model runs.
type Form string

// The forms. The named ones but those of the graph run on native kernels, on packed weights of that kind.
const (
	FormAuto      Form = ""           // native kernels where they can be used, with weights as they are; else the graph
	FormGraph     Form = "graph"      // plain operations
	FormGraphInt8 Form = "graph-int8" // plain operations, on weights of 8 bits
	FormF32       Form = "f32"
	FormBF16      Form = "bf16"
	FormInt8      Form = "int8" // on xla:cuda the same as FormGraphInt8
	FormInt4      Form = "int4"
)

// ParseForm reads a form's name; auto is FormAuto.
func ParseForm(name string) (Form, error) {
	switch f := Form(name); f {
	case "auto", FormAuto:
		return FormAuto, nil
	case FormGraph, FormGraphInt8, FormF32, FormBF16, FormInt8, FormInt4:
		return f, nil
	}
	return "", fmt.Errorf("%q: want auto, graph, graph-int8, f32, bf16, int8 or int4", name)
}

// On is the form as a model runs in it on so many devices of a kind: only as a graph on several, for native kernels run on one, and int8 there is
// on xla:cuda as a graph alone. An error says so of a form that was asked for by its name.
func (f Form) On(kind device.Kind, devices int) (Form, error) {
	switch {
	case kind == device.XLACUDA && f == FormInt8:
		f = FormGraphInt8
	case devices > 1 && f == FormAuto:
		return FormGraph, nil
	}
	switch {
	case devices == 1 || f == FormGraph:
		return f, nil
	case f == FormGraphInt8:
		return "", fmt.Errorf("weights of 8 bits are on one device, not on %d; use auto or graph", devices)
	}
	return "", fmt.Errorf("weights as %s: native kernels run on one device, not on %d; use auto or graph", f, devices)
}

// ChooseForm gives the packed form that a model runs in, or nil for the graph. dtype is that of the matrices, kvType of keys and values. An
// error says why a form that was asked for by its name cannot be had.
func ChooseForm(d *device.Device, c model.Config, f Form, dtype, kvType dtypes.DType, pageTokens int) (*llama.Packed, error) {
	if f, _ = f.On(d.Kind(), 1); f == FormGraph || f == FormGraphInt8 {
		return nil, nil
	}
	name := string(f)
	if f == FormAuto {
		name = map[dtypes.DType]string{dtypes.Float32: "f32", dtypes.BFloat16: "bf16"}[dtype]
	}
	p, err := packedForm(d, c, name, kvType, pageTokens)
	switch {
	case err != nil && f == FormAuto:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("weights as %s: %w", f, err)
	}
	return p, nil
}

func packedForm(d *device.Device, c model.Config, weights string, kvType dtypes.DType, pageTokens int) (*llama.Packed, error) {
	kind, err := native.ParseWeights(weights)
	if err != nil {
		return nil, err
	}
	if err := d.Natives(); err != nil {
		return nil, err
	}
	pages, ok := map[dtypes.DType]native.Pages{dtypes.Float32: native.PagesF32, dtypes.BFloat16: native.PagesBF16, dtypes.Float16: native.PagesF16,
		dtypes.Int8: native.PagesInt8}[kvType]
	if !ok {
		return nil, fmt.Errorf("no pages of %s; want f32, bf16, f16 or int8", kvType)
	}
	p := &llama.Packed{Config: c, Weights: kind, Pages: pages, PageTokens: pageTokens}
	return p, p.Check()
}

// buildPacked is build on packed weights and one pool.
func (f *forward) buildPacked(b Bucket, in []*Node) []*Node {
	batch, blob := in[0], in[3]
	x, pool := f.packed.Forward(batch, in[1], in[2], blob, in[4], b.Tokens, b.Pages)
	last := Reshape(SliceAxis(batch, 1, AxisRange(3*b.Tokens+b.Pages, b.batchWidth())), -1)
	out := []*Node{f.packed.Logits(f.lastRows(b, x, last), blob)}
	if b.Score {
		out = append(out, f.packed.Logits(x, blob))
	}
	if b.Embed {
		out = append(out, f.embeddings(b, f.packed.Norm(x, blob), last))
	}
	return append(out, pool)
}

// packSpec is the program that packs a model's tensors.
func (f *forward) packSpec() device.Spec {
	return device.Spec{Name: "pack", Params: f.tensorParams(), Build: func(in []*Node) []*Node { return []*Node{f.packed.Pack(in)} }}
}
