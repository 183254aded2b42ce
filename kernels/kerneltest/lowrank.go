package kerneltest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"astro/internal/device"
	"astro/kernels"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// lowRank compares a product with a matrix that is changed, and its gradients, with sums in f64: in bf16 the changed matrix is rounded as a whole.
func lowRank(t *testing.T, d *device.Device) {
	const rows, in, rank, out = 30, 64, 3, 33
	for _, kinds := range [][2]dtypes.DType{{dtypes.Float32, dtypes.Float32}, {dtypes.BFloat16, dtypes.BFloat16}, {dtypes.BFloat16, dtypes.Float32}} {
		x, w := kinds[0], kinds[1]
		t.Run(fmt.Sprint(x, " ", w), func(t *testing.T) {
			dims := [][]int{{rows, in}, {in, out}, {in, rank}, {rank, out}, {rows, out}} // x, w, a, b, the adjoint of the result
			r, tolerance := rand.New(rand.NewPCG(5, 11)), 1e-5
			if x == dtypes.BFloat16 {
				tolerance = 1. / 128
			}
			var values [5][]float32
			var params []device.Param
			var args []*tensors.Tensor
			for i, s := range dims {
				values[i] = normal(r, s[0]*s[1])
				for j := range values[i] {
					values[i][j] = float32(halfOf(values[i][j]))
				}
				params = append(params, device.Param{Name: fmt.Sprintf("x%d", i), Shape: shapes.Make(dtypes.Float32, s...), Alias: -1})
				args = append(args, tensors.FromFlatDataAndDimensions(values[i], s...))
			}
			got := run(t, d, device.Spec{Name: "low_rank", Params: params, Build: func(n []*graph.Node) []*graph.Node {
				left, frozen := graph.ConvertDType(n[0], x), graph.ConvertDType(n[1], w)
				y := graph.ConvertDType(kernels.Matrix{Values: frozen, Change: kernels.LowRank{A: n[2], B: n[3]}}.Product(left), dtypes.Float32)
				var all []*graph.Node
				for _, n := range append([]*graph.Node{y}, graph.Gradient(graph.ReduceAllSum(graph.Mul(y, n[4])), left, n[2], n[3])...) {
					all = append(all, graph.Reshape(graph.ConvertDType(n, dtypes.Float32), -1))
				}
				return []*graph.Node{graph.Concatenate(all, 0)}
			}}, args...)
			for i, want := range lowRankByHand(dims, values, x == dtypes.BFloat16) {
				relative(t, []string{"result", "gradient of x", "gradient of A", "gradient of B"}[i], got[:len(want)], want, tolerance)
				got = got[len(want):]
			}
		})
	}
}

// lowRankByHand are the result and the gradients of x, A and B.
func lowRankByHand(dims [][]int, values [5][]float32, half bool) [4][]float32 {
	x, w, a, b, d := values[0], values[1], values[2], values[3], values[4]
	rows, in, rank, out := dims[0][0], dims[0][1], dims[2][1], dims[1][1]
	whole := product(a, b, in, rank, out)
	for i := range whole {
		if whole[i] += w[i]; half {
			whole[i] = float32(halfOf(whole[i]))
		}
	}
	return [4][]float32{product(x, whole, rows, in, out), product(d, turned(whole, in, out), rows, out, in),
		product(turned(x, rows, in), product(d, turned(b, rank, out), rows, out, rank), in, rows, rank),
		product(turned(product(x, a, rows, in, rank), rows, rank), d, rank, rows, out)}
}

// product of [n, k] and [k, m], added up in f64.
func product(left, right []float32, n, k, m int) []float32 {
	all := make([]float32, n*m)
	for i := range all {
		sum := 0.0
		for j := range k {
			sum += float64(left[i/m*k+j]) * float64(right[j*m+i%m])
		}
		all[i] = float32(sum)
	}
	return all
}

// turned is the transpose of x [rows, columns].
func turned(x []float32, rows, columns int) []float32 {
	all := make([]float32, len(x))
	for i, v := range x {
		all[i%columns*rows+i/columns] = v
	}
	return all
}
