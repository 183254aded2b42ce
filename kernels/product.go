package kernels

import (
	"fmt"
	"strings"

	"astro/internal/device"

	. "github.com/gomlx/gomlx/core/graph"
)

// Between these numbers of rows, XLA's matrix product on a CPU packs the whole weight matrix on every call, which costs two to
// four times the product itself (measured: 384 x 2048 f32, 24 rows 0.18 ms, 32 rows 0.60 ms). Pieces of few rows do not.
const (
	packedFrom = 25 // rows from which weights are packed
	packedTo   = 96 // rows from which packing pays for itself
	pieceRows  = 16
)

func init() {
	device.Implement("product", device.Implementation{Body: productBody})
}

// Product is x [rows, in] times w [in, out]: [rows, out], in the dtype of both. Its reference is a plain dot; a batch of decodes
// takes several of them on xla:cpu.
func Product(x, w *Node) *Node {
	return device.Call("product", func(in []*Node) []*Node { return []*Node{DotProduct(in[0], in[1])} }, x, w)[0]
}

// productBody cuts the rows into pieces where that is faster.
func productBody(kind device.Kind, f device.Signature) string {
	rows, in, out, dtype := productShape(f)
	if kind != device.XLACPU || rows < packedFrom || rows >= packedTo {
		return ""
	}
	tensor := func(a, b int) string { return fmt.Sprintf("tensor<%dx%dx%s>", a, b, dtype) }
	var body strings.Builder
	var names, types []string
	for from := 0; from < rows; from += pieceRows {
		to := min(from+pieceRows, rows)
		fmt.Fprintf(&body, `    %%x%d = "stablehlo.slice"(%%%s) {start_indices = array<i64: %d, 0>, limit_indices = array<i64: %d, %d>, strides = array<i64: 1, 1>} : (%s) -> %s
    %%y%d = "stablehlo.dot_general"(%%x%d, %%%s) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>} : (%s, %s) -> %s
`, from, f.Params[0].Name, from, to, in, tensor(rows, in), tensor(to-from, in),
			from, from, f.Params[1].Name, tensor(to-from, in), tensor(in, out), tensor(to-from, out))
		names, types = append(names, fmt.Sprintf("%%y%d", from)), append(types, tensor(to-from, out))
	}
	fmt.Fprintf(&body, `    %%all = "stablehlo.concatenate"(%s) {dimension = 0 : i64} : (%s) -> %s
    "stablehlo.return"(%%all) : (%s) -> ()
`, strings.Join(names, ", "), strings.Join(types, ", "), tensor(rows, out), tensor(rows, out))
	return body.String()
}

// productShape reads [rows, in] and [in, out] from the types of the parameters.
func productShape(f device.Signature) (rows, in, out int, dtype string) {
	x, w := matrixType(f.Params[0].Type), matrixType(f.Params[1].Type)
	if x.columns != w.rows || x.dtype != w.dtype {
		panic(fmt.Sprintf("BUG: product got %s and %s; want [rows, in] and [in, out]", f.Params[0].Type, f.Params[1].Type))
	}
	return x.rows, x.columns, w.columns, x.dtype
}

type matrix struct {
	rows, columns int
	dtype         string
}

func matrixType(text string) (m matrix) {
	inner := strings.TrimSuffix(strings.TrimPrefix(text, "tensor<"), ">")
	parts := strings.SplitN(inner, "x", 3)
	if len(parts) == 3 {
		m.dtype = parts[2]
		if _, err := fmt.Sscan(parts[0]+" "+parts[1], &m.rows, &m.columns); err == nil {
			return m
		}
	}
	panic(fmt.Sprintf("BUG: product got a parameter of type %s; want a matrix", text))
}
