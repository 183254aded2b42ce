package kernels

import (
	"math/rand/v2"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// What a GPU must show before its bodies of attention are used: two rows of 160 tokens, 4 heads of 64 over 2, in bf16.
const (
	checkRows, checkTokens          = 2, 160
	checkHeads, checkKV, checkDim   = 4, 2, 64
	checkPages, checkPageTokens     = 12, 16
	checkTolerance, checkPrefixTall = 0.04, 67 // of values of order 1 with 8 bits; tokens of the first row's prefix
)

func init() {
	device.AddCheck(attentionCheck([]string{"attention_causal", "attention_causal_backward"},
		func(q, k, v, segments *Node) *Node { return causal(q, k, v)[0] },
		func(segments *Node) *Node { return ZerosLike(segments) }))
	device.AddCheck(attentionCheck([]string{"attention_packed", "attention_packed_backward"},
		func(q, k, v, segments *Node) *Node { return packedAttention(q, k, v, PackedRows(segments)) },
		func(segments *Node) *Node { return segments }))
	device.AddCheck(prefixCheck())
}

// attentionCheck compares attention and its gradients with all scores at once, over rows of three segments or of what segmentsOf makes of them.
func attentionCheck(functions []string, attend func(q, k, v, segments *Node) *Node, segmentsOf func(segments *Node) *Node) device.Check {
	build := func(attend func(q, k, v, segments *Node) *Node, dtype dtypes.DType) func(in []*Node) []*Node {
		return func(in []*Node) []*Node {
			rounded := func(x *Node) *Node { return ConvertDType(ConvertDType(x, dtypes.BFloat16), dtype) }
			q, k, v, goal := rounded(in[0]), rounded(in[1]), rounded(in[2]), rounded(in[3])
			segments := DivScalar(Iota(q.Graph(), shapes.Make(dtypes.Int32, checkRows, checkTokens), 1), checkTokens*2/5)
			mixed := attend(q, k, v, segmentsOf(segments))
			return append([]*Node{mixed}, Gradient(ReduceAllSum(Mul(ConvertDType(mixed, dtypes.Float32), ConvertDType(goal, dtypes.Float32))), q, k, v)...)
		}
	}
	whole := func(q, k, v, segments *Node) *Node {
		first, last := SegmentSpans(segments)
		return AttentionWhole(q, k, v, first, last, scaleOf(checkDim))
	}
	return device.Check{Kind: device.XLACUDA, Functions: functions, Tolerance: checkTolerance, Build: build(attend, dtypes.BFloat16), Want: build(whole, dtypes.Float32),
		Inputs: func(random *rand.Rand) []*tensors.Tensor {
			q, k := []int{checkRows, checkTokens, checkHeads, checkDim}, []int{checkRows, checkTokens, checkKV, checkDim}
			return []*tensors.Tensor{normals(random, q...), normals(random, k...), normals(random, k...), normals(random, q...)}
		}}
}

// prefixCheck compares a chunk behind a prefix, and one without, with attention to its pages.
func prefixCheck() device.Check {
	chunk := checkTokens / 2
	build := func(attend func(q, newK, newV, k, v, table, positions *Node) *Node) func(in []*Node) []*Node {
		return func(in []*Node) []*Node {
			for i, x := range in {
				in[i] = ConvertDType(x, dtypes.BFloat16)
			}
			g, ids := in[0].Graph(), shapes.Make(dtypes.Int32, checkRows, chunk)
			positions := Add(Iota(g, ids, 1), MulScalar(Sub(OnesLike(Iota(g, ids, 0)), Iota(g, ids, 0)), checkPrefixTall))
			table := Iota(g, shapes.Make(dtypes.Int32, checkRows*checkPages), 0)
			slots := Reshape(Add(positions, MulScalar(Iota(g, ids, 0), checkPages*checkPageTokens)), -1)
			written := func(pool, rows *Node) *Node { return PageWrite(pool, slots, Reshape(rows, -1, checkKV, checkDim)) }
			k, v := written(in[3], in[1]), written(in[4], in[2])
			return []*Node{attend(in[0], in[1], in[2], k, v, Reshape(table, checkRows, checkPages), positions)}
		}
	}
	paged := func(q, _, _, k, v, table, positions *Node) *Node {
		return pagedAttention([]*Node{ConvertDType(q, dtypes.Float32), k, v, table, positions})[0]
	}
	return device.Check{Kind: device.XLACUDA, Functions: []string{"attention_prefix"}, Tolerance: checkTolerance, Build: build(chunkAttention), Want: build(paged),
		Inputs: func(random *rand.Rand) []*tensors.Tensor {
			rows, pool := []int{checkRows, chunk, checkKV, checkDim}, []int{checkRows * checkPages, checkKV, checkPageTokens, checkDim}
			return []*tensors.Tensor{normals(random, checkRows, chunk, checkHeads, checkDim), normals(random, rows...), normals(random, rows...),
				normals(random, pool...), normals(random, pool...)}
		}}
}

// decodeCheck compares attention of decodes, of two Sequences of different lengths, with the plain graph.
func decodeCheck() device.Check {
	build := func(attend func(in []*Node) *Node) func(in []*Node) []*Node {
		return func(in []*Node) []*Node {
			for i, x := range in {
				in[i] = ConvertDType(x, dtypes.BFloat16)
			}
			g, ids := in[0].Graph(), shapes.Make(dtypes.Int32, checkRows, 1)
			positions := AddScalar(MulScalar(Iota(g, ids, 0), checkPages*checkPageTokens-1-checkPrefixTall), checkPrefixTall) // the last one is a context's last
			table := Reshape(Iota(g, shapes.Make(dtypes.Int32, checkRows*checkPages), 0), checkRows, checkPages)
			return []*Node{attend(append(in, table, positions))}
		}
	}
	return device.Check{Kind: device.XLACUDA, Functions: []string{pagedAttentionName}, Tolerance: checkTolerance,
		Build: build(func(in []*Node) *Node { return PagedAttention(in[0], in[1], in[2], in[3], in[4], scaleOf(checkDim)) }),
		Want:  build(func(in []*Node) *Node { return pagedAttention(in)[0] }),
		Inputs: func(random *rand.Rand) []*tensors.Tensor {
			pool := []int{checkRows * checkPages, checkKV, checkPageTokens, checkDim}
			return []*tensors.Tensor{normals(random, checkRows, 1, checkHeads, checkDim), normals(random, pool...), normals(random, pool...)}
		}}
}

// normals are standard normal numbers.
func normals(random *rand.Rand, dims ...int) *tensors.Tensor {
	shape := shapes.Make(dtypes.Float32, dims...)
	x := make([]float32, shape.Size())
	for i := range x {
		x[i] = float32(random.NormFloat64())
	}
	return tensors.FromFlatDataAndDimensions(x, dims...)
}
