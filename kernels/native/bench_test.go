package native

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// BenchmarkNative times products with sixteen matrices [512, 2048], which no cache holds together as f32, and XLA's dots with them in turns,
// the best of each. A ratio below 1 is what the kernels are for. XLA's product is one program, and so has its threads to itself.
func BenchmarkNative(b *testing.B) {
	const in, out, matrices = 512, 2048, 16
	d := devicetest.Native(b)
	r := rand.New(rand.NewPCG(1, 1))
	matrix := normal(r, in*out)
	for _, rows := range []int{1, 8, 32, 512} {
		x := normal(r, rows*in)
		dots := xlaDots(b, d, matrix, x, rows, in, out, matrices)
		for _, w := range allWeights {
			b.Run(fmt.Sprintf("%s, %d rows", w, rows), func(b *testing.B) {
				devicetest.InTurns(b, []string{"native", "dot"}, nativeProducts(b, w, matrix, x, in, out, matrices), dots)
			})
		}
	}
}

func nativeProducts(b *testing.B, w Weights, matrix, x []float32, in, out, matrices int) func() {
	packed := make([][]byte, matrices)
	for i := range packed {
		var err error
		if packed[i], err = Pack(w, matrix, in, out); err != nil {
			b.Fatal(err)
		}
	}
	return func() {
		for _, p := range packed {
			if _, err := Multiply(w, p, in, out, x); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// xlaDots multiplies x [rows, in] by each of the matrices, in one program.
func xlaDots(b *testing.B, d *device.Device, matrix, x []float32, rows, in, out, matrices int) func() {
	params := []device.Param{{Name: "x", Shape: shapes.Make(dtypes.Float32, rows, in), Alias: -1}}
	args := []*tensors.Tensor{tensors.FromFlatDataAndDimensions(x, rows, in)}
	for i := range matrices {
		params = append(params, device.Param{Name: fmt.Sprintf("w%d", i), Shape: shapes.Make(dtypes.Float32, in, out), Alias: -1})
		args = append(args, tensors.FromFlatDataAndDimensions(matrix, in, out))
	}
	p, err := d.Compile(device.Spec{Name: "dots", Params: params, Build: func(in []*Node) []*Node {
		var products []*Node
		for _, w := range in[1:] {
			products = append(products, DotProduct(in[0], w))
		}
		return products
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	return func() {
		products, err := p.Run(args...)
		if err != nil {
			b.Fatal(err)
		}
		for _, y := range products {
			y.FinalizeAll()
		}
	}
}
