package sampler

import (
	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// distanceBits is the number of bits that tell distances apart.
const distanceBits = 31

// cut moves what is beyond the limit [rows, 1] to notAllowed.
func cut(distances, limit *Node) *Node {
	return Where(LessOrEqual(distances, limit), distances, constant(distances, int32(notAllowed)))
}

// topKLimit is the smallest distance up to which distances [rows, vocab] i32 has k [rows, 1] i32 tokens, or notAllowed: [rows, 1].
func topKLimit(distances, k *Node) *Node {
	return device.Call("top_k_limit", func(in []*Node) []*Node {
		return []*Node{bisect(in[0], in[1], func(nearer, _ *Node) *Node { return ConvertDType(nearer, dtypes.Int32) }, nil)}
	}, distances, k)[0]
}

// topPLimit is the smallest distance up to which mass [rows, vocab] f32 sums to share [rows, 1] f32 of all that is allowed, or
// notAllowed: [rows, 1] i32.
func topPLimit(distances, mass, share *Node) *Node {
	mass = Where(LessThan(distances, constant(distances, int32(notAllowed))), mass, constant(mass, float32(0)))
	target := Mul(share, ReduceAndKeep(mass, ReduceSum, 1))
	return device.Call("top_p_limit", func(in []*Node) []*Node {
		weigh := func(nearer, mass *Node) *Node { return Where(nearer, mass, constant(mass, float32(0))) }
		return []*Node{bisect(in[0], in[1], weigh, in[2])}
	}, distances, target, mass)[0]
}

// bisect finds, bit by bit, the largest number for which the tokens that are nearer weigh less than target: sorting is slow on every
// device. The loop is a library function, for in a graph of its own it shares no reductions with its caller.
func bisect(distances, target *Node, weigh func(nearer, mass *Node) *Node, mass *Node) *Node {
	g, rows := distances.Graph(), distances.Shape().Dim(0)
	state := []*Node{Const(g, int32(0)), BroadcastToDims(Const(g, int32(0)), rows, 1), distances, target}
	if mass != nil {
		state = append(state, mass)
	}
	condition := NewClosure(g, func(g *Graph) []*Node {
		return []*Node{LessThan(parametersLike(g, state)[0], Const(g, int32(distanceBits)))}
	})
	body := NewClosure(g, func(g *Graph) []*Node {
		in := parametersLike(g, state)
		step, found := in[0], in[1]
		bit := BitwiseShiftLeft(Const(g, int32(1)), Sub(Const(g, int32(distanceBits-1)), step))
		candidate := Add(found, BroadcastToDims(bit, rows, 1))
		nearer := LessThan(in[2], BroadcastToDims(candidate, in[2].Shape().Dimensions...))
		weight := ExpandDims(ReduceSum(weigh(nearer, in[len(in)-1]), 1), -1)
		out := append([]*Node{}, in...)
		out[0] = Add(step, Const(g, int32(1)))
		out[1] = Where(LessThan(weight, in[3]), candidate, found)
		return out
	})
	return While(condition, body, state...)[1]
}

// parametersLike declares a closure's parameters.
func parametersLike(g *Graph, state []*Node) []*Node {
	in := make([]*Node, len(state))
	for i, s := range state {
		in[i] = Parameter(g, "", shapes.Make(s.DType(), s.Shape().Dimensions...))
	}
	return in
}
