package kernels

import (
	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

func init() {
	device.Implement("token_logprobs", device.Implementation{Backward: logprobsBackward})
}

// TokenLogprobs are the log-probabilities [n] f32 of targets [n] i32 under softmax(hidden [n, width] times head [width, vocab]), and the
// entropies [n] f32 of those distributions, in nats. Gradients flow to hidden and head through the log-probabilities only.
//
// With chunk 0 the logits [n, vocab] are made whole, and so are their gradients. With a chunk above 0, on XLA, only those of so many
// tokens are there at a time: a loop over chunks, and another for the gradient, which computes the logits once more (as Wijmans et al.,
// arXiv 2411.09009, do in blocks). It costs a third more time in the head. On Go a chunk changes nothing, for it cannot differentiate
// loops. Both forms agree within 1e-5 for logits of order 10.
func TokenLogprobs(hidden, head, targets *Node, chunk int) (logprobs, entropies *Node) {
	n, width := hidden.Shape().Dim(0), hidden.Shape().Dim(1)
	if chunk <= 0 || chunk >= n || device.KindOf(hidden.Graph()) == device.Go {
		out := logprobsOf(hidden, head, targets)
		return out[0], StopGradient(out[1])
	}
	chunks := (n + chunk - 1) / chunk
	byChunk := func(x *Node, dims ...int) *Node {
		if missing := chunks*chunk - n; missing > 0 {
			x = Concatenate([]*Node{x, Zeros(x.Graph(), shapes.Make(x.DType(), append([]int{missing}, dims...)...))}, 0)
		}
		return Reshape(x, append([]int{chunks, chunk}, dims...)...)
	}
	out := device.Call("token_logprobs", logprobsInChunks, byChunk(hidden, width), head, byChunk(targets))
	whole := func(x *Node) *Node { return SliceAxis(Reshape(x, chunks*chunk), 0, AxisRange(0, n)) }
	return whole(out[0]), StopGradient(whole(out[1]))
}

// logprobsOf makes all logits: log-probabilities and entropies.
func logprobsOf(hidden, head, targets *Node) []*Node {
	spread := LogSoftmax(ConvertDType(Product(hidden, head), dtypes.Float32), -1)
	return []*Node{picked(spread, targets), Neg(ReduceSum(Mul(Exp(spread), spread), -1))}
}

// picked takes x[i, index[i]] of x [n, vocab]. A sum over a mask and not a Gather, for its gradient then is a product and no
// scatter; compilers never store the mask.
func picked(x, index *Node) *Node {
	return ReduceSum(Where(chosen(x, index), x, ZerosLike(x)), -1)
}

// chosen is, for x [n, vocab], where the second axis is index [n].
func chosen(x, index *Node) *Node {
	ids := Iota(x.Graph(), shapes.Make(dtypes.Int32, x.Shape().Dimensions...), 1)
	return Equal(ids, BroadcastToDims(ExpandDims(index, -1), x.Shape().Dimensions...))
}

// logprobsInChunks is logprobsOf for hidden [chunks, chunk, width] and targets [chunks, chunk], a chunk after the other.
func logprobsInChunks(in []*Node) []*Node {
	g, chunks := in[0].Graph(), in[0].Shape().Dim(0)
	zeros := zeros32(g, in[2].Shape().Dimensions...)
	out := overChunks(g, chunks, append(in[:3:3], zeros, zeros), func(i *Node, s []*Node) []*Node {
		logits, logsum := chunkLogits(chunkOf(s[0], i), s[1])
		shares := Exp(Sub(logits, ExpandDims(logsum, -1)))
		s[3] = setChunk(s[3], i, Sub(picked(logits, chunkOf(s[2], i)), logsum))
		s[4] = setChunk(s[4], i, Sub(logsum, ReduceSum(Mul(shares, logits), -1)))
		return s
	})
	return out[3:5]
}

// logprobsBackward is the gradient of logprobsInChunks from its inputs and the adjoints of its outputs, of which the second is not used:
// with d the adjoint of a target's log-probability, that of its logits is d (1[target] - softmax).
func logprobsBackward(in []*Node) []*Node {
	hidden, head, targets, adjoint := in[0], in[1], in[2], in[3]
	g := hidden.Graph()
	dHidden := zeros32(g, hidden.Shape().Dimensions...)
	dHead := zeros32(g, head.Shape().Dimensions...)
	out := overChunks(g, hidden.Shape().Dim(0), []*Node{hidden, head, targets, adjoint, dHidden, dHead}, func(i *Node, s []*Node) []*Node {
		h := chunkOf(s[0], i)
		logits, logsum := chunkLogits(h, s[1])
		shares := Exp(Sub(logits, ExpandDims(logsum, -1)))
		hit := ConvertDType(chosen(logits, chunkOf(s[2], i)), dtypes.Float32)
		dLogits := ConvertDType(Mul(Sub(hit, shares), ExpandDims(chunkOf(s[3], i), -1)), h.DType())
		s[4] = setChunk(s[4], i, ConvertDType(Einsum("nv,wv->nw", dLogits, s[1]), dtypes.Float32))
		s[5] = Add(s[5], ConvertDType(Einsum("nw,nv->wv", h, dLogits), dtypes.Float32))
		return s
	})
	return []*Node{ConvertDType(out[4], hidden.DType()), ConvertDType(out[5], head.DType())}
}

// chunkLogits are logits [chunk, vocab] f32 and the logarithms [chunk] of the sums of their exponentials.
func chunkLogits(hidden, head *Node) (logits, logsum *Node) {
	logits = ConvertDType(DotProduct(hidden, head), dtypes.Float32)
	most := StopGradient(ReduceMax(logits, -1))
	return logits, Add(most, Log(ReduceSum(Exp(Sub(logits, ExpandDims(most, -1))), -1)))
}

// overChunks calls step for the chunks 0 to chunks-1 with the state, which it changes in place, and returns the last one.
func overChunks(g *Graph, chunks int, state []*Node, step func(i *Node, state []*Node) []*Node) []*Node {
	state = append([]*Node{Const(g, int32(0))}, state...)
	return while(state, func(in []*Node) *Node { return LessThan(in[0], Const(g, int32(chunks))) }, func(in []*Node) []*Node {
		return append([]*Node{Add(in[0], Const(g, int32(1)))}, step(in[0], in[1:])...)
	})[1:]
}

// overRange calls step for i from from to below-1, two scalars of i32.
func overRange(from, below *Node, state []*Node, step func(i *Node, state []*Node) []*Node) []*Node {
	state = append([]*Node{from, below}, state...)
	return while(state, func(in []*Node) *Node { return LessThan(in[0], in[1]) }, func(in []*Node) []*Node {
		return append([]*Node{Add(in[0], Const(in[0].Graph(), int32(1))), in[1]}, step(in[0], in[2:])...)
	})[2:]
}

// while changes the state by body as long as more says so. Neither may use nodes other than those that it is given.
func while(state []*Node, more func(in []*Node) *Node, body func(in []*Node) []*Node) []*Node {
	g := state[0].Graph()
	declared := func(g *Graph) []*Node {
		in := make([]*Node, len(state))
		for i, s := range state {
			in[i] = Parameter(g, "", s.Shape())
		}
		return in
	}
	condition := NewClosure(g, func(g *Graph) []*Node { return []*Node{more(declared(g))} })
	return While(condition, NewClosure(g, func(g *Graph) []*Node { return body(declared(g)) }), state...)
}

// chunkOf is x[i] of x [chunks, ...].
func chunkOf(x, i *Node) *Node {
	dims := x.Shape().Dimensions
	start, size := []*Node{i}, append([]int{1}, dims[1:]...)
	for range dims[1:] {
		start = append(start, Const(x.Graph(), int32(0)))
	}
	return Reshape(DynamicSlice(x, start, size), dims[1:]...)
}

// setChunk replaces x[i].
func setChunk(x, i, value *Node) *Node {
	start := []*Node{i}
	for range x.Shape().Dimensions[1:] {
		start = append(start, Const(x.Graph(), int32(0)))
	}
	return DynamicUpdateSlice(x, ExpandDims(value, 0), start)
}

// zeros32 are f32 zeros of a constant of their own: GoMLX's cached ones must not meet those of a closure.
func zeros32(g *Graph, dims ...int) *Node { return BroadcastToDims(Const(g, float32(0)), dims...) }
