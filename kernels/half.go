package kernels

import (
	"strings"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// What training in bf16 multiplies. The rules of gradients are our own: GoMLX's widen both operands to f32 first, so that two thirds of
// a step would not run in bf16. On Go, where nothing is gained anyway, GoMLX's are used.
var (
	halfProduct = halfEinsum{name: "half_product", of: "ri,io->ro", toLeft: "ro,io->ri", toRight: "ri,ro->io"}
	halfLogits  = halfEinsum{name: "half_logits", of: "ri,io->ro", toLeft: "ro,io->ri", toRight: "ri,ro->io", wide: true}
	halfScores  = halfEinsum{name: "half_scores", of: "bhqd,bhkd->bhqk", toLeft: "bhqk,bhkd->bhqd", toRight: "bhqd,bhqk->bhkd", wide: true}
	halfMix     = halfEinsum{name: "half_mix", of: "bhqk,bhkd->bhqd", toLeft: "bhqd,bhkd->bhqk", toRight: "bhqk,bhqd->bhkd"}
)

// halfEinsum is an Einsum of two operands that are rounded to bf16 where they are f32, and added up in f32. A gradient has its operand's
// dtype: that of an f32 one is not rounded, except on Go.
type halfEinsum struct {
	name    string
	of      string
	toLeft  string // from the adjoint and the right operand
	toRight string // from the left operand and the adjoint
	wide    bool   // the result is f32; else bf16
}

func init() {
	for _, e := range []halfEinsum{halfProduct, halfLogits, halfScores, halfMix} {
		device.Implement(e.name, device.Implementation{Backward: e.backward})
	}
}

func (e halfEinsum) call(left, right *Node) *Node {
	result := dtypes.BFloat16
	if e.wide {
		result = dtypes.Float32
	}
	return device.Call(e.name, func(in []*Node) []*Node { return []*Node{rounded(e.of, result, in[0], roundedFor(in[1], in[0]))} }, left, right)[0]
}

func (e halfEinsum) backward(in []*Node) []*Node {
	left, right, adjoint := in[0], in[1], in[2]
	return []*Node{rounded(e.toLeft, left.DType(), adjoint, roundedFor(right, adjoint)), rounded(e.toRight, right.DType(), left, adjoint)}
}

// roundedFor is an f32 weight that is rounded to bf16 when x, which it meets, is there. A compiler would round a weight once, and keep that from a
// layer's first pass to its last.
func roundedFor(w, x *Node) *Node {
	if w.DType() != dtypes.Float32 || device.KindOf(w.Graph()) == device.Go {
		return w
	}
	return SchedulingBarrier(w, x)
}

// rounded is an Einsum of operands as bf16. On Go they are widened again: its products of two batches, such as half_scores, are wrong in
// bf16 (GoMLX 0.28.3).
func rounded(equation string, result dtypes.DType, left, right *Node) *Node {
	left, right = ConvertDType(left, dtypes.BFloat16), ConvertDType(right, dtypes.BFloat16)
	if device.KindOf(left.Graph()) == device.Go {
		left, right = ConvertDType(left, dtypes.Float32), ConvertDType(right, dtypes.Float32)
		return ConvertDType(einsum(equation, dtypes.Float32, left, right), result)
	}
	return einsum(equation, result, left, right)
}

// einsum is Einsum of two operands whose letters all stand in the other one or in the result, with a dtype for that: GoMLX's rounds to the
// operands' dtype.
func einsum(equation string, result dtypes.DType, a, b *Node) *Node {
	operands, out, _ := strings.Cut(equation, "->")
	left, right, _ := strings.Cut(operands, ",")
	var batch, sum [2][]int
	shared, rest := "", ""
	for i, axis := range left {
		switch j := strings.IndexRune(right, axis); {
		case j < 0:
			rest += string(axis)
		case strings.ContainsRune(out, axis):
			batch, shared = [2][]int{append(batch[0], i), append(batch[1], j)}, shared+string(axis)
		default:
			sum = [2][]int{append(sum[0], i), append(sum[1], j)}
		}
	}
	for _, axis := range right {
		if !strings.ContainsRune(left, axis) {
			rest += string(axis)
		}
	}
	y := Dot(a, b).WithOutputDType(result).General(sum[0], batch[0], sum[1], batch[1])
	if shared+rest == out {
		return y
	}
	var order []int
	for _, axis := range out {
		order = append(order, strings.IndexRune(shared+rest, axis))
	}
	return TransposeAllAxes(y, order...)
}

// Logits are x [rows, in] times head [in, vocab] as f32 [rows, vocab], also where both are bf16: rounded to 8 bits, a logit of 20 would be
// up to 0.06 off. An f32 head is rounded where x is bf16.
func Logits(x, head *Node) *Node {
	if x.DType() == dtypes.BFloat16 {
		return halfLogits.call(x, head)
	}
	return Product(x, head)
}

// Scores are the products of queries q [rows, heads, queries, headDim] with keys k [rows, heads, keys, headDim], f32 [rows, heads, queries,
// keys].
func Scores(q, k *Node) *Node {
	if q.DType() == dtypes.BFloat16 {
		return halfScores.call(q, k)
	}
	return Einsum(halfScores.of, q, k)
}

// Mix adds up values v [rows, heads, keys, headDim] by shares [rows, heads, queries, keys] f32: [rows, heads, queries, headDim] in the dtype
// of v, to which the shares are rounded.
func Mix(shares, v *Node) *Node {
	if v.DType() == dtypes.BFloat16 {
		return halfMix.call(ConvertDType(shares, dtypes.BFloat16), v)
	}
	return Einsum(halfMix.of, shares, v)
}
