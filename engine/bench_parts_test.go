package engine_test

import (
	"fmt"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/kernels"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// benchModel has the shape of the 14M model that speed is compared on.
var benchModel = model.Config{Vocab: 4096, Hidden: 384, Layers: 8, Heads: 6, KVHeads: 2, HeadDim: 64, FFN: 1024, MaxPositions: 1024,
	NormEps: 1e-5, TiedHead: true, Rope: model.Rope{Theta: 500000}, BOS: -1, InitStd: .02}

// BenchmarkDecodeParts is the profile of a decode step on xla:cpu: its matrix products alone, its attention with page writes alone,
// and the whole step, in turns. What the first two do not explain is norms, rotations, gathers and dispatch.
func BenchmarkDecodeParts(b *testing.B) {
	d := openDevice(b, device.XLACPU)
	for _, rows := range []int{1, 8, 32} {
		for _, position := range []int{64, 512} {
			b.Run(fmt.Sprintf("batch %d position %d", rows, position), func(b *testing.B) {
				devicetest.InTurns(b, []string{"products", "attention", "step"},
					productsOnly(b, d, rows), attentionOnly(b, d, rows, position), decodeBench(b, d, rows, position, 0))
			})
		}
	}
}

// productsOnly chains the products of a step, [rows, hidden] through every layer and the head.
func productsOnly(b *testing.B, d *device.Device, rows int) func() {
	c := benchModel
	x := device.Param{Name: "x", Shape: shapes.Make(dtypes.Float32, rows, c.Hidden), Alias: -1}
	params := []device.Param{x}
	matrix := func(in, out int) {
		params = append(params, device.Param{Name: fmt.Sprintf("w%d", len(params)), Shape: shapes.Make(dtypes.Float32, in, out), Alias: -1})
	}
	for range c.Layers {
		matrix(c.Hidden, (c.Heads+2*c.KVHeads)*c.HeadDim)
		matrix(c.Heads*c.HeadDim, c.Hidden)
		matrix(c.Hidden, 2*c.FFN)
		matrix(c.FFN, c.Hidden)
	}
	matrix(c.Hidden, c.Vocab)
	return runner(b, d, device.Spec{Name: "products", Params: params, Build: func(in []*Node) []*Node {
		x, w := in[0], in[1:]
		for l := range c.Layers {
			qkv := kernels.Product(x, w[4*l])
			x = Add(x, kernels.Product(SliceAxis(qkv, 1, AxisRange(0, c.Heads*c.HeadDim)), w[4*l+1]))
			gateUp := kernels.Product(x, w[4*l+2])
			x = Add(x, kernels.Product(SliceAxis(gateUp, 1, AxisRange(0, c.FFN)), w[4*l+3]))
		}
		return []*Node{kernels.Product(x, w[4*c.Layers])}
	}})
}

// attentionOnly writes a token's keys and values and attends over position+1 of them, in every layer.
func attentionOnly(b *testing.B, d *device.Device, rows, position int) func() {
	const pageTokens = 16
	c := benchModel
	pages := (position + 64) / pageTokens // as decodeBench's Bucket has
	pool := shapes.Make(dtypes.Float32, rows*pages, c.KVHeads, pageTokens, c.HeadDim)
	params := []device.Param{
		{Name: "q", Shape: shapes.Make(dtypes.Float32, rows, 1, c.Heads, c.HeadDim), Alias: -1},
		{Name: "kv", Shape: shapes.Make(dtypes.Float32, rows, c.KVHeads, c.HeadDim), Alias: -1},
		{Name: "table", Shape: shapes.Make(dtypes.Int32, rows, pages), Alias: -1},
		{Name: "positions", Shape: shapes.Make(dtypes.Int32, rows, 1), Alias: -1},
		{Name: "slots", Shape: shapes.Make(dtypes.Int32, rows), Alias: -1},
	}
	for i := range 2 * c.Layers {
		params = append(params, device.Param{Name: fmt.Sprintf("pool%d", i), Shape: pool, Alias: 1 + i})
	}
	return runner(b, d, device.Spec{Name: "attention", Params: params, Build: func(in []*Node) []*Node {
		q, kv, table, positions, slots, pools := in[0], in[1], in[2], in[3], in[4], append([]*Node{}, in[5:]...)
		for l := range c.Layers {
			for i := range 2 {
				pools[2*l+i] = kernels.PageWrite(pools[2*l+i], slots, kv)
			}
			q = kernels.PagedAttention(q, pools[2*l], pools[2*l+1], table, positions, .1)
		}
		return append([]*Node{q}, pools...)
	}}, int32(position))
}

// runner compiles a program and gives a function that runs it on zeros; aliased parameters go round, matrices [., 1] of i32 hold
// the given position.
func runner(b *testing.B, d *device.Device, s device.Spec, position ...int32) func() {
	p, err := d.Compile(s)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	args := make([]*tensors.Tensor, len(s.Params))
	for i, q := range s.Params {
		args[i] = tensors.FromShape(q.Shape)
		if q.Name == "positions" {
			args[i] = tensors.FromFlatDataAndDimensions(fill(q.Shape.Dim(0), position[0]), q.Shape.Dim(0), 1)
		}
	}
	return func() {
		out, err := p.Run(args...)
		if err != nil {
			b.Fatal(err)
		}
		for i, q := range s.Params {
			if q.Alias >= 0 {
				args[i] = out[q.Alias]
			}
		}
		out[0].FinalizeAll()
	}
}

func fill(rows int, v int32) []int32 {
	column := make([]int32, rows)
	for i := range column {
		column[i] = v
	}
	return column
}

// decodeBench makes a runner with benchModel and returns its decode step of some Sequences at a position. Its pools have the given
// size together, or what the Sequences need.
func decodeBench(b *testing.B, d *device.Device, seqs, position, poolBytes int) (step func()) {
	const pageTokens = 16
	c := benchModel
	w, err := model.Random(c, 1, d.Backend(), dtypes.Float32)
	if err != nil {
		b.Fatal(err)
	}
	policy := model.NewPolicy(1, w)
	b.Cleanup(policy.Release)
	perSeq := position/pageTokens + 1
	pages := max(seqs*perSeq, poolBytes/(2*c.Layers*c.KVHeads*pageTokens*c.HeadDim*4))
	r := newRunner(b, d, policy, engine.RunnerConfig{Pages: pages, PageTokens: pageTokens, MaxSlots: seqs, ChunkTokens: 64,
		MaxContextTokens: position + 64, KVType: dtypes.Float32, GatherBytes: 1 << 30, LogitsBytes: engine.DefaultLogitsBytes})
	plan := &engine.Plan{}
	for s := range seqs {
		plan.Rows = append(plan.Rows, decodeRow(s, position, perSeq))
	}
	step = func() {
		if _, err := r.Run(plan); err != nil {
			b.Fatal(err)
		}
	}
	step() // compiles
	return step
}
