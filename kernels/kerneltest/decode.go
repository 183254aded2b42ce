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
		t.Run(dtype.String(), func(t *testing.T) { b.compare(t, d, dtypes.Float32, dtype, 2e-5) })
	}
}

// narrowQueries has two keys for each query, of large scores that are nearly the same: queries that were rounded again when they were scaled, which no
// power of two does for heads of 128, would take the one for the other.
func narrowQueries(t *testing.T, d *device.Device, r *rand.Rand) {
	l := layout{pages: 8, kvHeads: 1, pageTokens: 16, headDim: 128}
	b := queries{layout: l, seqs: l.pages, tokens: 1, group: 1, maxPages: 1, k: make([]float32, l.size()), v: make([]float32, l.size())}
	for s := range b.seqs {
		b.table, b.positions = append(b.table, int32(s)), append(b.positions, 1)
		q, keys := normal(r, l.headDim), normal(r, 2*l.headDim)
		for i := range q {
			q[i] = narrow(8 * q[i])
		}
		difference := 0.0
		for i, x := range keys {
			keys[i] = narrow(8 * x)
			difference += float64(q[i%l.headDim]*keys[i]) * float64(1-2*(i/l.headDim))
		}
		for i := range l.headDim { // each of the second key's elements takes what it can of the difference
			was := keys[l.headDim+i]
			keys[l.headDim+i] = narrow(was + float32(difference)/q[i]/float32(l.headDim-i))
			difference -= float64(q[i]) * float64(keys[l.headDim+i]-was)
		}
		b.q = append(b.q, q...)
		copy(b.k[b.at(s*l.pageTokens, 0):], keys)
		for i := range l.headDim {
			b.v[b.at(s*l.pageTokens, 0)+i] = 1
		}
	}
	b.compare(t, d, dtypes.BFloat16, dtypes.BFloat16, .006)
}

func narrow(x float32) float32 { return bfloat16.FromFloat32(x).Float32() }

// compare runs b with queries and over pools of such dtypes.
func (b queries) compare(t *testing.T, d *device.Device, rows, pools dtypes.DType, tolerance float64) {
	scale := 1 / math.Sqrt(float64(b.headDim))
	qShape := shapes.Make(rows, b.seqs, b.tokens, b.kvHeads*b.group, b.headDim)
	pool := b.shape()
	pool.DType = pools
	q, k, v := tensorOf(&b.q, qShape), tensorOf(&b.k, pool), tensorOf(&b.v, pool)
	out := run(t, d, device.Spec{Name: "decode", Params: []device.Param{
		{Name: "q", Shape: qShape, Alias: -1}, {Name: "k", Shape: pool, Alias: -1}, {Name: "v", Shape: pool, Alias: -1},
		{Name: "table", Shape: shapes.Make(dtypes.Int32, b.seqs, b.maxPages), Alias: -1},
		{Name: "positions", Shape: shapes.Make(dtypes.Int32, b.seqs, b.tokens), Alias: -1},
	}, Build: func(in []*graph.Node) []*graph.Node {
		return []*graph.Node{graph.ConvertDType(kernels.PagedAttention(in[0], in[1], in[2], in[3], in[4], scale), dtypes.Float32)}
	}}, q, k, v,
		tensors.FromFlatDataAndDimensions(b.table, b.seqs, b.maxPages), tensors.FromFlatDataAndDimensions(b.positions, b.seqs, b.tokens))
	compare(t, out, b.attend(scale), tolerance)
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
