package kerneltest

import (
	"math"
	"math/rand/v2"
	"testing"

	"astro/internal/device"
	"astro/kernels"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// tokenLogprobs compares log-probabilities, entropies and the gradient of a weighted sum of the former, whole and in chunks that
// divide the tokens and that do not, with a head as it is and turned.
func tokenLogprobs(t *testing.T, d *device.Device) {
	for i, chunk := range []int{0, 1, 4, 5, 12, 100, 0, 5, 12} {
		turned := i >= 6
		const n, width, vocab = 12, 24, 33
		r := rand.New(rand.NewPCG(uint64(chunk), 3))
		hidden, head, weights, targets := normal(r, n*width), normal(r, width*vocab), normal(r, n), make([]int32, n)
		for i := range targets {
			targets[i] = int32(r.IntN(vocab))
		}
		param := func(name string, dtype dtypes.DType, dims ...int) device.Param {
			return device.Param{Name: name, Shape: shapes.Make(dtype, dims...), Alias: -1}
		}
		got := run(t, d, device.Spec{Name: "token_logprobs", Params: []device.Param{
			param("hidden", dtypes.Float32, n, width), param("head", dtypes.Float32, width, vocab), param("targets", dtypes.Int32, n), param("weights", dtypes.Float32, n),
		}, Build: func(in []*graph.Node) []*graph.Node {
			logprobs, entropies := kernels.TokenLogprobs(in[0], headOf(in[1], turned), in[2], chunk)
			loss := graph.ReduceAllSum(graph.Add(graph.Mul(logprobs, in[3]), entropies)) // no gradient comes from the latter
			gradients := graph.Gradient(loss, in[0], in[1])
			return []*graph.Node{graph.Concatenate([]*graph.Node{logprobs, entropies, graph.Reshape(gradients[0], -1), graph.Reshape(gradients[1], -1)}, 0)}
		}}, tensors.FromFlatDataAndDimensions(hidden, n, width), tensors.FromFlatDataAndDimensions(head, width, vocab),
			tensors.FromFlatDataAndDimensions(targets, n), tensors.FromFlatDataAndDimensions(weights, n))
		compare(t, got, logprobsByHand(hidden, head, weights, targets), 1e-4)
	}
}

// headOf is matrix [width, vocab] as a head.
func headOf(matrix *graph.Node, turned bool) kernels.Head {
	if turned {
		return kernels.Head{Matrix: graph.Transpose(matrix, 0, 1), Turned: true}
	}
	return kernels.Head{Matrix: matrix}
}

// logprobsByHand are the same numbers in the same order, in f64.
func logprobsByHand(hidden, head, weights []float32, targets []int32) []float32 {
	n := len(targets)
	width := len(hidden) / n
	vocab := len(head) / width
	logprobs, entropies, dHidden, dHead := make([]float32, n), make([]float32, n), make([]float32, len(hidden)), make([]float32, len(head))
	for i, target := range targets {
		logits, sum := make([]float64, vocab), 0.0
		for j := range vocab {
			for k := range width {
				logits[j] += float64(hidden[i*width+k]) * float64(head[k*vocab+j])
			}
			sum += math.Exp(logits[j])
		}
		logprobs[i] = float32(logits[target] - math.Log(sum))
		for j := range vocab {
			share := math.Exp(logits[j]) / sum
			entropies[i] -= float32(share * math.Log(share))
			slope := -share * float64(weights[i])
			if j == int(target) {
				slope += float64(weights[i])
			}
			for k := range width {
				dHidden[i*width+k] += float32(slope * float64(head[k*vocab+j]))
				dHead[k*vocab+j] += float32(slope * float64(hidden[i*width+k]))
			}
		}
	}
	return append(append(append(logprobs, entropies...), dHidden...), dHead...)
}
