// Package kernels holds the operations that GoMLX and XLA lack, as library functions: each has a plain reference in graph
// operations, which runs on the go backend and gives gradients, and a body of its own on the platforms where that pays.
// kerneltest is the one suite that every body of every function passes.
//
// A body for a kind of device that the tests do not run on has a device.Check besides, added in an init (checks.go): the functions whose bodies
// it is about, how to make small random inputs, what to build with them and what plain operations build, and a tolerance. It runs when such a
// device is opened; if it fails the reference runs in the body's place for the life of the process, and the reason is said. Functions may have
// one check each or share one, as a function and its gradient do.
//
// A pool is the keys or the values of one layer for all Sequences: [pages, kvHeads, pageTokens, headDim], f32 or bf16. A position's
// place in it is its slot, page*pageTokens+offset.
package kernels

import (
	"fmt"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

func init() {
	device.Implement("page_write", device.Implementation{Body: pageWriteBody})
	device.Implement("read_first", device.Implementation{Body: readFirstBody})
}

// PageWrite stores rows [n, kvHeads, headDim], of the pool's dtype, at slots [n] i32 of a pool and returns it. Slot -1 = not
// written; two rows must not have the same slot. Exact: what is stored is what was given. In place where the pool is donated and
// nothing reads its old value afterwards.
func PageWrite(pool, slots, rows *Node) *Node {
	d := pool.Shape().Dimensions
	pages, heads, pageTokens, headDim := d[0], d[1], d[2], d[3]
	n := slots.Shape().Dim(0)
	// A slot's row of one head, in the pool seen as [pages*kvHeads*pageTokens, headDim].
	head := Iota(pool.Graph(), shapes.Make(dtypes.Int32, n, heads), 1)
	slot := ExpandDims(slots, -1)
	page, offset := DivScalar(slot, pageTokens), ModScalar(slot, pageTokens)
	index := Add(MulScalar(Add(MulScalar(page, heads), head), pageTokens), offset)
	written := GreaterOrEqual(slot, ScalarZero(pool.Graph(), dtypes.Int32))
	index = Where(BroadcastToDims(written, n, heads), index, MinusOne(ZerosLike(index)))
	flat := setRows(Reshape(pool, pages*heads*pageTokens, headDim), Reshape(index, n*heads, 1), Reshape(rows, n*heads, headDim))
	return Reshape(flat, d...)
}

// setRows replaces rows of x [rows, width] at index [n, 1] i32 by values [n, width]; index -1 = none. A lone row gets company that is not
// written: XLA makes another operation of a scatter of one row, repeats it in every reader of the result, and then has to copy all of x.
func setRows(x, index, values *Node) *Node {
	if index.Shape().Dim(0) == 1 && device.KindOf(x.Graph()) != device.Go {
		index = Concatenate([]*Node{index, MinusOne(ZerosLike(index))}, 0)
		values = Concatenate([]*Node{values, values}, 0)
	}
	return device.Call("page_write", setRowsReference, x, index, values)[0]
}

// setRowsReference sets with stock operations, exactly and in place: x + -x is 0, and 0 + value is the value. A row that is not
// written takes part with index 0 and adds nothing.
func setRowsReference(in []*Node) []*Node {
	x, index, values := in[0], in[1], in[2]
	written := ConvertDType(GreaterOrEqual(index, ScalarZero(x.Graph(), dtypes.Int32)), x.DType()) // [n, 1]
	index = MaxScalar(index, 0)
	old := Mul(Gather(x, index), written)
	x = ScatterSum(x, index, Neg(old), false, false)
	return []*Node{ScatterSum(x, index, Mul(values, written), false, false)}
}

// pageWriteBody is a scatter that sets. XLA leaves out what lies outside of the operand, and so index -1.
func pageWriteBody(kind device.Kind, f device.Signature) string {
	element := f.Params[0].Type[len(f.Params[0].Type)-len("f32>"):]
	if f.Params[0].Type[len(f.Params[0].Type)-len("bf16>"):] == "bf16>" {
		element = "bf16>"
	}
	return fmt.Sprintf(`    %%set = "stablehlo.scatter"(%%%s, %%%s, %%%s) ({
    ^bb0(%%old: tensor<%[4]s, %%new: tensor<%[4]s):
      "stablehlo.return"(%%new) : (tensor<%[4]s) -> ()
    }) {indices_are_sorted = false, unique_indices = false, scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>} : (%[5]s, %[6]s, %[7]s) -> %[5]s
    "stablehlo.return"(%%set) : (%[5]s) -> ()
`, f.Params[0].Name, f.Params[1].Name, f.Params[2].Name, element, f.Params[0].Type, f.Params[1].Type, f.Params[2].Type)
}

// PageCopy duplicates pages from [n] i32 to pages to [n] i32 of a pool and returns it. Page -1 in to = not copied; two copies must
// not have the same page in to, nor a page that another one reads.
func PageCopy(pool, from, to *Node) *Node {
	d := pool.Shape().Dimensions
	flat := Reshape(pool, d[0], d[1]*d[2]*d[3])
	rows := readFirst(Gather(flat, Reshape(MaxScalar(from, 0), -1, 1)))
	return Reshape(setRows(flat, Reshape(to, -1, 1), rows), d...)
}

// readFirst is x, made before anything that reads it. On GPUs XLA would read pages while it writes others, and copy whole pools to be able to.
func readFirst(x *Node) *Node {
	return device.Call("read_first", func(in []*Node) []*Node { return []*Node{Identity(in[0])} }, x)[0]
}

func readFirstBody(_ device.Kind, f device.Signature) string {
	return fmt.Sprintf(`    %%apart = "stablehlo.optimization_barrier"(%%%s) : (%[2]s) -> %[2]s
    "stablehlo.return"(%%apart) : (%[2]s) -> ()
`, f.Params[0].Name, f.Params[0].Type)
}
