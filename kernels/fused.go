package kernels

import (
	"math"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

func init() {
	device.Implement("attention_segments", device.Implementation{Backward: segmentsBackward, SeesOutputs: true})
}

// The forms in which cuDNN knows attention are functions here: a row that is one segment (attention_causal), keys that all queries see
// (attention_prefix), segments side by side (attention_packed). Each has a reference in blocks, and what is composed of them is tested with those.

// minFusedTokens is how many queries a row has at least for cuDNN to be asked.
const minFusedTokens = 64

// fused says that cuDNN's bodies of these functions take q and k.
func fused(q, k *Node, functions ...string) bool {
	kind, headDim := device.KindOf(q.Graph()), q.Shape().Dim(3)
	if kind != device.XLACUDA || q.DType() != k.DType() || q.DType() != dtypes.BFloat16 && q.DType() != dtypes.Float16 {
		return false
	}
	for _, f := range functions {
		if device.BodyDisabled(kind, f) {
			return false
		}
	}
	return headDim <= maxFusedHeadDim && headDim%fusedHeadDimStep == 0 && q.Shape().Dim(1) >= minFusedTokens
}

// CausalAttention is attention within rows of one segment: q [rows, tokens, heads, headDim], k and v [rows, tokens, kvHeads, headDim], each
// token sees itself and those before it. On XLA; see AttentionInBlocks.
func CausalAttention(q, k, v *Node, scale float64) *Node {
	return causal(rescaled(q, scale), k, v)[0]
}

func causal(q, k, v *Node) []*Node { return device.Call("attention_causal", causalForward, q, k, v) }

func causalForward(in []*Node) []*Node {
	first, last := causalSpans(in[0])
	return attentionForward(append(in[:3:3], first, last))
}

func causalBackward(in []*Node) []*Node {
	first, last := causalSpans(in[0])
	return attentionBackward(append(append(in[:3:3], first, last), in[3:]...))
}

func causalSpans(q *Node) (first, last *Node) {
	ids := shapes.Make(dtypes.Int32, q.Shape().Dim(0), q.Shape().Dim(1))
	return BroadcastToDims(Const(q.Graph(), int32(0)), ids.Dimensions...), Iota(q.Graph(), ids, 1)
}

// ChunkAttention is PagedAttention for what the engine feeds: chunk keys and values newK and newV [seqs, tokens, kvHeads, headDim], as they were
// written to the pools at positions, follow each other from the first token's position to the last token's, and what pads is behind those. A
// Sequence's earlier positions are its prefix.
func ChunkAttention(q, newK, newV, k, v, table, positions *Node, scale float64) *Node {
	if fused(q, k, "attention_causal", "attention_prefix") {
		return chunkAttention(rescaled(q, scale), newK, newV, k, v, table, positions)
	}
	return PagedAttention(q, k, v, table, positions, scale)
}

// chunkAttention joins attention within the chunk and attention to the prefix by their sums.
func chunkAttention(q, newK, newV, k, v, table, positions *Node) *Node {
	seqs, tokens := q.Shape().Dim(0), q.Shape().Dim(1)
	own := causal(q, newK, newV)
	prefix := Reshape(SliceAxis(positions, 1, AxisRange(0, 1)), seqs)
	all := BroadcastToDims(Const(q.Graph(), int32(tokens)), seqs)
	turned := func(x *Node) *Node { return TransposeAllAxes(x, 0, 2, 1, 3) }
	before := device.Call("attention_prefix", prefixReference, turned(q), pagesOf(k, table), pagesOf(v, table), all, prefix)
	return joined([2]*Node{own[0], turned(before[0])}, [2]*Node{own[1], before[1]}, GreaterThan(prefix, ZerosLike(prefix)))
}

// prefixReference lets queries [rows, heads, tokens, headDim] see the keys [rows, kvHeads, keys, headDim] below a length [rows] i32: in[4]. Where
// that is 0 the result is not defined.
func prefixReference(in []*Node) []*Node {
	turned := func(x *Node) *Node { return TransposeAllAxes(x, 0, 2, 1, 3) }
	q := turned(in[0])
	ids := []int{q.Shape().Dim(0), q.Shape().Dim(1)}
	first := BroadcastToDims(Const(q.Graph(), int32(0)), ids...)
	last := BroadcastToDims(ExpandDims(Sub(in[4], OnesLike(in[4])), -1), ids...)
	out := attentionForward([]*Node{q, turned(in[1]), turned(in[2]), first, last})
	return []*Node{turned(out[0]), out[1]}
}

// joined is attention to two sets of keys, from the values mixed [rows, tokens, heads, headDim] and the sums' logarithms [rows, heads, tokens] of
// each. Rows where there is no second set are those of the first.
func joined(mixed, logsums [2]*Node, second *Node) *Node {
	dims := mixed[0].Shape().Dimensions
	wide := func(x *Node) *Node { return BroadcastToDims(ExpandDims(TransposeAllAxes(x, 0, 2, 1), -1), dims...) }
	most := Max(logsums[0], logsums[1])
	shares := [2]*Node{Exp(Sub(logsums[0], most)), Exp(Sub(logsums[1], most))}
	total := Add(shares[0], shares[1])
	part := func(i int) *Node { return Mul(ConvertDType(mixed[i], dtypes.Float32), wide(Div(shares[i], total))) }
	both := ConvertDType(Add(part(0), part(1)), mixed[0].DType())
	return Where(BroadcastToDims(Reshape(second, dims[0], 1, 1, 1), dims...), both, mixed[0]) // what is not taken may be no number
}

// Packed is how rows are packed with segments, for PackedAttention.
type Packed struct {
	first, last *Node // [rows, tokens] i32
	lengths     *Node // [rows, segments] i32, of all segments of all rows, one after the other; 0 = there are no more
	begins      *Node // [rows, segments+1] i32: at which token of all rows
	fit         *Node // bool: there are no more than that
}

const (
	segmentTokens = 256 // cuDNN keeps sums for each segment: there is room for one in so many tokens
	maxSegments   = 32  // and for no more in a row
)

// PackedRows reads segments [rows, tokens] i32: the same in the tokens of a segment, which are neighbours.
func PackedRows(segments *Node) Packed {
	g, rows, tokens := segments.Graph(), segments.Shape().Dim(0), segments.Shape().Dim(1)
	p := Packed{}
	p.first, p.last = SegmentSpans(segments)
	room, n := min(maxSegments, max(2, tokens/segmentTokens)), rows*tokens
	number := Reshape(ConvertDType(Equal(p.first, p.last), dtypes.Int32), 1, n) // 1 where a segment begins, then how many have begun
	for step := 1; step < n; step *= 2 {
		none := BroadcastToDims(Const(g, int32(0)), 1, step)
		number = Add(number, Concatenate([]*Node{none, SliceAxis(number, 1, AxisRange(0, n-step))}, 1))
	}
	slots := rows * (room + 1)
	earlier := LessOrEqual(BroadcastToDims(number, slots, n), Iota(g, shapes.Make(dtypes.Int32, slots, n), 0))
	begins := ReduceSum(ConvertDType(earlier, dtypes.Int32), -1) // [slots]: the tokens of earlier segments
	p.begins = Reshape(begins, rows, room+1)
	from, to := SliceAxis(begins, 0, AxisRange(0, rows*room)), SliceAxis(begins, 0, AxisRange(1, rows*room+1))
	p.lengths = Reshape(Sub(to, from), rows, room)
	p.fit = LessOrEqual(Reshape(SliceAxis(number, 1, AxisRange(n-1, n))), Const(g, int32(rows*room)))
	return p
}

// PackedAttention is attention within packed rows, without their scores: q [rows, tokens, heads, headDim], k and v [rows, tokens, kvHeads,
// headDim], each token sees its segment up to itself. On XLA; see AttentionInBlocks.
func PackedAttention(q, k, v *Node, p Packed, scale float64) *Node {
	if !fused(q, k, "attention_packed", "attention_packed_backward") {
		return AttentionInBlocks(q, k, v, p.first, p.last, scale)
	}
	return packedAttention(rescaled(q, scale), k, v, p)
}

func packedAttention(q, k, v *Node, p Packed) *Node {
	perToken := func(x *Node) *Node { return MulScalar(p.begins, x.Shape().Dim(2)*x.Shape().Dim(3)) }
	return device.Call("attention_segments", segmentsForward, q, k, v, p.first, p.last, p.lengths, perToken(q), perToken(k), p.fit)[0]
}

// segmentsForward takes cuDNN's packed form where the segments fit, and blocks where they do not. Results: mixed values, the sums of blocks
// [rows, heads, tokens], and those of cuDNN [rows*segments, heads, tokens]; of the two sums one is zeros.
func segmentsForward(in []*Node) []*Node {
	q, fit := in[0], in[8]
	rows, tokens, heads := q.Shape().Dim(0), q.Shape().Dim(1), q.Shape().Dim(2)
	zero := zeroAfter(q)
	sums := func(n int) *Node { return filled(zero, dtypes.Float32, n, heads, tokens) }
	fitting := onlyIf(fit, in[:8], []*Node{filledLike(zero, q), sums(rows * in[5].Shape().Dim(1))}, func(in []*Node) []*Node {
		return device.Call("attention_packed", packedForward, in...)
	})
	other := onlyIf(LogicalNot(fit), in[:5], []*Node{fitting[0], sums(rows)}, func(in []*Node) []*Node {
		return device.Call("attention", attentionForward, in...)
	})
	return []*Node{other[0], other[1], fitting[1]}
}

func segmentsBackward(in []*Node) []*Node {
	operands, fit, mixed, sums, stats, adjoint := in[:8:8], in[8], in[9], in[10], in[11], in[12]
	zero := zeroAfter(adjoint)
	none := []*Node{filledLike(zero, in[0]), filledLike(zero, in[1]), filledLike(zero, in[2])}
	fitting := onlyIf(fit, append(operands, mixed, stats, adjoint, stats), none, func(in []*Node) []*Node {
		return device.Call("attention_packed_backward", packedBackward, in...)
	})
	return onlyIf(LogicalNot(fit), append(operands[:5:5], mixed, sums, adjoint, sums), fitting, func(in []*Node) []*Node {
		return device.Call("attention_backward", attentionBackward, in...)
	})
}

// onlyIf gives what do makes of its operands, or otherwise where the condition is not true. It is a loop of one turn or none: go-xla's branches
// cannot take operands.
func onlyIf(condition *Node, operands, otherwise []*Node, do func(operands []*Node) []*Node) []*Node {
	n := len(otherwise)
	state := append(append([]*Node{}, otherwise...), operands...)
	zero := Const(condition.Graph(), int32(0))
	return overRange(zero, ConvertDType(condition, dtypes.Int32), state, func(_ *Node, s []*Node) []*Node {
		return append(do(s[n:]), s[n:]...)
	})[:n]
}

// zerosLike is ZerosLike with a constant of its own, as zeros32.
func zerosLike(x *Node) *Node {
	return ConvertDType(zeros32(x.Graph(), x.Shape().Dimensions...), x.DType())
}

// packedForward's sums are in the first rows of what cuDNN has for each segment.
func packedForward(in []*Node) []*Node {
	out := attentionForward(in[:5])
	rows, dims := out[1].Shape().Dim(0), append([]int{}, out[1].Shape().Dimensions...)
	dims[0] = rows * (in[5].Shape().Dim(1) - 1)
	return []*Node{out[0], Concatenate([]*Node{out[1], zeros32(in[0].Graph(), dims...)}, 0)}
}

func packedBackward(in []*Node) []*Node {
	sums := SliceAxis(in[9], 0, AxisRange(0, in[0].Shape().Dim(0)))
	return attentionBackward(append(in[:5:5], in[8], sums, in[10], sums))
}

func scaleOf(headDim int) float64 { return 1 / math.Sqrt(float64(headDim)) }
