package kernels

import (
	"astro/internal/device"

	. "github.com/gomlx/gomlx/core/graph"
)

// Matrix is what rows are multiplied by: Values [in, out] f32 or bf16, or, with Scales [out] f32, int8, of which a column stands for its scale
// times as much. With a Change the Values, which are floats then, are frozen, and the Change is what is trained.
type Matrix struct {
	Values, Scales *Node
	Change         LowRank
}

// Product is x [rows, in] times the Matrix: [rows, out] in the dtype of x, which is that of the function Product. Of 8 bits it is added up and
// scaled in f32.
//
// With a Change it has the very numbers of a product with what is served, Values and the Change added in f32 and then, where x is bf16, rounded;
// it is added up anew wherever it is needed, so that no more than one layer's is in memory. Gradients then flow to x, A and B, and none to
// Values: that of the whole matrix is never made.
func (m Matrix) Product(x *Node) *Node {
	switch {
	case m.Scales != nil:
		return ConvertDType(int8Logits(x, m), x.DType())
	case m.Change.A != nil:
		return device.Call("changed_product", changedProduct, x, m.Values, m.Change.A, m.Change.B)[0]
	}
	return Product(x, m.Values)
}

// Dense is Product of f32 and of many rows, by native functions; of 8 bits it is the graph's, without a gradient.
func (m Matrix) Dense(x *Node) *Node {
	switch {
	case m.Scales != nil:
		return m.Product(x)
	case m.Change.A != nil:
		return m.Change.dense(x, m.Values)
	}
	return Dense(x, m.Values)
}

// Logits is x times a Matrix without a Change as f32, whatever x is.
func (m Matrix) Logits(x *Node) *Node {
	if m.Scales != nil {
		return int8Logits(x, m)
	}
	return Logits(x, m.Values)
}
