package kerneltest

import (
	"math"
	"math/rand/v2"
	"testing"

	"astro/internal/device"
	"astro/kernels"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// decode is attention of one query, or a few, for each Sequence, in sizes that kernels for GPUs are made for, over pools in f32 and bf16. Some
// Sequences fill their table, some have one position, one is a padding row whose table is all page 0.
func decode(t *testing.T, d *device.Device, r *rand.Rand) {
	l := layout{kvHeads: 1 + r.IntN(2), pageTokens: pick(r, 16, 32), headDim: pick(r, 32, 64, 80, 96, 128)}
	b := queries{layout: l, seqs: 3, tokens: pick(r, 1, 1, 2), group: 1 + r.IntN(8), maxPages: pick(r, 1, 4, 20)}
	b.pages = 2*b.maxPages + 1
	for _, page := range r.Perm(b.pages)[:2*b.maxPages] {
		b.table = append(b.table, int32(page))
	}
	b.table = append(b.table, make([]int32, b.maxPages)...)
	for _, last := range []int{b.maxPages*b.pageTokens - 1, r.IntN(b.maxPages * b.pageTokens), 0} {
		for t := range b.tokens {
			b.positions = append(b.positions, int32(max(0, last-b.tokens+1+t)))
		}
	}
	b.k, b.v, b.q = normal(r, b.size()), normal(r, b.size()), normal(r, b.seqs*b.tokens*b.kvHeads*b.group*b.headDim)
	for _, dtype := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16} {
		t.Run(dtype.String(), func(t *testing.T) { b.compare(t, d, dtype) })
	}
}

// compare runs b over pools of a dtype. Queries are f32.
func (b queries) compare(t *testing.T, d *device.Device, dtype dtypes.DType) {
	scale := 1 / math.Sqrt(float64(b.headDim))
	qShape := shapes.Make(dtypes.Float32, b.seqs, b.tokens, b.kvHeads*b.group, b.headDim)
	pool := b.shape()
	pool.DType = dtype
	k, v := tensorOf(&b.k, pool), tensorOf(&b.v, pool)
	out := run(t, d, device.Spec{Name: "decode", Params: []device.Param{
		{Name: "q", Shape: qShape, Alias: -1}, {Name: "k", Shape: pool, Alias: -1}, {Name: "v", Shape: pool, Alias: -1},
		{Name: "table", Shape: shapes.Make(dtypes.Int32, b.seqs, b.maxPages), Alias: -1},
		{Name: "positions", Shape: shapes.Make(dtypes.Int32, b.seqs, b.tokens), Alias: -1},
	}, Build: func(in []*graph.Node) []*graph.Node {
		return []*graph.Node{kernels.PagedAttention(in[0], in[1], in[2], in[3], in[4], scale)}
	}}, tensors.FromFlatDataAndDimensions(b.q, qShape.Dimensions...), k, v,
		tensors.FromFlatDataAndDimensions(b.table, b.seqs, b.maxPages), tensors.FromFlatDataAndDimensions(b.positions, b.seqs, b.tokens))
	compare(t, out, b.attend(scale), 2e-5)
}

// tensorOf makes a tensor of values, which become what its dtype holds.
func tensorOf(values *[]float32, s shapes.Shape) *tensors.Tensor {
	if s.DType == dtypes.Float32 {
		return tensors.FromFlatDataAndDimensions(*values, s.Dimensions...)
	}
	narrow, wide := make([]bfloat16.BFloat16, len(*values)), make([]float32, len(*values))
	for i, x := range *values {
		narrow[i] = bfloat16.FromFloat32(x)
		wide[i] = narrow[i].Float32()
	}
	*values = wide
	return tensors.FromFlatDataAndDimensions(narrow, s.Dimensions...)
}
