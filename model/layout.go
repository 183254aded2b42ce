package model

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// TensorSpec is one parameter of the graph. Matrices are [in, out] (a Hugging Face checkpoint has [out, in]), and those that
// read the same input are one tensor, side by side on the last axis, because fewer and wider products are faster everywhere.
type TensorSpec struct {
	Name  string
	Dims  []int
	Parts []Part // the checkpoint's tensors that it is made of, in order along the last axis
}

// Part is a tensor of a Hugging Face checkpoint and its dimensions there.
type Part struct {
	Name string
	Dims []int
}

// PerLayer is the number of tensors of one layer in Layout.
const PerLayer = 6

// headName is the one tensor that a checkpoint with a tied head may hold although the Layout has no place for it.
const headName = "lm_head.weight"

// Layout lists a model's parameters in the order in which graphs take them: embedding [vocab, hidden], final norm [hidden],
// the head [hidden, vocab] unless it is tied, then for every layer: attention norm [hidden],
// qkv [hidden, (heads+2*kvHeads)*headDim], o [heads*headDim, hidden], mlp norm [hidden], gateUp [hidden, 2*ffn],
// down [ffn, hidden]. Only the embedding keeps the checkpoint's orientation.
func Layout(c Config) []TensorSpec {
	specs := []TensorSpec{
		whole("embed", "model.embed_tokens.weight", c.Vocab, c.Hidden),
		whole("norm", "model.norm.weight", c.Hidden),
	}
	if !c.TiedHead {
		specs = append(specs, TensorSpec{"head", []int{c.Hidden, c.Vocab}, []Part{{headName, []int{c.Vocab, c.Hidden}}}})
	}
	for l := range c.Layers {
		specs = append(specs, layer(c, l)...)
	}
	return specs
}

// FirstLayer is the index in Layout of layer 0's first tensor.
func (c Config) FirstLayer() int {
	if c.TiedHead {
		return 2
	}
	return 3
}

func layer(c Config, l int) []TensorSpec {
	hf := fmt.Sprintf("model.layers.%d.", l)
	name := fmt.Sprintf("layer%d_", l)
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	return []TensorSpec{
		whole(name+"attn_norm", hf+"input_layernorm.weight", c.Hidden),
		{name + "qkv", []int{c.Hidden, q + 2*kv}, []Part{
			{hf + "self_attn.q_proj.weight", []int{q, c.Hidden}},
			{hf + "self_attn.k_proj.weight", []int{kv, c.Hidden}},
			{hf + "self_attn.v_proj.weight", []int{kv, c.Hidden}}}},
		{name + "o", []int{q, c.Hidden}, []Part{{hf + "self_attn.o_proj.weight", []int{c.Hidden, q}}}},
		whole(name+"mlp_norm", hf+"post_attention_layernorm.weight", c.Hidden),
		{name + "gate_up", []int{c.Hidden, 2 * c.FFN}, []Part{
			{hf + "mlp.gate_proj.weight", []int{c.FFN, c.Hidden}},
			{hf + "mlp.up_proj.weight", []int{c.FFN, c.Hidden}}}},
		{name + "down", []int{c.FFN, c.Hidden}, []Part{{hf + "mlp.down_proj.weight", []int{c.Hidden, c.FFN}}}},
	}
}

func whole(name, hf string, dims ...int) TensorSpec {
	return TensorSpec{name, dims, []Part{{hf, dims}}}
}

// Transposed says whether the parts are stored [out, in] in a checkpoint and must be turned.
func (s TensorSpec) Transposed() bool {
	return s.Parts[0].Name == headName || strings.HasSuffix(s.Parts[0].Name, "_proj.weight")
}

// Norm says whether this is the scale of a normalisation, which stays f32 whatever the dtype of the matrices.
func (s TensorSpec) Norm() bool { return len(s.Dims) == 1 }

// Len is the number of elements.
func (s TensorSpec) Len() int {
	n := 1
	for _, d := range s.Dims {
		n *= d
	}
	return n
}

// Shape is the tensor on the device when matrices have the given dtype.
func (s TensorSpec) Shape(dtype dtypes.DType) shapes.Shape {
	if s.Norm() {
		dtype = dtypes.Float32
	}
	return shapes.Make(dtype, s.Dims...)
}

// WeightBytes is the device memory that weights of c take with matrices of the given dtype.
func (c Config) WeightBytes(dtype dtypes.DType) int64 {
	n := int64(0)
	for _, s := range Layout(c) {
		n += s.Shape(dtype).ByteSize()
	}
	return n
}
