package kernels

import (
	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

func init() {
	for _, h := range []headForm{plainHead, turnedHead} {
		device.Implement(h.name, device.Implementation{Backward: h.backward})
	}
}

// Head maps hidden states to logits: Matrix is [width, vocab], or Turned, [vocab, width], as a tied embedding is.
type Head struct {
	Matrix *Node
	Turned bool
}

// plain is the Matrix as [width, vocab].
func (h Head) plain() *Node {
	if h.Turned {
		return Transpose(h.Matrix, 0, 1)
	}
	return h.Matrix
}

func (h Head) form() headForm {
	if h.Turned {
		return turnedHead
	}
	return plainHead
}

// headForm are the products with a head: logits, and the gradients from those of the logits.
type headForm struct{ name, logits, toHidden, toHead string }

var (
	plainHead  = headForm{"token_logprobs", "nw,wv->nv", "nv,wv->nw", "nw,nv->wv"}
	turnedHead = headForm{"token_logprobs_turned", "nw,vw->nv", "nv,vw->nw", "nv,nw->vw"}
)

// TokenLogprobs are the log-probabilities [n] f32 of targets [n] i32 under softmax(hidden [n, width] times head), and the
// entropies [n] f32 of those distributions, in nats. Gradients flow to hidden and head through the log-probabilities only. Hidden may be
// bf16: an f32 head is rounded to it then, logits and all behind them are f32 all the same, and so is the gradient of the head.
//
// With chunk 0 the logits [n, vocab] are made whole, and so are their gradients. With a chunk above 0, on XLA, only those of so many
// tokens are there at a time: a loop over chunks, and another for the gradient, which computes the logits once more (as Wijmans et al.,
// arXiv 2411.09009, do in blocks). It costs a third more time in the head. On Go a chunk changes nothing, for it cannot differentiate
// loops. Both forms agree within 1e-5 for logits of order 10. A head that is Turned is not turned back for it.
func TokenLogprobs(hidden *Node, head Head, targets *Node, chunk int) (logprobs, entropies *Node) {
	n, width := hidden.Shape().Dim(0), hidden.Shape().Dim(1)
	if chunk <= 0 || chunk >= n || device.KindOf(hidden.Graph()) == device.Go {
		out := logprobsOf(hidden, head.plain(), targets)
		return out[0], StopGradient(out[1])
	}
	chunks := (n + chunk - 1) / chunk
	byChunk := func(x *Node, dims ...int) *Node {
		if missing := chunks*chunk - n; missing > 0 {
			x = Concatenate([]*Node{x, Zeros(x.Graph(), shapes.Make(x.DType(), append([]int{missing}, dims...)...))}, 0)
		}
		return Reshape(x, append([]int{chunks, chunk}, dims...)...)
	}
	out := device.Call(head.form().name, head.form().inChunks, byChunk(hidden, width), head.Matrix, byChunk(targets))
	whole := func(x *Node) *Node { return SliceAxis(Reshape(x, chunks*chunk), 0, AxisRange(0, n)) }
	return whole(out[0]), StopGradient(whole(out[1]))
}

// logprobsOf makes all logits: log-probabilities and entropies.
func logprobsOf(hidden, head, targets *Node) []*Node {
	spread := LogSoftmax(Logits(hidden, head), -1)
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

// inChunks is logprobsOf for hidden [chunks, chunk, width] and targets [chunks, chunk], a chunk after the other.
func (f headForm) inChunks(in []*Node) []*Node {
	g, chunks := in[0].Graph(), in[0].Shape().Dim(0)
	zeros := zeros32(g, in[2].Shape().Dimensions...)
	head := ConvertDType(in[1], in[0].DType())
	out := Loop(g, chunks, []*Node{in[0], head, in[2], zeros, zeros}, func(i *Node, s []*Node) []*Node {
		logits, logsum := f.chunkLogits(At(s[0], i), s[1])
		shares := Exp(Sub(logits, ExpandDims(logsum, -1)))
		s[3] = SetAt(s[3], i, Sub(picked(logits, At(s[2], i)), logsum))
		s[4] = SetAt(s[4], i, Sub(logsum, ReduceSum(Mul(shares, logits), -1)))
		return s
	})
	return out[3:5]
}

// backward is the gradient of inChunks from its inputs and the adjoints of its outputs, of which the second is not used:
// with d the adjoint of a target's log-probability, that of its logits is d (1[target] - softmax).
func (f headForm) backward(in []*Node) []*Node {
	hidden, head, targets, adjoint := in[0], ConvertDType(in[1], in[0].DType()), in[2], in[3]
	g := hidden.Graph()
	dHidden := zeros32(g, hidden.Shape().Dimensions...)
	dHead := zeros32(g, head.Shape().Dimensions...)
	out := Loop(g, hidden.Shape().Dim(0), []*Node{hidden, head, targets, adjoint, dHidden, dHead}, func(i *Node, s []*Node) []*Node {
		h := At(s[0], i)
		logits, logsum := f.chunkLogits(h, s[1])
		shares := Exp(Sub(logits, ExpandDims(logsum, -1)))
		hit := ConvertDType(chosen(logits, At(s[2], i)), dtypes.Float32)
		dLogits := ConvertDType(Mul(Sub(hit, shares), ExpandDims(At(s[3], i), -1)), h.DType())
		s[4] = SetAt(s[4], i, einsum(f.toHidden, dtypes.Float32, dLogits, s[1]))
		left, right := h, dLogits
		if f == turnedHead {
			left, right = dLogits, h
		}
		s[5] = Add(s[5], einsum(f.toHead, dtypes.Float32, left, right))
		return s
	})
	return []*Node{ConvertDType(out[4], hidden.DType()), ConvertDType(out[5], in[1].DType())}
}

// chunkLogits are logits [chunk, vocab] f32 and the logarithms [chunk] of the sums of their exponentials.
func (f headForm) chunkLogits(hidden, head *Node) (logits, logsum *Node) {
	logits = einsum(f.logits, dtypes.Float32, hidden, head)
	most := StopGradient(ReduceMax(logits, -1))
	return logits, Add(most, Log(ReduceSum(Exp(Sub(logits, ExpandDims(most, -1))), -1)))
}

// zeros32 are f32 zeros of a constant of their own: GoMLX's cached ones must not meet those of a closure.
func zeros32(g *Graph, dims ...int) *Node { return BroadcastToDims(Const(g, float32(0)), dims...) }
