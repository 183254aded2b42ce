package kernels

import (
	"math"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

func init() {
	device.Implement("attention", device.Implementation{Backward: attentionBackward, SeesOutputs: true})
}

const (
	attentionBlock = 256 // queries, and keys, in a block
	minBlockTokens = 64  // queries of a row that pay for a loop

	maxScoreBytes      = 16 << 20
	maxShortScoreBytes = 128 << 20
)

// InBlocks says that the attention of so many queries, rows times tokens, of so many heads to so many keys each is made in blocks on this kind
// of device: where all scores would be large. Where a row has but few queries it never is.
func InBlocks(kind device.Kind, rows, tokens, heads, keys int) bool {
	return kind != device.Go && tokens >= minBlockTokens && 4*rows*tokens*heads*keys > mostScoreBytes(keys)
}

// ScoreBytes bounds the scores that an attention of so many queries makes at a time on XLA, in f32.
func ScoreBytes(queries, heads, keys int) int64 {
	return int64(min(4*queries*heads*keys, mostScoreBytes(keys)))
}

// mostScoreBytes is how large scores may be that are made whole. Short rows are faster so: of a block or two there is nothing to leave out.
func mostScoreBytes(keys int) int {
	if keys < 2*attentionBlock {
		return maxShortScoreBytes
	}
	return maxScoreBytes
}

// AttentionInBlocks lets queries q [rows, tokens, heads, headDim] look at keys and values k and v [rows, keys, kvHeads, headDim] of their
// row: a query sees the keys from first to last, both [rows, tokens] i32 and within the row, first not above last. Heads and scale are as in
// PagedAttention, and so is the result. Only the scores of some queries to some keys are there at a time, forwards and backwards, and keys
// that no query of a block sees are not looked at. It needs loops, and so XLA. It agrees with AttentionWhole within 1e-5, and gradients
// to within 1e-4 of their size.
func AttentionInBlocks(q, k, v, first, last *Node, scale float64) *Node {
	return device.Call("attention", attentionForward, rescaled(q, scale), k, v, first, last)[0]
}

// rescaled is q times what scale is more than 1/sqrt(headDim).
func rescaled(q *Node, scale float64) *Node {
	if more := scale * math.Sqrt(float64(q.Shape().Dim(3))); math.Abs(more-1) > 1e-6 {
		return MulScalar(q, more)
	}
	return q
}

// attentionForward gives the mixed values, and the logarithms of the sums [rows, heads, tokens] f32 that the gradient starts from.
func attentionForward(in []*Node) []*Node {
	q, k, v := in[0], in[1], in[2]
	b := blocksOf(q, k.Shape().Dim(1), k.Shape().Dim(2), attentionBlock, attentionBlock)
	mixed, logsum := b.forward(b.queries(q), b.spans(in[3], noKey), b.spans(in[4], -1), reader{"attention_keys", readBlocks}, b.keys(k), b.keys(v))
	return []*Node{b.ofQueries(mixed), b.ofSums(logsum)}
}

// attentionBackward is the gradient to q, k and v. Of its operands the first are attentionForward's, then its results, then their adjoints.
func attentionBackward(in []*Node) []*Node {
	q, k, v, first, last, mixed, logsum, adjoint := in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7]
	b := blocksOf(q, k.Shape().Dim(1), k.Shape().Dim(2), attentionBlock, attentionBlock)
	dots := Einsum("lqd,lqd->lq", ConvertDType(byLine(b, mixed), dtypes.Float32), ConvertDType(byLine(b, adjoint), dtypes.Float32))
	dQ, dK, dV := b.backward(b.queries(q), b.keys(k), b.keys(v), b.spans(first, noKey), b.spans(last, -1), b.sums(logsum), b.queries(adjoint),
		Reshape(dots, b.count, b.lines(), b.group*b.size))
	dQ = Mul(dQ, BroadcastToDims(Const(q.Graph(), b.scale()), dQ.Shape().Dimensions...))
	keys := k.Shape().Dim(1)
	return []*Node{ConvertDType(b.ofQueries(dQ), q.DType()), ConvertDType(b.ofKeys(dK, keys), k.DType()), ConvertDType(b.ofKeys(dV, keys), v.DType())}
}

// byLine is x in blocks, all blocks and lines on one axis.
func byLine(b blocks, x *Node) *Node {
	return Reshape(b.queries(x), b.count*b.lines(), b.group*b.size, b.headDim)
}

// SegmentSpans are first and last [rows, tokens] i32 for packed rows: a token sees its own segment up to itself. Segments [rows, tokens] i32
// are the same in the tokens of a segment, which are neighbours, and differ in those of the next one.
func SegmentSpans(segments *Node) (first, last *Node) {
	g, shape := segments.Graph(), segments.Shape()
	rows, tokens := shape.Dim(0), shape.Dim(1)
	last = Iota(g, shape, 1)
	// Where a segment begins is known there; doubling the distance that it is handed on takes it to every token.
	before := func(x *Node, n int, missing *Node) *Node {
		return Concatenate([]*Node{BroadcastToDims(missing, rows, n), SliceAxis(x, 1, AxisRange(0, tokens-n))}, 1)
	}
	begins := NotEqual(segments, before(segments, 1, Const(g, int32(math.MinInt32))))
	first = Where(begins, last, ZerosLike(last))
	for n := 1; n < tokens; n *= 2 {
		first = Max(first, before(first, n, Const(g, int32(0))))
	}
	return first, last
}

// AttentionWhole is AttentionInBlocks with all scores [rows, heads, tokens, keys] f32 at once: its plain reference, on every backend.
func AttentionWhole(q, k, v, first, last *Node, scale float64) *Node {
	rows, tokens, heads, headDim := q.Shape().Dim(0), q.Shape().Dim(1), q.Shape().Dim(2), q.Shape().Dim(3)
	keys, kvHeads := k.Shape().Dim(1), k.Shape().Dim(2)
	square := []int{rows, tokens, keys}
	key := Iota(q.Graph(), shapes.Make(dtypes.Int32, square...), 2)
	wide := func(x *Node) *Node { return BroadcastToDims(ExpandDims(x, -1), square...) }
	seen := Reshape(And(GreaterOrEqual(key, wide(first)), LessOrEqual(key, wide(last))), rows, 1, 1, tokens, keys)
	f32 := func(x *Node) *Node { return ConvertDType(x, dtypes.Float32) }
	scores := MulScalar(Einsum("btkgd,bskd->bkgts", f32(Reshape(q, rows, tokens, kvHeads, heads/kvHeads, headDim)), f32(k)), scale)
	bias := MulScalar(f32(LogicalNot(seen)), masked)
	shares := Softmax(Add(scores, BroadcastToDims(bias, scores.Shape().Dimensions...)), -1)
	mixed := Einsum("bkgts,bskd->btkgd", shares, f32(v))
	return ConvertDType(Reshape(mixed, rows, tokens, heads, headDim), q.DType())
}
