package kernels

import (
	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// masked is added to the scores of keys that a query must not see: exp gives exactly 0 for it, and it stays finite.
const masked = -1e30

// PagedAttention lets queries q [seqs, tokens, heads, headDim] at positions [seqs, tokens] i32 look at the keys and values of
// their own Sequence in pools k and v, found through table [seqs, maxPages] i32: a query at position p sees positions 0 to p.
// Scores are multiplied by scale; the softmax is f32. heads is a multiple of the pools' kvHeads, and query head h reads kv head
// h/(heads/kvHeads). Entries of table past a Sequence's pages may be any page. The pools must be finite everywhere.
// Result: [seqs, tokens, heads, headDim] in q's dtype, within 1e-5 of the exact value in f32 for values of order 1 (2e-5 from bf16 pools).
//
// DecodeKernel says where a kernel reads the pages in place. Elsewhere, where a chunk's scores would be large, they are made in blocks, on XLA, and
// pages are read as they are looked at; else all pages are copied.
func PagedAttention(q, k, v, table, positions *Node, scale float64) *Node {
	seqs, tokens, heads := q.Shape().Dim(0), q.Shape().Dim(1), q.Shape().Dim(2)
	if InBlocks(device.KindOf(q.Graph()), seqs, tokens, heads, table.Shape().Dim(1)*k.Shape().Dim(2)) {
		return device.Call("paged_attention_blocks", pagedInBlocks, rescaled(q, scale), k, v, table, positions)[0]
	}
	return device.Call(pagedAttentionName, pagedAttention, rescaled(q, scale), k, v, table, positions)[0]
}

// pagedAttention is PagedAttention for q that is multiplied by scale*sqrt(headDim); what is left is multiplied in f32, for bf16 has no place for most
// square roots. It gathers whole (page, head) blocks, so that keys arrive as [seqs, kvHeads, positions, headDim] without a
// transposition, and shares each kv head among its group of query heads without copying it.
func pagedAttention(in []*Node) []*Node {
	q, k, v, table, positions := in[0], in[1], in[2], in[3], in[4]
	seqs, tokens, heads, headDim := q.Shape().Dim(0), q.Shape().Dim(1), q.Shape().Dim(2), q.Shape().Dim(3)
	kvHeads := k.Shape().Dim(1)
	group := heads / kvHeads

	keys, values := gatherPages(k, table), gatherPages(v, table)
	// [seqs, kvHeads, tokens*group, headDim]: all queries that read one kv head are rows of one product.
	queries := Reshape(MulScalar(ConvertDType(q, dtypes.Float32), scaleOf(headDim)), seqs, tokens, kvHeads, group, headDim)
	if tokens > 1 {
		queries = TransposeAllDims(queries, 0, 2, 1, 3, 4)
	}
	queries = Reshape(queries, seqs, kvHeads, tokens*group, headDim)
	scores := Einsum("bkqd,bksd->bkqs", queries, keys)
	weights := Softmax(Add(scores, causalBias(positions, group, keys.Shape().Dim(2))), -1)
	mixed := Einsum("bkqs,bksd->bkqd", weights, values)
	if tokens > 1 {
		mixed = TransposeAllDims(Reshape(mixed, seqs, kvHeads, tokens, group, headDim), 0, 2, 1, 3, 4)
	}
	return []*Node{ConvertDType(Reshape(mixed, seqs, tokens, heads, headDim), q.DType())}
}

// pagedInBlocks is pagedAttention for q that is multiplied by scale*sqrt(headDim), in blocks of keys that are some pages.
func pagedInBlocks(in []*Node) []*Node {
	q, k, v, table, positions := in[0], in[1], in[2], in[3], in[4]
	kvHeads, pageTokens, maxPages := k.Shape().Dim(1), k.Shape().Dim(2), table.Shape().Dim(1)
	pages := max(1, attentionBlock/pageTokens)
	b := blocksOf(q, maxPages*pageTokens, kvHeads, attentionBlock, pages*pageTokens)
	byBlock := TransposeAllAxes(Reshape(padded(table, b.keyCount*pages, 0), b.rows, b.keyCount, pages), 1, 0, 2)
	read := func(operands []*Node, j *Node) (k, v *Node) {
		pages := At(operands[2], j)
		of := func(pool *Node) *Node { return Reshape(gatherPages(pool, pages), b.lines(), b.keySize, b.headDim) }
		return of(operands[0]), of(operands[1])
	}
	first := BroadcastToDims(Const(q.Graph(), int32(0)), positions.Shape().Dimensions...)
	mixed, _ := b.forward(b.queries(q), b.spans(first, noKey), b.spans(positions, -1), reader{"attention_pages", read}, k, v, byBlock)
	return []*Node{b.ofQueries(mixed)}
}

// gatherPages is pagesOf in f32.
func gatherPages(pool, table *Node) *Node { return ConvertDType(pagesOf(pool, table), dtypes.Float32) }

// pagesOf reads the pages of table [seqs, maxPages] from a pool: [seqs, kvHeads, maxPages*pageTokens, headDim]. XLA gathers fastest by one index
// into a reshaped view of the pool. The go backend copies a view of what is an output too, which would be the whole pool, so there the pool is
// indexed as it is.
func pagesOf(pool, table *Node) *Node {
	pages, kvHeads, pageTokens, headDim := pool.Shape().Dim(0), pool.Shape().Dim(1), pool.Shape().Dim(2), pool.Shape().Dim(3)
	seqs, maxPages := table.Shape().Dim(0), table.Shape().Dim(1)
	page := BroadcastToDims(ExpandDims(table, 1), seqs, kvHeads, maxPages)
	head := Iota(pool.Graph(), shapes.Make(dtypes.Int32, seqs, kvHeads, maxPages), 1)
	var read *Node // [seqs, kvHeads, maxPages, pageTokens*headDim], the last axis in one or two
	if device.KindOf(pool.Graph()) == device.Go {
		read = Gather(pool, Stack([]*Node{page, head}, -1))
	} else {
		flat := Reshape(pool, pages*kvHeads, pageTokens*headDim)
		read = Gather(flat, ExpandDims(Add(MulScalar(page, kvHeads), head), -1))
	}
	return Reshape(read, seqs, kvHeads, maxPages*pageTokens, headDim)
}

// causalBias is 0 for the keys that a query sees and masked for the others: [seqs, 1, tokens*group, length] f32.
func causalBias(positions *Node, group, length int) *Node {
	seqs, tokens := positions.Shape().Dim(0), positions.Shape().Dim(1)
	key := Iota(positions.Graph(), shapes.Make(dtypes.Int32, seqs, tokens, length), 2)
	seen := LessOrEqual(key, BroadcastToDims(ExpandDims(positions, -1), seqs, tokens, length))
	bias := Where(seen, Scalar(positions.Graph(), dtypes.Float32, 0.0), Scalar(positions.Graph(), dtypes.Float32, masked))
	bias = BroadcastToDims(ExpandDims(bias, 2), seqs, tokens, group, length)
	return Reshape(bias, seqs, 1, tokens*group, length)
}
