package trainer

import (
	"math"
	"math/rand/v2"
	"testing"

	"astro/internal/device"
	"astro/kernels"
	"astro/model/modeltest"

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
				{Name: "segments", Shape: shapes.Make(dtypes.Int32, rows, tokens), Alias: -1}}, Build: allAttentions})
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
			whole := len(out) - 4
			for i := range whole {
				if got := farthest(out[i], out[whole+i%4]); got > 2e-5 {
					t.Errorf("%d tokens: form %d: %s differ by %g", tokens, i/4, []string{"values", "gradient of q", "gradient of k", "gradient of v"}[i%4], got)
				}
			}
			free(out)
		})
	}
}

// What attention leaves grows with a long row's length on XLA, and with its square on go.
func TestLongRowsGrowLinearly(t *testing.T) {
	c := modeltest.Llama1B(1, 16384)
	for kind, want := range map[device.Kind]int64{device.XLACPU: 2, device.XLACUDA: 2, device.Go: 4} {
		if got := AttentionElements(kind, c, 1, 16384) / AttentionElements(kind, c, 1, 8192); got != want {
			t.Errorf("%s: twice the length leaves %d times as much; want %d", kind, got, want)
		}
	}
}

// allAttentions gives the values and the gradients to q, k and v of packedAttention, on XLA of attention in blocks that store no scores, then those
// of one block.
func allAttentions(in []*Node) (out []*Node) {
	q, k, v, goal, bias := in[0], in[1], in[2], in[3], packedBias(in[4])
	byHead := func(x *Node) *Node { return TransposeAllAxes(x, 0, 2, 1, 3) }
	whole := byHead(attendBlock(byHead(q), byHead(k), byHead(v), bias, .3))
	forms := []*Node{packedAttention(q, k, v, bias, .3)}
	if device.KindOf(q.Graph()) != device.Go {
		forms = append(forms, kernels.PackedAttention(q, k, v, kernels.PackedRows(in[4]), .3))
	}
	for _, mixed := range append(forms, whole) {
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
