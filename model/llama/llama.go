// Package llama is the Llama graph: one definition for prefill, decode and training.
//
// It is the pre-norm transformer of Touvron et al. (arXiv 2302.13971, 2307.09288) and Grattafiori et al. (arXiv 2407.21783):
// RMSNorm, rotary positions in split halves (the layout of Hugging Face checkpoints), grouped-query attention, SwiGLU.
// Weights are explicit graph inputs in the order of model.Layout, or of 8 bits as model.Weights.Int8 has them. How a query finds its keys is the caller's: Attend is paged
// attention when serving and dense packed attention when training; everything else is the same.
//
// In a program across devices the Config and the weights are what one device has (model.Config.Share), and hidden states and logits are whole
// and the same on each.
package llama

import (
	"math"

	"astro/kernels"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// Attend is one layer's attention: q [seqs, tokens, heads, headDim] and k, v [seqs, tokens, kvHeads, headDim], q and k rotated,
// to the mixed values [seqs, tokens, heads, headDim]. Scores are scaled by Scale.
type Attend func(layer int, q, k, v *Node) *Node

// Scale is what attention scores are multiplied by: 1/sqrt(headDim).
func Scale(c model.Config) float64 { return 1 / math.Sqrt(float64(c.HeadDim)) }

// Forward runs the layers over tokens [seqs, tokens] i32 at positions [seqs, tokens] i32 and returns the final normed hidden
// states [seqs, tokens, hidden] in the dtype of the embedding. cos and sin are RopeTables, [positions, headDim/2] f32.
func Forward(c model.Config, weights []*Node, tokens, positions, cos, sin *Node, attend Attend) *Node {
	return forward(c, weights, tokens, positions, cos, sin, attend, Training{Compute: weights[0].DType()})
}

// Training is how a forward pass runs that a gradient is wanted of.
type Training struct {
	// Compute is the dtype of hidden states and of the operands of products: Float32, or BFloat16 where weights that are f32 are
	// rounded for each product. Their gradients are f32; norms, rotations, scores and softmax are computed in f32 always.
	Compute dtypes.DType

	// Changes are what is trained of matrices of layers that are frozen themselves, by their places in the weights.
	Changes map[int]kernels.LowRank

	// Checkpoints saves memory (Chen et al., arXiv 1604.06174): of each layer only what came into it is kept, and a backward pass computes
	// the rest again, for a third more time.
	Checkpoints bool

	// Segments [seqs, tokens] i32, if any, say how rows are packed, and layers are made of what kernels has for training on processors, in f32:
	// attention is kernels.SelfAttention, and Attend is not asked.
	Segments *Node
}

// parts are what a layer is made of besides attention.
type parts struct {
	product func(m kernels.Matrix, x *Node) *Node
	norm    func(x, scale *Node, eps float64) *Node
	gated   func(h *Node) *Node
}

var (
	inGraph  = parts{kernels.Matrix.Product, kernels.RMSNorm, kernels.Gated}
	natively = parts{kernels.Matrix.Dense, kernels.NormRows, kernels.GateRows}
)

// parts are those that it asks for.
func (how Training) parts() parts {
	if how.Segments != nil {
		return natively
	}
	return inGraph
}

// ForwardTraining is Forward for training; the hidden states are of how.Compute.
func ForwardTraining(c model.Config, weights []*Node, tokens, positions, cos, sin *Node, attend Attend, how Training) *Node {
	x := forward(c, weights, tokens, positions, cos, sin, attend, how)
	if how.Checkpoints {
		return x.StopCheckpoint()
	}
	return x
}

func forward(c model.Config, weights []*Node, tokens, positions, cos, sin *Node, attend Attend, how Training) *Node {
	seqs, length := tokens.Shape().Dim(0), tokens.Shape().Dim(1)
	p, turns := how.parts(), angles{rowsAt(cos, positions), rowsAt(sin, positions), seqs}
	mix := func(l int, qkv *Node) *Node {
		if how.Segments != nil {
			return kernels.SelfAttention(qkv, how.Segments, positions, cos, sin, c.Heads)
		}
		return turns.mix(c, qkv, func(q, k, v *Node) *Node { return attend(l, q, k, v) })
	}
	enter := func(x *Node) *Node { return x }
	if how.Checkpoints {
		enter = (*Node).Checkpoint
	}
	// [seqs*tokens, hidden]; rounded behind the Gather, so that gradients of a token's many rows are added up in the embedding's dtype
	x := ConvertDType(kernels.AllGather(Gather(weights[0], Reshape(tokens, -1, 1))), how.Compute)
	for l := range c.Layers {
		first := c.FirstLayer() + l*model.PerLayer
		w, m := weights[first:], func(i int) kernels.Matrix { return how.matrix(weights, first+i) }
		x = p.attention(c, w[0], m(1), m(2), enter(x), func(qkv *Node) *Node { return mix(l, qkv) })
		x = p.mlp(c, w[3], m(4), m(5), x)
	}
	return Reshape(p.norm(x, weights[1], c.NormEps), seqs, length, c.Hidden)
}

// matrix is one of the weights as it is trained, or in 8 bits.
func (how Training) matrix(weights []*Node, i int) kernels.Matrix {
	m := matrix(weights, i)
	m.Change = how.Changes[i]
	return m
}

// matrix is one of the weights, with its scales where it is of 8 bits.
func matrix(weights []*Node, i int) kernels.Matrix {
	m := kernels.Matrix{Values: weights[i]}
	if m.Values.DType() != dtypes.Int8 {
		return m
	}
	m.Scales = weights[len(weights)-int8Matrices(weights[i:])]
	return m
}

// int8Matrices counts those of 8 bits.
func int8Matrices(weights []*Node) (n int) {
	for _, w := range weights {
		if w.DType() == dtypes.Int8 {
			n++
		}
	}
	return n
}

// attention adds attention to x [rows, hidden]; mix makes mixed values [rows, heads*headDim] of queries, keys and values side by side.
func (p parts) attention(c model.Config, norm *Node, qkv, out kernels.Matrix, x *Node, mix func(qkv *Node) *Node) *Node {
	mixed := mix(p.product(qkv, p.norm(x, norm, c.NormEps)))
	return Add(x, kernels.AllReduce(p.product(out, mixed)))
}

// angles are the cosines and sines of rows that are so many sequences of one length, [rows, 1, headDim/2].
type angles struct {
	cos, sin *Node
	seqs     int
}

// mix cuts h [rows, (heads + 2 kvHeads) * headDim] into queries, keys and values, and turns the first two.
func (a angles) mix(c model.Config, h *Node, attend func(q, k, v *Node) *Node) *Node {
	rows := h.Shape().Dim(0)
	q := kernels.Rotate(columns(h, 0, c.Heads, c.HeadDim), a.cos, a.sin)
	k := kernels.Rotate(columns(h, c.Heads, c.KVHeads, c.HeadDim), a.cos, a.sin)
	v := columns(h, c.Heads+c.KVHeads, c.KVHeads, c.HeadDim)
	mixed := attend(perSeq(q, a.seqs, rows/a.seqs), perSeq(k, a.seqs, rows/a.seqs), perSeq(v, a.seqs, rows/a.seqs))
	return Reshape(mixed, rows, c.Heads*c.HeadDim)
}

// mlp adds the feed-forward network to x [rows, hidden].
func (p parts) mlp(c model.Config, norm *Node, gateUp, down kernels.Matrix, x *Node) *Node {
	h := p.product(gateUp, p.norm(x, norm, c.NormEps))
	return Add(x, kernels.AllReduce(p.product(down, p.gated(h))))
}

// Logits maps hidden states [rows, hidden] to f32 logits [rows, vocab] by a head [hidden, vocab].
func Logits(head kernels.Matrix, hidden *Node) *Node {
	return kernels.AllGather(head.Logits(hidden))
}

// Int8Head is the head [hidden, vocab] among weights of 8 bits; that of a tied model is behind its layers.
func Int8Head(c model.Config, weights []*Node) kernels.Matrix {
	if c.TiedHead {
		return matrix(weights, c.FirstLayer()+c.Layers*model.PerLayer)
	}
	return matrix(weights, 2)
}

// Head is the head of a model with these weights: a tied one is the embedding, so that gradients reach it. Serving keeps a copy
// [hidden, vocab] beside the weights, because products of few rows with a [vocab, hidden] matrix take up to seven times as long on a CPU.
func Head(c model.Config, weights []*Node) kernels.Head {
	if c.TiedHead {
		return kernels.Head{Matrix: weights[0], Turned: true}
	}
	return kernels.Head{Matrix: weights[2]}
}

// columns takes n heads of h [rows, heads*headDim], from the given head on: [rows, n, headDim].
func columns(h *Node, from, n, headDim int) *Node {
	return Reshape(SliceAxis(h, 1, AxisRange(from*headDim, (from+n)*headDim)), -1, n, headDim)
}

func perSeq(x *Node, seqs, length int) *Node {
	return Reshape(x, seqs, length, x.Shape().Dim(1), x.Shape().Dim(2))
}

// rowsAt looks positions up in a table [positions, headDim/2]: [rows, 1, headDim/2], ready to meet [rows, heads, headDim/2].
func rowsAt(table, positions *Node) *Node {
	return ExpandDims(Gather(table, Reshape(positions, -1, 1)), 1)
}
