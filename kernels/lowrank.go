package kernels

import (
	"astro/internal/device"

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

// changedBackward are the gradients: with d the adjoint of the result, d (w + a b)' of x, x' (d b') of a and (x a)' d of b.
func changedBackward(in []*Node) []*Node {
	x, w, a, b, d := in[0], in[1], in[2], in[3], in[4]
	of := func(equation string, result dtypes.DType, left, right *Node) *Node {
		if x.DType() == dtypes.BFloat16 {
			return rounded(equation, result, left, right)
		}
		return einsum(equation, result, left, right)
	}
	toX := of(halfProduct.toLeft, x.DType(), d, LowRank{a, b}.neededFor(d).AddedTo(w))
	toA := of("ri,rk->ik", dtypes.Float32, x, of("ro,ko->rk", dtypes.Float32, d, b))
	toB := of("rk,ro->ko", dtypes.Float32, of("ri,ik->rk", dtypes.Float32, x, a), d)
	frozen := ConvertDType(zeros32(w.Graph(), w.Shape().Dimensions...), w.DType()) // read by nobody
	return []*Node{toX, frozen, toA, toB}
}

// neededFor is the change, which waits for x. What is made of it is the same each time: a compiler would keep it, as large as the matrices, from a
// layer's first pass to its last.
func (l LowRank) neededFor(x *Node) LowRank {
	if device.KindOf(x.Graph()) == device.Go {
		return l
	}
	return LowRank{SchedulingBarrier(l.A, x), l.B}
}
