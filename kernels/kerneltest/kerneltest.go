// Package kerneltest is the one suite that every body of every kernel passes: each is compared with a naive computation in plain
// Go on random shapes, on one device.
package kerneltest

import (
	"fmt"
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

// Run runs the suite on d.
func Run(t *testing.T, d *device.Device) {
	t.Run("PageWrite", func(t *testing.T) { each(t, 12, func(t *testing.T, r *rand.Rand) { pageWrite(t, d, r) }) })
	t.Run("PageCopy", func(t *testing.T) { each(t, 6, func(t *testing.T, r *rand.Rand) { pageCopy(t, d, r) }) })
	RunAttention(t, d)
	t.Run("Attention", func(t *testing.T) { each(t, 5, func(t *testing.T, r *rand.Rand) { spans(t, d, r) }) })
	t.Run("SegmentSpans", func(t *testing.T) { segmentSpans(t, d) })
	t.Run("WindowAttention", func(t *testing.T) { each(t, 12, func(t *testing.T, r *rand.Rand) { windowAttention(t, d, r) }) })
	t.Run("Product", func(t *testing.T) { products(t, d) })
	RunLearning(t, d)
	t.Run("Int8", func(t *testing.T) { int8Products(t, d) })
	t.Run("TokenLogprobs", func(t *testing.T) { tokenLogprobs(t, d) })
	t.Run("Half", func(t *testing.T) { halves(t, d) })
	t.Run("LowRank", func(t *testing.T) { lowRank(t, d) })
	t.Run("HalfLogprobs", func(t *testing.T) { halfLogprobs(t, d) })
}

// RunAttention runs the part of it on attention over pages.
func RunAttention(t *testing.T, d *device.Device) {
	t.Run("PagedAttention", func(t *testing.T) { each(t, 16, func(t *testing.T, r *rand.Rand) { pagedAttention(t, d, r) }) })
	t.Run("Decode", func(t *testing.T) { each(t, 8, func(t *testing.T, r *rand.Rand) { decode(t, d, r) }) })
	t.Run("NarrowQueries", func(t *testing.T) { each(t, 2, func(t *testing.T, r *rand.Rand) { narrowQueries(t, d, r) }) })
}

func each(t *testing.T, n int, body func(*testing.T, *rand.Rand)) {
	for i := range n {
		t.Run(fmt.Sprint(i), func(t *testing.T) { body(t, rand.New(rand.NewPCG(uint64(i), 7))) })
	}
}

// A layout is the sizes of a random pool.
type layout struct{ pages, kvHeads, pageTokens, headDim int }

func (l layout) size() int { return l.pages * l.kvHeads * l.pageTokens * l.headDim }

// at is the place of a head's row for one slot.
func (l layout) at(slot, head int) int {
	page, offset := slot/l.pageTokens, slot%l.pageTokens
	return ((page*l.kvHeads+head)*l.pageTokens + offset) * l.headDim
}

func (l layout) shape() shapes.Shape {
	return shapes.Make(dtypes.Float32, l.pages, l.kvHeads, l.pageTokens, l.headDim)
}

func randomLayout(r *rand.Rand) layout {
	return layout{2 + r.IntN(12), 1 + r.IntN(3), pick(r, 8, 16, 32), pick(r, 16, 32, 64, 80, 128)}
}

func pick(r *rand.Rand, of ...int) int { return of[r.IntN(len(of))] }

func normal(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func pageWrite(t *testing.T, d *device.Device, r *rand.Rand) {
	l := randomLayout(r)
	n := 1 + r.IntN(l.pages*l.pageTokens)
	pool, rows := normal(r, l.size()), normal(r, n*l.kvHeads*l.headDim)
	slots := make([]int32, n)
	for i, slot := range r.Perm(l.pages * l.pageTokens)[:n] {
		slots[i] = int32(slot)
		if r.IntN(4) == 0 {
			slots[i] = -1
		}
	}
	out := run(t, d, device.Spec{Name: "write", Params: []device.Param{
		{Name: "pool", Shape: l.shape(), Alias: 0}, {Name: "slots", Shape: shapes.Make(dtypes.Int32, n), Alias: -1},
		{Name: "rows", Shape: shapes.Make(dtypes.Float32, n, l.kvHeads, l.headDim), Alias: -1},
	}, Build: func(in []*graph.Node) []*graph.Node { return []*graph.Node{kernels.PageWrite(in[0], in[1], in[2])} }},
		tensors.FromFlatDataAndDimensions(pool, l.shape().Dimensions...), tensors.FromFlatDataAndDimensions(slots, n),
		tensors.FromFlatDataAndDimensions(rows, n, l.kvHeads, l.headDim))
	want := append([]float32{}, pool...)
	for i, slot := range slots {
		for h := 0; h < l.kvHeads && slot >= 0; h++ {
			copy(want[l.at(int(slot), h):][:l.headDim], rows[(i*l.kvHeads+h)*l.headDim:])
		}
	}
	compare(t, out, want, 0)
}

func pageCopy(t *testing.T, d *device.Device, r *rand.Rand) {
	l := randomLayout(r)
	pool, order := normal(r, l.size()), r.Perm(l.pages)
	n := 1 + r.IntN(l.pages/2)
	from, to := make([]int32, n+1), make([]int32, n+1)
	to[n] = -1
	want, page := append([]float32{}, pool...), l.size()/l.pages
	for i := range n {
		from[i], to[i] = int32(order[2*i]), int32(order[2*i+1])
		copy(want[int(to[i])*page:][:page], pool[int(from[i])*page:])
	}
	ids := shapes.Make(dtypes.Int32, n+1)
	out := run(t, d, device.Spec{Name: "copy", Params: []device.Param{
		{Name: "pool", Shape: l.shape(), Alias: 0}, {Name: "from", Shape: ids, Alias: -1}, {Name: "to", Shape: ids, Alias: -1},
	}, Build: func(in []*graph.Node) []*graph.Node { return []*graph.Node{kernels.PageCopy(in[0], in[1], in[2])} }},
		tensors.FromFlatDataAndDimensions(pool, l.shape().Dimensions...),
		tensors.FromFlatDataAndDimensions(from, n+1), tensors.FromFlatDataAndDimensions(to, n+1))
	compare(t, out, want, 0)
}

// A query batch is random Sequences over a pool whose pages they own in random order.
type queries struct {
	layout
	seqs, tokens, group, maxPages int
	k, v, q                       []float32
	table, positions              []int32
}

func randomQueries(r *rand.Rand) queries {
	b := queries{layout: randomLayout(r), seqs: 1 + r.IntN(3), tokens: pick(r, 1, 1, 5, 17), group: pick(r, 1, 2, 3, 8)}
	b.pages = max(b.pages, b.seqs*2)
	b.maxPages = b.pages / b.seqs
	b.k, b.v = normal(r, b.size()), normal(r, b.size())
	b.q = normal(r, b.seqs*b.tokens*b.kvHeads*b.group*b.headDim)
	for _, page := range r.Perm(b.pages)[:b.seqs*b.maxPages] {
		b.table = append(b.table, int32(page))
	}
	for range b.seqs * b.tokens {
		b.positions = append(b.positions, int32(r.IntN(b.maxPages*b.pageTokens)))
	}
	return b
}

func pagedAttention(t *testing.T, d *device.Device, r *rand.Rand) {
	b := randomQueries(r)
	heads, scale := b.kvHeads*b.group, 1/math.Sqrt(float64(b.headDim))
	qShape := shapes.Make(dtypes.Float32, b.seqs, b.tokens, heads, b.headDim)
	out := run(t, d, device.Spec{Name: "attention", Params: []device.Param{
		{Name: "q", Shape: qShape, Alias: -1}, {Name: "k", Shape: b.shape(), Alias: -1}, {Name: "v", Shape: b.shape(), Alias: -1},
		{Name: "table", Shape: shapes.Make(dtypes.Int32, b.seqs, b.maxPages), Alias: -1},
		{Name: "positions", Shape: shapes.Make(dtypes.Int32, b.seqs, b.tokens), Alias: -1},
	}, Build: func(in []*graph.Node) []*graph.Node {
		return []*graph.Node{kernels.PagedAttention(in[0], in[1], in[2], in[3], in[4], scale)}
	}}, tensors.FromFlatDataAndDimensions(b.q, qShape.Dimensions...),
		tensors.FromFlatDataAndDimensions(b.k, b.shape().Dimensions...), tensors.FromFlatDataAndDimensions(b.v, b.shape().Dimensions...),
		tensors.FromFlatDataAndDimensions(b.table, b.seqs, b.maxPages), tensors.FromFlatDataAndDimensions(b.positions, b.seqs, b.tokens))
	compare(t, out, b.attend(scale), 1e-5)
}

// windowAttention lays the Sequences' pages side by side, but for the last seen token of some, which is written then.
func windowAttention(t *testing.T, d *device.Device, r *rand.Rand) {
	b := randomQueries(r)
	b.tokens, b.q, b.positions = 1, b.q[:b.seqs*b.kvHeads*b.group*b.headDim], b.positions[:b.seqs]
	length, scale := b.maxPages*b.pageTokens, 1/math.Sqrt(float64(b.headDim))
	at, rows := make([]int32, b.seqs), [2][]float32{}
	lines := [2][]float32{make([]float32, b.seqs*b.kvHeads*length*b.headDim), make([]float32, b.seqs*b.kvHeads*length*b.headDim)}
	for seq := range b.seqs {
		at[seq] = pick32(r, b.positions[seq], -1)
		for h := range b.kvHeads {
			for p := range length {
				from := b.at(int(b.table[seq*b.maxPages+p/b.pageTokens])*b.pageTokens+p%b.pageTokens, h)
				to := ((seq*b.kvHeads+h)*length + p) * b.headDim
				for i, pool := range [][]float32{b.k, b.v} {
					row := pool[from:][:b.headDim]
					if p == int(b.positions[seq]) {
						rows[i] = append(rows[i], row...)
					}
					if p != int(at[seq]) {
						copy(lines[i][to:], row)
					}
				}
			}
		}
	}
	qShape := shapes.Make(dtypes.Float32, b.seqs, 1, b.kvHeads*b.group, b.headDim)
	window, row := shapes.Make(dtypes.Float32, b.seqs*b.kvHeads, length, b.headDim), shapes.Make(dtypes.Float32, b.seqs, b.kvHeads, b.headDim)
	out := run(t, d, device.Spec{Name: "windows", Params: []device.Param{
		{Name: "q", Shape: qShape, Alias: -1}, {Name: "k", Shape: window, Alias: 1}, {Name: "v", Shape: window, Alias: 2},
		{Name: "newk", Shape: row, Alias: -1}, {Name: "newv", Shape: row, Alias: -1},
		{Name: "at", Shape: shapes.Make(dtypes.Int32, b.seqs), Alias: -1}, {Name: "positions", Shape: shapes.Make(dtypes.Int32, b.seqs, 1), Alias: -1},
	}, Build: func(in []*graph.Node) []*graph.Node {
		k, v := kernels.WindowWrite(in[1], in[5], in[3]), kernels.WindowWrite(in[2], in[5], in[4])
		return []*graph.Node{kernels.WindowAttention(in[0], k, v, in[6], scale), k, v}
	}}, tensors.FromFlatDataAndDimensions(b.q, qShape.Dimensions...),
		tensors.FromFlatDataAndDimensions(lines[0], window.Dimensions...), tensors.FromFlatDataAndDimensions(lines[1], window.Dimensions...),
		tensors.FromFlatDataAndDimensions(rows[0], row.Dimensions...), tensors.FromFlatDataAndDimensions(rows[1], row.Dimensions...),
		tensors.FromFlatDataAndDimensions(at, b.seqs), tensors.FromFlatDataAndDimensions(b.positions, b.seqs, 1))
	compare(t, out, b.attend(scale), 1e-5)
}

func pick32(r *rand.Rand, of ...int32) int32 { return of[r.IntN(len(of))] }

// attend is the definition: every query by itself, in float64.
func (b queries) attend(scale float64) []float32 {
	heads := b.kvHeads * b.group
	out := make([]float32, len(b.q))
	for row := range b.seqs * b.tokens {
		for h := range heads {
			at := (row*heads + h) * b.headDim
			b.attendOne(row/b.tokens, h/b.group, int(b.positions[row]), scale, b.q[at:at+b.headDim], out[at:at+b.headDim])
		}
	}
	return out
}

func (b queries) attendOne(seq, kvHead, position int, scale float64, q, out []float32) {
	weights, total := make([]float64, position+1), 0.0
	row := func(p int) int {
		return b.at(int(b.table[seq*b.maxPages+p/b.pageTokens])*b.pageTokens+p%b.pageTokens, kvHead)
	}
	for p := range weights {
		dot := 0.0
		for i := range q {
			dot += float64(q[i]) * float64(b.k[row(p)+i])
		}
		weights[p] = math.Exp(dot * scale)
		total += weights[p]
	}
	for i := range out {
		sum := 0.0
		for p, w := range weights {
			sum += w / total * float64(b.v[row(p)+i])
		}
		out[i] = float32(sum)
	}
}

// products covers one row, whose sum has halves or an odd length, and the rows below, inside and above those that are computed in
// pieces.
func products(t *testing.T, d *device.Device) {
	for _, size := range [][2]int{{1, 48}, {1, 47}, {2, 48}, {16, 48}, {24, 48}, {25, 48}, {32, 47}, {47, 48}, {64, 48}, {95, 48}, {96, 48}, {130, 48}} {
		rows, in := size[0], size[1]
		r := rand.New(rand.NewPCG(uint64(rows), 1))
		const out = 33
		x, w := normal(r, rows*in), normal(r, in*out)
		got := run(t, d, device.Spec{Name: "product", Params: []device.Param{
			{Name: "x", Shape: shapes.Make(dtypes.Float32, rows, in), Alias: -1},
			{Name: "w", Shape: shapes.Make(dtypes.Float32, in, out), Alias: -1},
		}, Build: func(n []*graph.Node) []*graph.Node { return []*graph.Node{kernels.Product(n[0], n[1])} }},
			tensors.FromFlatDataAndDimensions(x, rows, in), tensors.FromFlatDataAndDimensions(w, in, out))
		want := make([]float32, rows*out)
		for i := range rows {
			for j := range out {
				sum := 0.0
				for k := range in {
					sum += float64(x[i*in+k]) * float64(w[k*out+j])
				}
				want[i*out+j] = float32(sum)
			}
		}
		compare(t, got, want, 1e-4)
	}
}

func run(t *testing.T, d *device.Device, s device.Spec, args ...*tensors.Tensor) []float32 {
	t.Helper()
	p, err := d.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	out, err := p.Run(args...)
	if err != nil {
		t.Fatal(err)
	}
	defer out[0].MustFinalizeAll()
	return tensors.MustCopyFlatData[float32](out[0])
}

func compare(t *testing.T, got, want []float32, tolerance float64) {
	t.Helper()
	for i := range want {
		if diff := math.Abs(float64(got[i]) - float64(want[i])); !(diff <= tolerance) {
			t.Fatalf("element %d of %d: got %v; want %v within %g", i, len(want), got[i], want[i], tolerance)
		}
	}
}
