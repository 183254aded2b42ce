package kernels

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// Loop calls step for i = 0 to n-1, a scalar i32, with the state, which step changes and returns, and gives the last state. The compiler
// keeps a state that is updated in place where it is. It is for XLA: step is a closure, which sees nothing but its arguments there, and must not
// use GoMLX's cached scalars where the graph around it does; a library function in it may (device.Call).
func Loop(g *Graph, n int, state []*Node, step func(i *Node, state []*Node) []*Node) []*Node {
	state = append([]*Node{Const(g, int32(0))}, state...)
	return while(state, func(in []*Node) *Node { return LessThan(in[0], Const(in[0].Graph(), int32(n))) }, func(in []*Node) []*Node {
		return append([]*Node{Add(in[0], Const(in[0].Graph(), int32(1)))}, step(in[0], in[1:])...)
	})[1:]
}

// overRange is Loop for i from from to below-1, two scalars of i32.
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

// zeroAfter is an f32 0 that is not there before x is. Zeros that wait for nothing are the same in all layers: on GPUs XLA makes those of a whole
// program at once, in its first kernels, and each takes memory until its loop runs.
func zeroAfter(x *Node) *Node { return SchedulingBarrier(Const(x.Graph(), float32(0)), x) }

// filled is an array of a number.
func filled(with *Node, dtype dtypes.DType, dims ...int) *Node {
	return ConvertDType(BroadcastToDims(with, dims...), dtype)
}

// filledLike is an array of a number with the shape of x.
func filledLike(with, x *Node) *Node { return filled(with, x.DType(), x.Shape().Dimensions...) }

// At is x[i] of x [n, ...], i a scalar i32.
func At(x, i *Node) *Node {
	dims := x.Shape().Dimensions
	start, size := []*Node{i}, append([]int{1}, dims[1:]...)
	for range dims[1:] {
		start = append(start, Const(x.Graph(), int32(0)))
	}
	return Reshape(DynamicSlice(x, start, size), dims[1:]...)
}

// SetAt replaces x[i] of x [n, ...] by value [...].
func SetAt(x, i, value *Node) *Node {
	start := []*Node{i}
	for range x.Shape().Dimensions[1:] {
		start = append(start, Const(x.Graph(), int32(0)))
	}
	return DynamicUpdateSlice(x, ExpandDims(value, 0), start)
}
