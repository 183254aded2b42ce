package kernels

import (
	"fmt"

	"astro/internal/device"
	"astro/kernels/native"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// The layers of a Llama in training on processors: on xla:cpu each is one call of a native function, with others for its gradient. XLA cuts what is between
// products into some twenty loops a layer, each of which reads and writes memory. Serving's graph does not use them.

// nativeRows is from how many rows on that pays for a call.
const nativeRows = 96

// LearnsNatively says that so many rows of training in a dtype run native functions on a kind of device.
func LearnsNatively(kind device.Kind, dtype dtypes.DType, rows int) bool {
	return dtype == dtypes.Float32 && rows >= nativeRows && device.Natives(kind) == nil
}

// Dense is the function Product of f32, of many rows.
func Dense(x, w *Node) *Node {
	backward := func(in []*Node) []*Node {
		x, w, adjoint := in[0], in[1], in[2]
		return []*Node{
			dense("dense_to_x", native.TargetDenseToX, halfProduct.toLeft, nil, adjoint, w),
			dense("dense_to_w", native.TargetDenseToW, halfProduct.toRight, nil, x, adjoint),
		}
	}
	return dense("dense", native.TargetDense, halfProduct.of, backward, x, w)
}

func dense(name, target, equation string, backward device.Reference, a, b *Node) *Node {
	reference := func(in []*Node) []*Node { return []*Node{einsum(equation, dtypes.Float32, in[0], in[1])} }
	return device.CallNative(device.NativeCall{Name: name, Target: target, Backward: backward}, reference, a, b)[0]
}

// gradientOf is the gradient of a reference's first output to the first of its inputs, from these, maybe its outputs, and the adjoint at last: the
// truth that native gradients are compared with.
func gradientOf(reference device.Reference, inputs, to int) device.Reference {
	return func(in []*Node) []*Node {
		y := reference(in[:inputs])[0]
		return Gradient(ReduceAllSum(Mul(y, StopGradient(in[len(in)-1]))), in[:to]...)
	}
}

// RMSNorm scales each row of x [rows, width] to unit mean square and its columns by scale [width], computed in f32 (Zhang & Sennrich, arXiv
// 1910.07467); the result has the dtype of x. The mean square has eps added. Div by Sqrt, for GoMLX has no gradient of Rsqrt.
func RMSNorm(x, scale *Node, eps float64) *Node {
	x32 := ConvertDType(x, dtypes.Float32)
	meanSquare := ReduceAndKeep(Square(x32), ReduceMean, -1)
	y := Div(x32, Sqrt(AddScalar(meanSquare, eps)))
	return ConvertDType(Mul(y, ExpandLeftToRank(ConvertDType(scale, dtypes.Float32), 2)), x.DType())
}

// NormRows is RMSNorm of f32, of many rows.
func NormRows(x, scale *Node, eps float64) *Node {
	reference := func(in []*Node) []*Node { return []*Node{RMSNorm(in[0], in[1], eps)} }
	attributes := map[string]any{"eps": float32(eps)}
	backward := func(in []*Node) []*Node {
		n := device.NativeCall{Name: "norm_rows_to", Target: native.TargetNormRowsBackward, Attributes: attributes}
		return device.CallNative(n, gradientOf(reference, 2, 2), in...)
	}
	n := device.NativeCall{Name: "norm_rows", Target: native.TargetNormRows, Attributes: attributes, Backward: backward}
	return device.CallNative(n, reference, x, scale)[0]
}

// Gated is SwiGLU (Shazeer, arXiv 2002.05202) of h [rows, 2n]: silu of its first n columns times the others, [rows, n].
func Gated(h *Node) *Node {
	n := h.Shape().Dim(1) / 2
	gate, up := SliceAxis(h, 1, AxisRange(0, n)), SliceAxis(h, 1, AxisRange(n, 2*n))
	return Mul(Mul(gate, Sigmoid(gate)), up)
}

// GateRows is Gated of f32, of many rows.
func GateRows(h *Node) *Node {
	reference := func(in []*Node) []*Node { return []*Node{Gated(in[0])} }
	backward := func(in []*Node) []*Node {
		n := device.NativeCall{Name: "gate_rows_to", Target: native.TargetGateRowsBackward}
		return device.CallNative(n, gradientOf(reference, 1, 1), in...)
	}
	return device.CallNative(device.NativeCall{Name: "gate_rows", Target: native.TargetGateRows, Backward: backward}, reference, h)[0]
}

// Rotate turns the pairs (i, i+headDim/2) of x [rows, heads, headDim] by angles whose cosines and sines are given, [rows, 1, headDim/2] f32
// (Su et al., arXiv 2104.09864). It is computed in f32; the result has the dtype of x.
func Rotate(x, cos, sin *Node) *Node {
	half := x.Shape().Dim(2) / 2
	a := ConvertDType(SliceAxis(x, 2, AxisRange(0, half)), dtypes.Float32)
	b := ConvertDType(SliceAxis(x, 2, AxisRange(half, 2*half)), dtypes.Float32)
	turned := Concatenate([]*Node{Sub(Mul(a, cos), Mul(b, sin)), Add(Mul(b, cos), Mul(a, sin))}, 2)
	return ConvertDType(turned, x.DType())
}

// SelfAttention is attention within packed rows from what the product with a layer's weights gives: qkv [rows*tokens, (heads + 2 kvHeads) *
// headDim] f32, first the queries' heads, then those of keys and of values. Queries and keys are turned by their positions [rows, tokens] i32,
// of which cos and sin [positions, headDim/2] are the angles. Neighbours with the same number in segments [rows, tokens] i32 see each other up
// to themselves; 0 is padding, whose result is 0. Scores are divided by sqrt(headDim). Result: [rows*tokens, heads*headDim] f32.
//
// Natively nothing is stored but a sum for each query, and no score of two segments is made. Both forms agree within 1e-5 for values of order 1,
// gradients within 1e-4 of their size. The gradient flows to qkv alone. The reference makes all scores.
func SelfAttention(qkv, segments, positions, cos, sin *Node, heads int) *Node {
	scale := scaleOf(2 * cos.Shape().Dim(1))
	attributes := map[string]any{"scale": float32(scale)}
	reference := func(in []*Node) []*Node { return selfAttention(in, heads) }
	backward := func(in []*Node) []*Node {
		n := device.NativeCall{Name: nameOfHeads("segments_to", heads), Target: native.TargetSegmentsBackward, Attributes: attributes}
		d := device.CallNative(n, gradientOf(reference, 5, 1), in[:8]...) // without the adjoint of the sums, which nobody uses
		return []*Node{d[0], zerosLike(in[3]), zerosLike(in[4])}
	}
	n := device.NativeCall{Name: nameOfHeads("segments", heads), Target: native.TargetSegments, Attributes: attributes, Backward: backward, SeesOutputs: true}
	return device.CallNative(n, reference, qkv, segments, positions, StopGradient(cos), StopGradient(sin))[0]
}

// nameOfHeads is a function's name for so many heads: the shape of qkv does not tell them.
func nameOfHeads(name string, heads int) string { return fmt.Sprintf("%s_%d", name, heads) }

// selfAttention gives the mixed values, and the logarithms of the sums of the exponentials of scores [rows*tokens, heads].
func selfAttention(in []*Node, heads int) []*Node {
	qkv, segments, positions, cos, sin := in[0], in[1], in[2], in[3], in[4]
	rows, tokens, headDim := segments.Shape().Dim(0), segments.Shape().Dim(1), 2*cos.Shape().Dim(1)
	kvHeads := (qkv.Shape().Dim(1)/headDim - heads) / 2
	angles := func(table *Node) *Node { return ExpandDims(Gather(table, Reshape(positions, -1, 1)), 1) }
	of := func(from, n int) *Node {
		return Reshape(SliceAxis(qkv, 1, AxisRange(from*headDim, (from+n)*headDim)), rows*tokens, n, headDim)
	}
	turned := func(from, n int) *Node {
		return Reshape(Rotate(of(from, n), angles(cos), angles(sin)), rows, tokens, n, headDim)
	}
	group := heads / kvHeads
	q := MulScalar(Reshape(turned(0, heads), rows, tokens, kvHeads, group, headDim), scaleOf(headDim))
	scores := Einsum("btkgd,bskd->bkgts", q, turned(heads, kvHeads))
	first, last := SegmentSpans(segments)
	square := []int{rows, tokens, tokens}
	key := Iota(qkv.Graph(), shapes.Make(dtypes.Int32, square...), 2)
	wide := func(x *Node) *Node { return BroadcastToDims(ExpandDims(x, -1), square...) }
	seen := Reshape(And(GreaterOrEqual(key, wide(first)), LessOrEqual(key, wide(last))), rows, 1, 1, tokens, tokens)
	scores = Where(BroadcastToDims(seen, scores.Shape().Dimensions...), scores, AddScalar(ZerosLike(scores), masked))
	most := StopGradient(ReduceAndKeep(scores, ReduceMax, -1))
	logsum := Add(most, Log(ReduceAndKeep(Exp(Sub(scores, most)), ReduceSum, -1)))
	values := Reshape(of(heads+kvHeads, kvHeads), rows, tokens, kvHeads, headDim)
	mixed := Einsum("bkgts,bskd->btkgd", Exp(Sub(scores, logsum)), values)
	real := ExpandDims(Reshape(NotEqual(segments, ZerosLike(segments)), -1), -1)
	only := func(x *Node) *Node { return Where(BroadcastToDims(real, x.Shape().Dimensions...), x, ZerosLike(x)) }
	sums := Reshape(TransposeAllAxes(Reshape(logsum, rows, heads, tokens), 0, 2, 1), rows*tokens, heads)
	return []*Node{only(Reshape(mixed, rows*tokens, heads*headDim)), only(sums)}
}
