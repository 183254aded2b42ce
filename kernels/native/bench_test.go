package native

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// BenchmarkNative times products with sixteen matrices [512, 2048], which no cache holds together as f32, and XLA's dots with them in turns,
// the best of each. A ratio below 1 is what the kernels are for. XLA's product is one program, and so has its threads to itself.
func BenchmarkNative(b *testing.B) {
	const in, out, matrices = 512, 2048, 16
	d := nativeDevice(b)
	r := rand.New(rand.NewPCG(1, 1))
	matrix := normal(r, in*out)
	for _, rows := range []int{1, 8, 32, 512} {
		x := normal(r, rows*in)
		dots := xlaDots(b, d, matrix, x, rows, in, out, matrices)
		for _, w := range allWeights {
			b.Run(fmt.Sprintf("%s, %d rows", w, rows), func(b *testing.B) {
				inTurns(b, []func(){nativeProducts(b, w, matrix, x, in, out, matrices), dots})
			})
		}
	}
}

// inTurns reports the best time of the first step, of the second, and their ratio.
func inTurns(b *testing.B, steps []func()) {
	best := [2]time.Duration{math.MaxInt64, math.MaxInt64}
	for b.Loop() {
		for i, step := range steps {
			start := time.Now()
			step()
			best[i] = min(best[i], time.Since(start))
		}
	}
	b.ReportMetric(float64(best[0].Microseconds()), "us/native")
	b.ReportMetric(float64(best[1].Microseconds()), "us/dot")
	b.ReportMetric(float64(best[0])/float64(best[1]), "ratio")
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
