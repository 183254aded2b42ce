package trainer

import (
	"math"
	"math/rand/v2"
	"testing"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Attention in blocks, which need not divide the row, is attention over all keys at once, with the same gradients, wherever segments
// begin and padding lies.
func TestBlocksAreWholeAttention(t *testing.T) {
	const rows, heads, kvHeads, dim = 2, 4, 2, 8
	for _, tokens := range []int{20, causalBlocks*minBlockTokens + 7} {
		onEach(t, func(t *testing.T, d *device.Device) {
			f32 := func(name string, heads int) device.Param {
				return device.Param{Name: name, Shape: shapes.Make(dtypes.Float32, rows, tokens, heads, dim), Alias: -1}
			}
			p, err := d.Compile(device.Spec{Name: "attention", Params: []device.Param{f32("q", heads), f32("k", kvHeads), f32("v", kvHeads), f32("goal", heads),
				{Name: "segments", Shape: shapes.Make(dtypes.Int32, rows, tokens), Alias: -1}}, Build: bothAttentions})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			random := rand.New(rand.NewPCG(1, uint64(tokens)))
			out, err := p.Run(randomTensor(random, rows, tokens, heads, dim), randomTensor(random, rows, tokens, kvHeads, dim), randomTensor(random, rows, tokens, kvHeads, dim),
				randomTensor(random, rows, tokens, heads, dim), segmentsOf(rows, tokens))
			if err != nil {
				t.Fatal(err)
			}
			for i, name := range []string{"values", "gradient of q", "gradient of k", "gradient of v"} {
				if got := farthest(out[i], out[4+i]); got > 2e-5 {
					t.Errorf("%d tokens: %s differ by %g", tokens, name, got)
				}
			}
			free(out)
		})
	}
}

// bothAttentions gives the values and the gradients to q, k and v of packedAttention, then those of one block.
func bothAttentions(in []*Node) (out []*Node) {
	q, k, v, goal, bias := in[0], in[1], in[2], in[3], packedBias(in[4])
	byHead := func(x *Node) *Node { return TransposeAllAxes(x, 0, 2, 1, 3) }
	whole := byHead(attendBlock(byHead(q), byHead(k), byHead(v), bias, .3))
	for _, mixed := range []*Node{packedAttention(q, k, v, bias, .3), whole} {
		out = append(out, mixed)
		out = append(out, Gradient(ReduceAllSum(Mul(mixed, goal)), q, k, v)...)
	}
	return out
}

func randomTensor(random *rand.Rand, dims ...int) *tensors.Tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(random.NormFloat64())
	}
	return tensors.FromFlatDataAndDimensions(values, dims...)
}

// segmentsOf is examples of 9 tokens in the first row, and one of two thirds before padding in the others.
func segmentsOf(rows, tokens int) *tensors.Tensor {
	segments := make([]int32, rows*tokens)
	for i := range segments {
		if row, at := i/tokens, i%tokens; row == 0 {
			segments[i] = int32(at/9 + 1)
		} else if at < 2*tokens/3 {
			segments[i] = 1
		}
	}
	return tensors.FromFlatDataAndDimensions(segments, rows, tokens)
}

// farthest is the largest difference of two tensors' values.
func farthest(a, b *tensors.Tensor) (most float64) {
	x, y := tensors.MustCopyFlatData[float32](a), tensors.MustCopyFlatData[float32](b)
	for i := range x {
		if d := math.Abs(float64(x[i] - y[i])); d > most || math.IsNaN(d) {
			most = d
		}
	}
	return most
}
