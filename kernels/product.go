package kernels

import (
	"fmt"
	"strings"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// How XLA multiplies few rows on a CPU, measured with f32 weights on 2 cores, decides the bodies here:
//   - one row is a loop on one core, which cannot read memory as fast as two: halves of the sum as two products of a batch run
//     on both (a decode step of 14M parameters: 3.9 ms, then 3.0 ms);
//   - between packedFrom and packedTo rows the whole weight matrix is packed on every call, which costs two to four times the
//     product itself (384 x 2048: 24 rows 0.18 ms, 32 rows 0.60 ms). Pieces of few rows are not.
const (
	packedFrom = 25 // rows from which weights are packed
	packedTo   = 96 // rows from which packing pays for itself
	pieceRows  = 16
	halves     = 2 // of the sum of one row
)

func init() {
	device.Implement("product", device.Implementation{Body: productBody})
}

// Product is x [rows, in] times w [in, out]: [rows, out], in the dtype of both. Its reference is a plain dot; a batch of decodes
// takes several of them on xla:cpu, and a single row two halves. Where x is bf16 and w f32, as in training, w is rounded, the result is
// bf16 and the gradient of w f32.
func Product(x, w *Node) *Node {
	if x.DType() == dtypes.BFloat16 && w.DType() == dtypes.Float32 {
		return halfProduct.call(x, w)
	}
	return device.Call("product", func(in []*Node) []*Node { return []*Node{DotProduct(in[0], in[1])} }, x, w)[0]
}

// productBackward keeps what is multiplied in bf16 in bf16 (see halfEinsum).
func productBackward(in []*Node) []*Node {
	if in[0].DType() == dtypes.BFloat16 {
		return halfProduct.backward(in)
	}
	x, w, adjoint := in[0], in[1], in[2]
	return []*Node{einsum(halfProduct.toLeft, x.DType(), adjoint, w), einsum(halfProduct.toRight, w.DType(), x, adjoint)}
}

// productBody is another form of the product where that is faster.
func productBody(kind device.Kind, f device.Signature) string {
	p := productOf(f)
	switch {
	case kind == device.XLACUDA && p.rows == 1:
		return p.amongZeros()
	case kind != device.XLACPU:
		return ""
	case p.rows == 1 && p.in%halves == 0:
		return p.inHalves()
	case p.rows >= packedFrom && p.rows < packedTo:
		return p.inPieces()
	}
	return ""
}

// product is a call of Product in StableHLO: names and sizes of x [rows, in] and w [in, out].
type product struct {
	x, w          string
	rows, in, out int
	dtype         string
	int8          bool // w is, and the result f32
}

func productOf(f device.Signature) product {
	x, w := matrixType(f.Params[0].Type), matrixType(f.Params[1].Type)
	if x.columns != w.rows || x.dtype != w.dtype && w.dtype != "i8" {
		panic(fmt.Sprintf("BUG: product got %s and %s; want [rows, in] and [in, out]", f.Params[0].Type, f.Params[1].Type))
	}
	return product{f.Params[0].Name, f.Params[1].Name, x.rows, x.columns, w.columns, x.dtype, w.dtype == "i8"}
}

// tensor is the type of a tensor of the product's dtype.
func (p product) tensor(dims ...int) string {
	var b strings.Builder
	for _, d := range dims {
		fmt.Fprintf(&b, "%dx", d)
	}
	return "tensor<" + b.String() + p.dtype + ">"
}

// inHalves views the sum over in as [halves, in/halves], which moves no data, multiplies each half and adds the results.
func (p product) inHalves() string {
	scalar, parts, sum := p.tensor(), p.tensor(halves, p.out), p.tensor(p.out)
	xs, ws := p.tensor(halves, p.in/halves), p.tensor(halves, p.in/halves, p.out)
	return fmt.Sprintf(`    %%xs = "stablehlo.reshape"(%%%s) : (%s) -> %s
    %%ws = "stablehlo.reshape"(%%%s) : (%s) -> %s
    %%parts = "stablehlo.dot_general"(%%xs, %%ws) {dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = [0], rhs_batching_dimensions = [0], lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1]>} : (%s, %s) -> %s
`, p.x, p.tensor(1, p.in), xs, p.w, p.tensor(p.in, p.out), ws, xs, ws, parts) + fmt.Sprintf(`    %%zero = "stablehlo.constant"() {value = dense<0.0> : %[1]s} : () -> %[1]s
    %%sum = "stablehlo.reduce"(%%parts, %%zero) ({
    ^bb0(%%a: %[1]s, %%b: %[1]s):
      %%c = "stablehlo.add"(%%a, %%b) : (%[1]s, %[1]s) -> %[1]s
      "stablehlo.return"(%%c) : (%[1]s) -> ()
    }) {dimensions = array<i64: 0>} : (%[2]s, %[1]s) -> %[3]s
    %%row = "stablehlo.reshape"(%%sum) : (%[3]s) -> %[4]s
    "stablehlo.return"(%%row) : (%[4]s) -> ()
`, scalar, parts, sum, p.tensor(1, p.out))
}

// fewRows is how many rows a single one is made on a GPU.
const fewRows = 8

// amongZeros multiplies fewRows rows, of which all but the first are zero. XLA would turn a single one into a multiplication of all weights by their
// x, rounded to bf16 and for some matrices stored, and a sum: other numbers than those of a batch, and up to three times the traffic. A product of few rows
// reads the weights once. Those of 8 bits are widened, and the result is f32.
func (p product) amongZeros() string {
	row, rest, all, w, widen, result := p.tensor(1, p.in), p.tensor(fewRows-1, p.in), p.tensor(fewRows, p.in), p.w, "", p
	if p.int8 {
		w, result.dtype = "wide", "f32"
		widen = fmt.Sprintf("    %%wide = \"stablehlo.convert\"(%%%s) : (tensor<%dx%dxi8>) -> %s\n", p.w, p.in, p.out, p.tensor(p.in, p.out))
	}
	results := result.tensor(fewRows, p.out)
	return widen + fmt.Sprintf(`    %%zeros = "stablehlo.constant"() {value = dense<0.0> : %[3]s} : () -> %[3]s
    %%rows = "stablehlo.concatenate"(%%%[1]s, %%zeros) {dimension = 0 : i64} : (%[2]s, %[3]s) -> %[4]s
    %%all = "stablehlo.dot_general"(%%rows, %%%[5]s) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>} : (%[4]s, %[6]s) -> %[7]s
    %%row = "stablehlo.slice"(%%all) {start_indices = array<i64: 0, 0>, limit_indices = array<i64: 1, %[8]d>, strides = array<i64: 1, 1>} : (%[7]s) -> %[9]s
    "stablehlo.return"(%%row) : (%[9]s) -> ()
`, p.x, row, rest, all, w, p.tensor(p.in, p.out), results, p.out, result.tensor(1, p.out))
}

// inPieces multiplies pieceRows rows at a time.
func (p product) inPieces() string {
	var body strings.Builder
	var names, types []string
	for from := 0; from < p.rows; from += pieceRows {
		to := min(from+pieceRows, p.rows)
		piece, result := p.tensor(to-from, p.in), p.tensor(to-from, p.out)
		fmt.Fprintf(&body, `    %%x%d = "stablehlo.slice"(%%%s) {start_indices = array<i64: %d, 0>, limit_indices = array<i64: %d, %d>, strides = array<i64: 1, 1>} : (%s) -> %s
    %%y%d = "stablehlo.dot_general"(%%x%d, %%%s) {dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>} : (%s, %s) -> %s
`, from, p.x, from, to, p.in, p.tensor(p.rows, p.in), piece, from, from, p.w, piece, p.tensor(p.in, p.out), result)
		names, types = append(names, fmt.Sprintf("%%y%d", from)), append(types, result)
	}
	all := p.tensor(p.rows, p.out)
	fmt.Fprintf(&body, `    %%all = "stablehlo.concatenate"(%s) {dimension = 0 : i64} : (%s) -> %s
    "stablehlo.return"(%%all) : (%s) -> ()
`, strings.Join(names, ", "), strings.Join(types, ", "), all, all)
	return body.String()
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
