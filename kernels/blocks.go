package kernels

import (
	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// Attention in blocks (Rabe and Staats, arXiv 2112.05682; Dao et al., arXiv 2205.14135) goes over blocks of queries, and for each over the
// blocks of keys that any of its queries sees. It keeps, of each query, the largest score so far, the sum of the exponentials and the sum of
// the values that they weigh; the scores of one pair of blocks are all that is there at a time.

const (
	unseen = -1e20 // the largest score before any key was seen: far above masked, whose share it makes 0, and far below any score
	noKey  = 1 << 30
)

// blocks are the sizes of attention in blocks. A line is a kv head of a row.
type blocks struct {
	rows, tokens, kvHeads, group, headDim int
	size, count                           int // tokens of a block of queries; how many blocks
	keySize, keyCount                     int // the same of keys
}

// blocksOf are those of q [rows, tokens, heads, headDim] that look at so many keys of so many heads, in blocks of keySize.
func blocksOf(q *Node, keys, kvHeads, size, keySize int) blocks {
	rows, tokens, heads, headDim := q.Shape().Dim(0), q.Shape().Dim(1), q.Shape().Dim(2), q.Shape().Dim(3)
	size = min(size, tokens)
	return blocks{rows, tokens, kvHeads, heads / kvHeads, headDim, size, (tokens + size - 1) / size, keySize, (keys + keySize - 1) / keySize}
}

func (b blocks) lines() int { return b.rows * b.kvHeads }

// queries cuts x [rows, tokens, heads, headDim] into [count, lines, group*size, headDim].
func (b blocks) queries(x *Node) *Node {
	x = Reshape(padded(x, b.count*b.size, 0), b.rows, b.count, b.size, b.kvHeads, b.group, b.headDim)
	return Reshape(TransposeAllAxes(x, 1, 0, 3, 4, 2, 5), b.count, b.lines(), b.group*b.size, b.headDim)
}

// ofQueries undoes queries.
func (b blocks) ofQueries(x *Node) *Node {
	x = TransposeAllAxes(Reshape(x, b.count, b.rows, b.kvHeads, b.group, b.size, b.headDim), 1, 0, 4, 2, 3, 5)
	return SliceAxis(Reshape(x, b.rows, b.count*b.size, b.kvHeads*b.group, b.headDim), 1, AxisRange(0, b.tokens))
}

// keys cuts x [rows, keys, kvHeads, headDim] into [keyCount, lines, keySize, headDim].
func (b blocks) keys(x *Node) *Node {
	x = Reshape(padded(x, b.keyCount*b.keySize, 0), b.rows, b.keyCount, b.keySize, b.kvHeads, b.headDim)
	return Reshape(TransposeAllAxes(x, 1, 0, 3, 2, 4), b.keyCount, b.lines(), b.keySize, b.headDim)
}

// ofKeys undoes keys.
func (b blocks) ofKeys(x *Node, keys int) *Node {
	x = TransposeAllAxes(Reshape(x, b.keyCount, b.rows, b.kvHeads, b.keySize, b.headDim), 1, 0, 3, 2, 4)
	return SliceAxis(Reshape(x, b.rows, b.keyCount*b.keySize, b.kvHeads, b.headDim), 1, AxisRange(0, keys))
}

// sums cuts what is one number for each query, x [rows, heads, tokens], into [count, lines, group*size].
func (b blocks) sums(x *Node) *Node {
	x = TransposeAllAxes(padded(Reshape(x, b.rows*b.kvHeads*b.group, b.tokens), b.count*b.size, 0), 1, 0)
	x = Reshape(x, b.count, b.size, b.lines(), b.group)
	return Reshape(TransposeAllAxes(x, 0, 2, 3, 1), b.count, b.lines(), b.group*b.size)
}

// ofSums undoes sums.
func (b blocks) ofSums(x *Node) *Node {
	x = TransposeAllAxes(Reshape(x, b.count, b.rows, b.kvHeads, b.group, b.size), 1, 2, 3, 0, 4)
	return SliceAxis(Reshape(x, b.rows, b.kvHeads*b.group, b.count*b.size), 2, AxisRange(0, b.tokens))
}

// spans cuts first or last [rows, tokens] into [count, rows, size].
func (b blocks) spans(x *Node, missing int) *Node {
	return TransposeAllAxes(Reshape(padded(x, b.count*b.size, missing), b.rows, b.count, b.size), 1, 0, 2)
}

// padded makes the second axis of x n long.
func padded(x *Node, n, with int) *Node {
	dims := append([]int{}, x.Shape().Dimensions...)
	if dims[1] == n {
		return x
	}
	dims[1] = n - dims[1]
	more := ConvertDType(BroadcastToDims(Const(x.Graph(), int32(with)), dims...), x.DType())
	return Concatenate([]*Node{x, more}, 1)
}

// bounds are, for each block of queries, the first block of keys that one of them sees and the one after the last: two of [count] i32. They
// are a function of their own, for GoMLX lets only one scope of a graph reduce.
func (b blocks) bounds(first, last *Node) (from, below *Node) {
	out := device.Call("attention_bounds", func(in []*Node) []*Node {
		perBlock := func(x *Node) *Node { return Reshape(x, in[0].Shape().Dim(0), -1) }
		least, most := ReduceMin(perBlock(in[0]), -1), ReduceMax(perBlock(in[1]), -1)
		return []*Node{Div(least, in[2]), AddScalar(Div(most, in[2]), 1)}
	}, first, last, Const(first.Graph(), int32(b.keySize)))
	return out[0], out[1]
}

// scores are those [lines, group*size, keySize] of scaled queries [lines, group*size, headDim] f32 to keys of block j, and masked where a
// query does not see a key.
func (b blocks) scores(q, first, last, keys, j *Node) *Node {
	g := q.Graph()
	square := []int{b.rows, b.size, b.keySize}
	key := Add(Iota(g, shapes.Make(dtypes.Int32, square...), 2), BroadcastToDims(Mul(j, Const(g, int32(b.keySize))), square...))
	wide := func(x *Node) *Node { return BroadcastToDims(ExpandDims(x, -1), square...) }
	seen := And(GreaterOrEqual(key, wide(first)), LessOrEqual(key, wide(last)))
	seen = BroadcastToDims(Reshape(seen, b.rows, 1, 1, b.size, b.keySize), b.rows, b.kvHeads, b.group, b.size, b.keySize)
	all := []int{b.lines(), b.group * b.size, b.keySize}
	return Where(Reshape(seen, all...), Einsum("lqd,lkd->lqk", q, keys), BroadcastToDims(Const(g, float32(masked)), all...))
}

// scaled is block i of queries in f32, times 1/sqrt(headDim).
func (b blocks) scaled(queries, i *Node) *Node {
	q := ConvertDType(At(queries, i), dtypes.Float32)
	return Mul(q, BroadcastToDims(Const(q.Graph(), b.scale()), q.Shape().Dimensions...))
}

func (b blocks) scale() float32 { return float32(scaleOf(b.headDim)) }

// inner goes over the blocks of keys from from to below-1 for one block of queries. It is a function of its own, called name, for GoMLX has no
// loop in a loop.
func inner(name string, from, below *Node, state []*Node, step func(j *Node, state []*Node) []*Node) []*Node {
	return device.Call(name, func(in []*Node) []*Node { return overRange(in[0], in[1], in[2:], step) }, append([]*Node{from, below}, state...)...)
}

// reader gives the keys and values [lines, keySize, headDim] f32 of block j.
type reader struct {
	name string // of the loop that reads so
	read func(operands []*Node, j *Node) (k, v *Node)
}

// forward is attention of queries [count, lines, group*size, headDim] with spans first and last [count, rows, size]. Results: mixed values like queries, and the logarithms
// [count, lines, group*size] f32 of the sums of the exponentials of scores.
func (b blocks) forward(queries, first, last *Node, r reader, operands ...*Node) (mixed, logsum *Node) {
	g := queries.Graph()
	from, below := b.bounds(first, last)
	sums := []int{b.count, b.lines(), b.group * b.size}
	zero := zeroAfter(queries)
	state := append([]*Node{filledLike(zero, queries), filled(zero, dtypes.Float32, sums...), queries, first, last, from, below}, operands...)
	out := Loop(g, b.count, state, func(i *Node, s []*Node) []*Node {
		block := append([]*Node{b.scaled(s[2], i), At(s[3], i), At(s[4], i)}, b.nothing(g)...)
		block = inner(r.name, At(s[5], i), At(s[6], i), append(block, s[7:]...), func(j *Node, s []*Node) []*Node { return b.more(j, s, r) })
		values, most, sum := block[3], block[4], block[5]
		s[0] = SetAt(s[0], i, ConvertDType(Div(values, widened(sum, b.headDim)), s[0].DType()))
		s[1] = SetAt(s[1], i, Add(most, Log(sum)))
		return s
	})
	return out[0], out[1]
}

// nothing is what a block of queries has seen at first: no values, no score, no sum.
func (b blocks) nothing(g *Graph) []*Node {
	queries := b.group * b.size
	return []*Node{zeros32(g, b.lines(), queries, b.headDim), BroadcastToDims(Const(g, float32(unseen)), b.lines(), queries), zeros32(g, b.lines(), queries)}
}

// more lets a block of queries see block j of keys too. The state: scaled queries, first, last, values, most, sum, operands.
func (b blocks) more(j *Node, s []*Node, r reader) []*Node {
	k, v := r.read(s[6:], j)
	scores := b.scores(s[0], s[1], s[2], k, j)
	most := Max(s[4], ReduceMax(scores, -1))
	shares := Exp(Sub(scores, widened(most, b.keySize)))
	fade := Exp(Sub(s[4], most))
	s[3] = Add(Mul(s[3], widened(fade, b.headDim)), Einsum("lqk,lkd->lqd", shares, v))
	s[4], s[5] = most, Add(Mul(s[5], fade), ReduceSum(shares, -1))
	return s
}

// widened repeats x n times along a new last axis.
func widened(x *Node, n int) *Node {
	return BroadcastToDims(ExpandDims(x, -1), append(append([]int{}, x.Shape().Dimensions...), n)...)
}

// readBlocks reads keys and values that lie in blocks [keyCount, lines, keySize, headDim].
func readBlocks(operands []*Node, j *Node) (k, v *Node) {
	return ConvertDType(At(operands[0], j), dtypes.Float32), ConvertDType(At(operands[1], j), dtypes.Float32)
}

// backward makes the gradients, in f32: that of queries (times 1/sqrt(headDim)) as they are given, those of keys and values in blocks. Operands
// are queries, keys, values, first, last, the sums' logarithms, the adjoints of the mixed values, and each query's sum of adjoint times value.
// The shares of each pair of blocks are made once more.
func (b blocks) backward(queries, keys, values, first, last, logsum, adjoint, dots *Node) (dQueries, dKeys, dValues *Node) {
	g := queries.Graph()
	from, below := b.bounds(first, last)
	dims := keys.Shape().Dimensions
	zero := zeroAfter(adjoint)
	zeros := func(dims []int) *Node { return filled(zero, dtypes.Float32, dims...) }
	state := []*Node{zeros(queries.Shape().Dimensions), zeros(dims), zeros(dims),
		keys, values, queries, first, last, logsum, adjoint, dots, from, below}
	out := Loop(g, b.count, state, func(i *Node, s []*Node) []*Node {
		block := []*Node{zeros32(g, b.lines(), b.group*b.size, b.headDim), s[1], s[2], s[3], s[4], b.scaled(s[5], i), At(s[6], i), At(s[7], i),
			At(s[8], i), ConvertDType(At(s[9], i), dtypes.Float32), At(s[10], i)}
		block = inner("attention_keys_backward", At(s[11], i), At(s[12], i), block, b.moreBackward)
		s[0], s[1], s[2] = SetAt(s[0], i, block[0]), block[1], block[2]
		return s
	})
	return out[0], out[1], out[2]
}

// moreBackward adds what block j of keys gives to the gradients. The state: those of the queries, of all keys and of all values, keys,
// values, scaled queries, first, last, logsum, adjoint, dots.
func (b blocks) moreBackward(j *Node, s []*Node) []*Node {
	k, v := readBlocks(s[3:5], j)
	q, logsum, adjoint, dots := s[5], s[8], s[9], s[10]
	shares := Exp(Sub(b.scores(q, s[6], s[7], k, j), widened(logsum, b.keySize)))
	slopes := Mul(shares, Sub(Einsum("lqd,lkd->lqk", adjoint, v), widened(dots, b.keySize)))
	s[0] = Add(s[0], Einsum("lqk,lkd->lqd", slopes, k))
	s[1] = SetAt(s[1], j, Add(At(s[1], j), Einsum("lqk,lqd->lkd", slopes, q)))
	s[2] = SetAt(s[2], j, Add(At(s[2], j), Einsum("lqk,lqd->lkd", shares, adjoint)))
	return s
}
