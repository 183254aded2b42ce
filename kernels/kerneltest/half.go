package kerneltest

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/kernels"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// halves compares what bf16 training multiplies, and its gradients, with sums in f64 of the rounded operands.
func halves(t *testing.T, d *device.Device) {
	sizes := map[rune]int{'r': 30, 'i': 64, 'o': 33, 'b': 2, 'h': 3, 'q': 20, 'k': 12, 'd': 16}
	for _, p := range []struct {
		name, of, toLeft, toRight string
		call                      func(l, r *graph.Node) *graph.Node
		left, right               dtypes.DType
		tolerance                 float64 // of the result; the left gradient is rounded
	}{
		{"Product", "ri,io->ro", "ro,io->ri", "ri,ro->io", kernels.Product, dtypes.BFloat16, dtypes.Float32, 1. / 256},
		{"Logits", "ri,io->ro", "ro,io->ri", "ri,ro->io", kernels.Logits, dtypes.BFloat16, dtypes.Float32, 1e-5},
		{"Logits of bf16", "ri,io->ro", "ro,io->ri", "ri,ro->io", kernels.Logits, dtypes.BFloat16, dtypes.BFloat16, 1e-5},
		{"Scores", "bhqd,bhkd->bhqk", "bhqk,bhkd->bhqd", "bhqd,bhqk->bhkd", kernels.Scores, dtypes.BFloat16, dtypes.BFloat16, 1e-5},
		{"Mix", "bhqk,bhkd->bhqd", "bhqd,bhkd->bhqk", "bhqk,bhqd->bhkd", kernels.Mix, dtypes.Float32, dtypes.BFloat16, 1. / 256},
	} {
		t.Run(p.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 11))
			axes := strings.FieldsFunc(p.of, func(c rune) bool { return c == ',' || c == '-' || c == '>' })
			var values [3][]float32 // left, right, and the adjoint of the result
			var params []device.Param
			var args []*tensors.Tensor
			for i, letters := range axes {
				dims, n := []int{}, 1
				for _, c := range letters {
					dims, n = append(dims, sizes[c]), n*sizes[c]
				}
				values[i] = normal(r, n)
				params = append(params, device.Param{Name: "x" + letters, Shape: shapes.Make(dtypes.Float32, dims...), Alias: -1})
				args = append(args, tensors.FromFlatDataAndDimensions(values[i], dims...))
			}
			got := run(t, d, device.Spec{Name: "half", Params: params, Build: func(in []*graph.Node) []*graph.Node {
				left, right := graph.ConvertDType(in[0], p.left), graph.ConvertDType(in[1], p.right)
				y := graph.ConvertDType(p.call(left, right), dtypes.Float32)
				gradients := graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[2])), left, right)
				var all []*graph.Node
				for _, x := range append([]*graph.Node{y}, gradients...) {
					all = append(all, graph.Reshape(graph.ConvertDType(x, dtypes.Float32), -1))
				}
				return []*graph.Node{graph.Concatenate(all, 0)}
			}}, args...)
			y, dl, dr := sums(p.of, sizes, values[0], values[1]), sums(p.toLeft, sizes, values[2], values[1]), sums(p.toRight, sizes, values[0], values[2])
			relative(t, "result", got[:len(y)], y, p.tolerance)
			relative(t, "gradient of the left", got[len(y):len(y)+len(dl)], dl, 1./256)
			tolerance := 1. / 256
			if p.right == dtypes.Float32 && d.Kind() != device.Go {
				tolerance = 1e-5
			}
			relative(t, "gradient of the right", got[len(y)+len(dl):], dr, tolerance)
		})
	}
}

// halfLogprobs is tokenLogprobs with bf16 hidden states and an f32 head: log-probabilities and entropies are as exact as in f32, gradients
// are of slopes that were rounded, and that of the head, which is added up over all tokens, is rounded nowhere else.
func halfLogprobs(t *testing.T, d *device.Device) {
	const n, width, vocab = 60, 24, 33
	for _, chunk := range []int{0, 7} {
		r := rand.New(rand.NewPCG(uint64(chunk), 3))
		hidden, head, weights, targets := normal(r, n*width), normal(r, width*vocab), normal(r, n), make([]int32, n)
		for i := range targets {
			targets[i] = int32(r.IntN(vocab))
		}
		for _, x := range [][]float32{hidden, head} {
			for i := range x {
				x[i] = float32(halfOf(x[i]))
			}
		}
		param := func(name string, dtype dtypes.DType, dims ...int) device.Param {
			return device.Param{Name: name, Shape: shapes.Make(dtype, dims...), Alias: -1}
		}
		got := run(t, d, device.Spec{Name: "half_logprobs", Params: []device.Param{
			param("hidden", dtypes.Float32, n, width), param("head", dtypes.Float32, width, vocab), param("targets", dtypes.Int32, n), param("weights", dtypes.Float32, n),
		}, Build: func(in []*graph.Node) []*graph.Node {
			logprobs, entropies := kernels.TokenLogprobs(graph.ConvertDType(in[0], dtypes.BFloat16), headOf(in[1], chunk > 0), in[2], chunk)
			gradients := graph.Gradient(graph.ReduceAllSum(graph.Mul(logprobs, in[3])), in[0], in[1])
			return []*graph.Node{graph.Concatenate([]*graph.Node{logprobs, entropies, graph.Reshape(gradients[0], -1), graph.Reshape(gradients[1], -1)}, 0)}
		}}, tensors.FromFlatDataAndDimensions(hidden, n, width), tensors.FromFlatDataAndDimensions(head, width, vocab),
			tensors.FromFlatDataAndDimensions(targets, n), tensors.FromFlatDataAndDimensions(weights, n))
		want := logprobsByHand(hidden, head, weights, targets)
		exact, ofHidden := 2*n, 2*n+n*width
		relative(t, "log-probabilities", got[:exact], want[:exact], 1e-5)
		relative(t, "gradient of hidden states", got[exact:ofHidden], want[exact:ofHidden], 1./128)
		relative(t, "gradient of the head", got[ofHidden:], want[ofHidden:], 1./256)
	}
}

// sums are an Einsum of operands rounded to bf16, in f64.
func sums(equation string, sizes map[rune]int, left, right []float32) []float32 {
	operands, out, _ := strings.Cut(equation, "->")
	l, r, _ := strings.Cut(operands, ",")
	letters := out
	for _, c := range l + r {
		if !strings.ContainsRune(letters, c) {
			letters += string(c)
		}
	}
	total, at := 1, map[rune]int{}
	for _, c := range letters {
		total *= sizes[c]
	}
	index := func(axes string) (i int) {
		for _, c := range axes {
			i = i*sizes[c] + at[c]
		}
		return i
	}
	result := map[int]float64{}
	for n := range total {
		for _, c := range letters {
			at[c], n = n%sizes[c], n/sizes[c]
		}
		result[index(out)] += halfOf(left[index(l)]) * halfOf(right[index(r)])
	}
	all := make([]float32, len(result))
	for i, x := range result {
		all[i] = float32(x)
	}
	return all
}

func halfOf(x float32) float64 { return float64(bfloat16.FromFloat32(x).Float32()) }

// relative compares numbers by the largest of them.
func relative(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	worst, largest := 0.0, 0.0
	for i := range want {
		worst, largest = max(worst, math.Abs(float64(got[i])-float64(want[i]))), max(largest, math.Abs(float64(want[i])))
	}
	if !(worst <= tolerance*largest) {
		t.Errorf("the %s is up to %g off, of numbers up to %g; want at most %g of that", what, worst, largest, tolerance)
	}
}
