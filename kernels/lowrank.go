package kernels

import (
	"astro/internal/device"
	"astro/kernels/native"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// LowRank is a change to a matrix [in, out]: A [in, rank] times B [rank, out], both f32. The zero value is none.
type LowRank struct{ A, B *Node }

// AddedTo is w [in, out] f32 or bf16 with the change, as f32.
func (l LowRank) AddedTo(w *Node) *Node {
	return Add(ConvertDType(w, dtypes.Float32), einsum("ir,ro->io", dtypes.Float32, l.A, l.B))
}

func init() {
	device.Implement("changed_product", device.Implementation{Backward: changedBackward})
}

// changedProduct is x times w and the change of a and b. On Go, which differentiates it, a term that is zero has the gradients of a and b.
func changedProduct(in []*Node) []*Node {
	x, w, change := in[0], in[1], LowRank{in[2], in[3]}
	y := Product(x, StopGradient(ConvertDType(change.neededFor(x).AddedTo(w), x.DType())))
	if device.KindOf(x.Graph()) != device.Go {
		return []*Node{y}
	}
	z := StopGradient(ConvertDType(x, dtypes.Float32))
	z = einsum("rk,ko->ro", dtypes.Float32, einsum("ri,ik->rk", dtypes.Float32, z, change.A), change.B)
	return []*Node{Add(y, ConvertDType(Sub(z, StopGradient(z)), y.DType()))}
}

// dense is x times w and the change, in f32 and of many rows: native functions, which add the change to a panel of w at a time.
func (l LowRank) dense(x, w *Node) *Node {
	backward := func(in []*Node) []*Node {
		x, w, a, b, d := in[0], in[1], in[2], in[3], in[4]
		toX := device.CallNative(device.NativeCall{Name: "changed_to_x", Target: native.TargetChangedToX}, changedToX, d, w, a, b)
		toChange := device.CallNative(device.NativeCall{Name: "changed_to_change", Target: native.TargetChangedToChange}, changedToChange, x, a, b, d)
		return []*Node{toX[0], zerosLike(w), toChange[0], toChange[1]}
	}
	return device.CallNative(device.NativeCall{Name: "changed", Target: native.TargetChanged, Backward: backward}, changedProduct, x, w, l.A, l.B)[0]
}

// changedBackward are the gradients of changedProduct, from its operands and d, the adjoint of the result. That of w, which is frozen, nobody reads.
func changedBackward(in []*Node) []*Node {
	x, w, a, b, d := in[0], in[1], in[2], in[3], in[4]
	toX, toChange := changedToX([]*Node{d, w, a, b}), changedToChange([]*Node{x, a, b, d})
	return []*Node{toX[0], zerosLike(w), toChange[0], toChange[1]}
}

// changedToX is the gradient of x, d (w + a b)'.
func changedToX(in []*Node) []*Node {
	d, w, change := in[0], in[1], LowRank{in[2], in[3]}
	return []*Node{einsumIn(d.DType(), halfProduct.toLeft, d.DType(), d, change.neededFor(d).AddedTo(w))}
}

// changedToChange are the gradients of a, x' (d b'), and of b, (x a)' d.
func changedToChange(in []*Node) []*Node {
	x, a, b, d := in[0], in[1], in[2], in[3]
	of := func(equation string, left, right *Node) *Node {
		return einsumIn(x.DType(), equation, dtypes.Float32, left, right)
	}
	return []*Node{of("ri,rk->ik", x, of("ro,ko->rk", d, b)), of("rk,ro->ko", of("ri,ik->rk", x, a), d)}
}

// einsumIn is an Einsum of operands that are rounded where the dtype of hidden states is bf16.
func einsumIn(dtype dtypes.DType, equation string, result dtypes.DType, left, right *Node) *Node {
	if dtype == dtypes.BFloat16 {
		return rounded(equation, result, left, right)
	}
	return einsum(equation, result, left, right)
}

// neededFor is the change, which waits for x. What is made of it is the same each time: a compiler would keep it, as large as the matrices, from a
// layer's first pass to its last.
func (l LowRank) neededFor(x *Node) LowRank {
	if device.KindOf(x.Graph()) == device.Go {
		return l
	}
	return LowRank{SchedulingBarrier(l.A, x), l.B}
}
