package trainer

import (
	"astro/internal/device"
	"astro/kernels"
	"astro/model"
	"astro/model/llama"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// batchNodes is a Batch in a graph, with the rope tables. Integers are i32 [rows, tokens], weights and columns f32 [rows, tokens].
type batchNodes struct {
	inputs, targets, positions, segments, weights *Node
	columns                                       []*Node
	cos, sin                                      *Node
}

// fixedBatchNodes are those of every Batch before its columns; the rope tables come behind them.
const fixedBatchNodes = 5

// batchOf takes a Batch off the front of in.
func batchOf(in []*Node, columns int) (b batchNodes, rest []*Node) {
	n := fixedBatchNodes + columns
	return batchNodes{in[0], in[1], in[2], in[3], in[4], in[fixedBatchNodes:n], in[n], in[n+1]}, in[n+2:]
}

// weightNodes are weights in a graph, with what changes some of them.
type weightNodes struct {
	tensors []*Node
	changes map[int]kernels.LowRank // by place in tensors
}

// logprobs are the log-probabilities [rows*tokens] f32 of the targets under the model; entropies, of the same shape, are those of the
// distributions that the targets are of.
func logprobs(c model.Config, o Config, w weightNodes, b batchNodes) (ofTargets, entropies *Node) {
	how := llama.Training{Compute: o.Compute.DType(), Changes: w.changes, Checkpoints: o.LayerCheckpoints}
	var attend llama.Attend
	if kernels.LearnsNatively(device.KindOf(b.segments.Graph()), how.Compute, b.segments.Shape().Size()) {
		how.Segments = b.segments
	} else {
		attend = attention(c, b.segments)
	}
	hidden := Reshape(llama.ForwardTraining(c, w.tensors, b.inputs, b.positions, b.cos, b.sin, attend, how), -1, c.Hidden)
	return kernels.TokenLogprobs(hidden, llama.Head(c, w.tensors), Reshape(b.targets, -1), o.headChunk(hidden.Shape().Dim(0), c.Vocab))
}

// attention is that of packed rows: in blocks where its scores are large, else dense.
func attention(c model.Config, segments *Node) llama.Attend {
	rows, tokens := segments.Shape().Dim(0), segments.Shape().Dim(1)
	if kernels.InBlocks(device.KindOf(segments.Graph()), rows, tokens, c.Heads, tokens) {
		packed := kernels.PackedRows(segments)
		return func(_ int, q, k, v *Node) *Node { return kernels.PackedAttention(q, k, v, packed, llama.Scale(c)) }
	}
	bias := packedBias(segments)
	return func(_ int, q, k, v *Node) *Node { return packedAttention(q, k, v, bias, llama.Scale(c)) }
}

// packedBias [rows, 1, tokens, tokens] f32 is 0 where a query (third axis) may see a key (fourth): not later than itself and of its
// own segment; elsewhere so low that the key's share rounds to 0.
func packedBias(segments *Node) *Node {
	rows, tokens := segments.Shape().Dim(0), segments.Shape().Dim(1)
	square := shapes.Make(dtypes.Int32, rows, tokens, tokens)
	query := BroadcastToDims(Reshape(segments, rows, tokens, 1), rows, tokens, tokens)
	key := BroadcastToDims(Reshape(segments, rows, 1, tokens), rows, tokens, tokens)
	g := segments.Graph()
	seen := And(Equal(query, key), GreaterOrEqual(Iota(g, square, 1), Iota(g, square, 2)))
	const hidden = -1e9
	return ExpandDims(MulScalar(ConvertDType(LogicalNot(seen), dtypes.Float32), hidden), 1)
}

// causalBlocks is into how many blocks the queries of a row are cut: a block's keys are those up to its end, so that what no query may
// see is mostly not computed. minBlockTokens is the shortest block that pays for the cutting.
const (
	causalBlocks   = 4
	minBlockTokens = 32
)

// packedAttention is dense attention within packed rows: q [rows, tokens, heads, headDim] and k, v [rows, tokens, kvHeads,
// headDim] to [rows, tokens, heads, headDim]. Scores and softmax are f32.
func packedAttention(q, k, v, bias *Node, scale float64) *Node {
	byHead := func(x *Node) *Node { return TransposeAllAxes(x, 0, 2, 1, 3) } // [rows, heads, tokens, headDim]
	q, k, v = byHead(q), byHead(k), byHead(v)
	tokens := q.Shape().Dim(2)
	size := max((tokens+causalBlocks-1)/causalBlocks, minBlockTokens)
	var mixed []*Node
	for from := 0; from < tokens; from += size {
		to := min(from+size, tokens)
		upTo := func(x *Node) *Node { return SliceAxis(x, 2, AxisRange(0, to)) }
		seen := Slice(bias, AxisRange(), AxisRange(), AxisRange(from, to), AxisRange(0, to))
		mixed = append(mixed, attendBlock(SliceAxis(q, 2, AxisRange(from, to)), upTo(k), upTo(v), seen, scale))
	}
	return byHead(Concatenate(mixed, 2))
}

// attendBlock is attention of queries [rows, heads, queries, headDim] to keys and values [rows, kvHeads, keys, headDim] under a bias
// [rows, 1, queries, keys].
func attendBlock(q, k, v, bias *Node, scale float64) *Node {
	rows, heads, queries, dim := q.Shape().Dim(0), q.Shape().Dim(1), q.Shape().Dim(2), q.Shape().Dim(3)
	kvHeads, keys := k.Shape().Dim(1), k.Shape().Dim(2)
	byGroup := heads / kvHeads * queries // the queries that share a key's head are one matrix
	scores := kernels.Scores(Reshape(q, rows, kvHeads, byGroup, dim), k)
	scores = Add(MulScalar(Reshape(scores, rows, heads, queries, keys), scale), bias)
	mixed := kernels.Mix(Reshape(Softmax(scores, -1), rows, kvHeads, byGroup, keys), v)
	return Reshape(mixed, rows, heads, queries, dim)
}
