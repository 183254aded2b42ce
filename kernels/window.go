package kernels

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// A window is the keys or the values of one layer for a batch of Sequences, side by side: [seqs*kvHeads, positions, headDim].

// WindowWrite stores rows [seqs, kvHeads, headDim], of the window's dtype, at positions [seqs] i32 of their Sequences' lines and returns the
// window. Position -1 = not written. In place as PageWrite is.
func WindowWrite(window, positions, rows *Node) *Node {
	length, headDim := window.Shape().Dim(1), window.Shape().Dim(2)
	seqs, kvHeads := rows.Shape().Dim(0), rows.Shape().Dim(1)
	line := MulScalar(Iota(window.Graph(), shapes.Make(dtypes.Int32, seqs), 0), length)
	slots := Where(GreaterOrEqual(positions, ZerosLike(positions)), Add(line, positions), positions)
	pool := PageWrite(Reshape(window, seqs, kvHeads, length, headDim), slots, rows)
	return Reshape(pool, seqs*kvHeads, length, headDim)
}

// WindowAttention is PagedAttention of one query per Sequence, q [seqs, 1, heads, headDim], over windows of keys and values.
func WindowAttention(q, k, v, positions *Node, scale float64) *Node {
	seqs, heads, headDim := q.Shape().Dim(0), q.Shape().Dim(2), q.Shape().Dim(3)
	lines, length := k.Shape().Dim(0), k.Shape().Dim(1)
	group := seqs * heads / lines
	queries := Reshape(MulScalar(ConvertDType(q, dtypes.Float32), scale), lines, group, headDim)
	scores := Einsum("lgd,lpd->lgp", queries, ConvertDType(k, dtypes.Float32))
	bias := BroadcastToDims(causalBias(positions, 1, length), seqs, lines/seqs, group, length)
	weights := Softmax(Add(scores, Reshape(bias, lines, group, length)), -1)
	mixed := Einsum("lgp,lpd->lgd", weights, ConvertDType(v, dtypes.Float32))
	return ConvertDType(Reshape(mixed, seqs, 1, heads, headDim), q.DType())
}
