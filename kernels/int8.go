package kernels

import (
	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// maxInt8 is the largest value of a matrix of 8 bits; its scale is that of the column's largest number.
const maxInt8 = 127

func init() {
	device.Implement("int8_product", device.Implementation{Body: int8Body})
}

// Int8Matrix rounds w [in, out] to 8 bits: a column's largest number is 127 times its scale. A column of zeros has the scale 0, and one that is
// not finite has a scale that is not, so that its products are not finite either.
func Int8Matrix(w *Node) Matrix {
	w = ConvertDType(w, dtypes.Float32)
	sizes := Where(IsFinite(w), Abs(w), Infinity(w.Graph(), dtypes.Float32, 1)) // the largest of NaN and others is another one on go
	scales := MulScalar(ReduceMax(sizes, 0), 1./maxInt8)
	by := Where(Equal(scales, ZerosLike(scales)), OnesLike(scales), scales)
	return Matrix{Values: ConvertDType(Round(Div(w, overRows(by, w))), dtypes.Int8), Scales: scales}
}

// overRows repeats a row [columns] for every row of x.
func overRows(row, x *Node) *Node {
	return BroadcastToDims(ExpandDims(row, 0), x.Shape().Dimensions...)
}

// int8Logits is x [rows, in] times a matrix of 8 bits, added up and scaled in f32.
func int8Logits(x *Node, m Matrix) *Node {
	sums := device.Call("int8_product", int8Product, x, m.Values)[0]
	return Mul(sums, overRows(m.Scales, sums))
}

// int8Product is x [rows, in] times w [in, out] int8 as f32. Bytes are exact in bf16, so that XLA for a GPU widens them where they are multiplied.
func int8Product(in []*Node) []*Node {
	x, w := in[0], in[1]
	if device.KindOf(x.Graph()) == device.Go {
		x = ConvertDType(x, dtypes.Float32)
	}
	return []*Node{Dot(x, ConvertDType(w, x.DType())).WithOutputDType(dtypes.Float32).General([]int{1}, nil, []int{0}, nil)}
}

// int8Body is int8Product of a single row on a GPU.
func int8Body(kind device.Kind, f device.Signature) string {
	if p := productOf(f); kind == device.XLACUDA && p.rows == 1 {
		return p.amongZeros()
	}
	return ""
}
