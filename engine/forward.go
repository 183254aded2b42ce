package engine

import (
	"cmp"
	"fmt"
	"slices"

	"astro/internal/device"
	"astro/kernels"
	"astro/model"
	"astro/model/llama"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// forward describes the program that runs the Llama graph over the pools for every Bucket of one model. Across devices config, weights and
// pools are what one device has.
type forward struct {
	devices int

	inPlaceTokens int // of a Sequence at once, up to which attention reads pages where they are; 0 = it never does on the graph
	config        model.Config
	weights       []shapes.Shape
	positions     int // rows of the rope tables
	pages         int // pages of each pool
	pageTokens    int
	kvType        dtypes.DType
	packed        *llama.Packed // nil = the plain graph
	int8          bool          // of it: weights are of 8 bits

	windowBytes int64 // bound on all windows together; 0 = there are none
}

// newForward describes a model with such weights. Errors say what cannot be had.
func newForward(d *device.Device, w *model.Weights, c RunnerConfig) (f forward, err error) {
	whole, dtype := w.Config, w.DType()
	f = forward{devices: cmp.Or(c.TensorParallel, 1), positions: c.MaxContextTokens, pages: c.Pages, pageTokens: c.PageTokens, kvType: c.KVType}
	if f.config, err = ShareModel(d, whole, f.devices); err != nil {
		return f, err
	}
	form, err := c.Form.On(d.Kind(), f.devices)
	if err != nil {
		return f, err
	}
	if f.int8 = w.Int8(); f.int8 != (form == FormGraphInt8) {
		panic(fmt.Sprintf("BUG: got weights of %s, of 8 bits %v, to run as %q; want those of 8 bits for %q and for no other form", dtype, f.int8, form, FormGraphInt8))
	}
	f.setWeights(whole, dtype)
	if f.packed, err = ChooseForm(d, whole, form, dtype, c.KVType, c.PageTokens); err != nil {
		return f, err
	}
	f.findInPlace(d.Kind(), c.maxPages())
	return f, nil
}

// setWeights says what one device has of a model's tensors.
func (f *forward) setWeights(whole model.Config, dtype dtypes.DType) {
	if f.int8 {
		f.weights = whole.Int8Shapes(dtype)
		return
	}
	for _, s := range model.Layout(whole) {
		s.Dims = s.ShareDims(f.devices)
		f.weights = append(f.weights, s.Shape(dtype))
	}
}

func (f *forward) poolShape() shapes.Shape {
	if f.packed != nil {
		return f.packed.PoolShape(f.pages)
	}
	return shapes.Make(f.kvType, f.pages, f.config.KVHeads, f.pageTokens, f.config.HeadDim)
}

func (f *forward) headShape() shapes.Shape {
	return shapes.Make(f.weights[0].DType, f.config.Hidden, f.config.Vocab)
}

// A batch is one i32 matrix, a line per Sequence: tokens, positions and slots of the fed tokens, the page table, and the index
// of the last token. One argument, because each costs a transfer. Of a Bucket with Steps a line is the fed token, positions and slots of all
// steps, the page table, and the parameters of all draws.
func (b Bucket) batchWidth() int {
	if b.Steps > 0 {
		return 1 + 2*b.Steps + b.Pages + b.Steps*sampler.AheadColumns
	}
	return 3*b.Tokens + b.Pages + 1
}

// spec is the program of one Bucket. Parameters: batch [seqs, batchWidth] i32, rope cos and sin, what weightParams says, then the pools,
// updated in place. Results: the last tokens' logits [seqs, vocab] f32, with Score those of all tokens
// [seqs*tokens, vocab] f32, with Embed the embeddings [seqs, 2*hidden] f32, then the pools. With Steps the first result is what was drawn,
// [steps, seqs, sampler.DrawnColumns] i32.
func (f *forward) spec(b Bucket) device.Spec {
	table := shapes.Make(dtypes.Float32, f.positions, f.config.HeadDim/2)
	params := []device.Param{
		{Name: "batch", Shape: shapes.Make(dtypes.Int32, b.Seqs, b.batchWidth()), Alias: -1},
		{Name: "cos", Shape: table, Alias: -1}, {Name: "sin", Shape: table, Alias: -1},
	}
	params = append(params, f.weightParams()...)
	if f.windowed(b) {
		params = append(params, f.windowParams(b, b.results())...)
		return device.Spec{Name: b.String() + "_windowed", Params: params, Build: func(in []*Node) []*Node { return f.buildWindowed(b, in) }}
	}
	params = append(params, f.poolParams(b.results())...)
	if b.Steps > 0 {
		return device.Spec{Name: b.String() + f.suffix(), Params: params, Build: func(in []*Node) []*Node { return f.buildAhead(b, in) }}
	}
	if f.packed != nil {
		return device.Spec{Name: b.String() + "_packed", Params: params, Build: func(in []*Node) []*Node { return f.buildPacked(b, in) }}
	}
	return device.Spec{Name: b.String(), Params: params, Build: func(in []*Node) []*Node { return f.build(b, in) }}
}

// weightParams are the head [hidden, vocab] and the weights, or weights of 8 bits, which have a head, or packed weights.
func (f *forward) weightParams() []device.Param {
	switch {
	case f.packed != nil:
		return []device.Param{{Name: "blob", Shape: f.packed.BlobShape(), Alias: -1}}
	case f.int8:
		return f.tensorParams()
	}
	return append([]device.Param{{Name: "head", Shape: f.headShape(), Alias: -1}}, f.tensorParams()...)
}

// graphParams are the head and the weights among parameters from weightParams on, and what is behind them.
func (f *forward) graphParams(in []*Node) (head kernels.Matrix, weights, pools []*Node) {
	if f.int8 {
		weights = in[:len(f.weights)]
		return llama.Int8Head(f.config, weights), weights, slices.Clone(in[len(weights):])
	}
	weights = in[1 : 1+len(f.weights)]
	return kernels.Matrix{Values: in[0]}, weights, slices.Clone(in[1+len(weights):])
}

// tensorParams are a model's tensors.
func (f *forward) tensorParams() []device.Param {
	var params []device.Param
	for i, s := range f.weights {
		params = append(params, device.Param{Name: fmt.Sprintf("w%d", i), Shape: s, Alias: -1})
	}
	return params
}

// poolParams are the K and V pool of every layer, or one of all layers, updated by the outputs from first on.
func (f *forward) poolParams(first int) []device.Param {
	var params []device.Param
	for i := range f.pools() {
		params = append(params, device.Param{Name: fmt.Sprintf("pool%d", i), Shape: f.poolShape(), Alias: first + i})
	}
	return params
}

// pools is how many there are.
func (f *forward) pools() int {
	if f.packed != nil {
		return 1
	}
	return 2 * f.config.Layers
}

func (f *forward) build(b Bucket, in []*Node) []*Node {
	batch, cos, sin := in[0], in[1], in[2]
	head, weights, pools := f.graphParams(in[3:])
	cut := func(from, n int) *Node { return SliceAxis(batch, 1, AxisRange(from, from+n)) }
	tokens, positions, slots := cut(0, b.Tokens), cut(b.Tokens, b.Tokens), Reshape(cut(2*b.Tokens, b.Tokens), -1)
	table, last := cut(3*b.Tokens, b.Pages), Reshape(cut(3*b.Tokens+b.Pages, 1), -1)

	attend := func(layer int, q, k, v *Node) *Node {
		rows := [2]*Node{f.storable(k), f.storable(v)}
		for i := range rows {
			pools[2*layer+i] = kernels.PageWrite(pools[2*layer+i], slots, rows[i])
			rows[i] = Reshape(rows[i], b.Seqs, b.Tokens, f.config.KVHeads, f.config.HeadDim)
		}
		return kernels.ChunkAttention(q, rows[0], rows[1], pools[2*layer], pools[2*layer+1], table, positions, llama.Scale(f.config))
	}
	hidden := llama.Forward(f.config, weights, tokens, positions, cos, sin, attend)
	rows := Reshape(hidden, -1, f.config.Hidden)
	out := []*Node{llama.Logits(head, f.lastRows(b, rows, last))}
	if b.Score {
		out = append(out, llama.Logits(head, rows))
	}
	if b.Embed {
		out = append(out, f.embeddings(b, rows, last))
	}
	return append(out, pools...)
}

// findInPlace sets inPlaceTokens, for tables of up to so many pages.
func (f *forward) findInPlace(kind device.Kind, maxPages int) {
	for n := 1; ; n = tokensBucket(n + 1) {
		q := shapes.Make(f.weights[0].DType, 1, n, f.config.Heads, f.config.HeadDim)
		if kernels.DecodeKernel(kind, q, f.poolShape(), maxPages) != nil {
			return
		}
		f.inPlaceTokens = n
	}
}

// gathers says whether attention of a Bucket copies all pages of its Sequences. Native kernels and that for decodes read them where they are; blocks read
// some at a time, but for cuDNN, which wants a prefix as one.
func (f *forward) gathers(kind device.Kind, b Bucket) bool {
	inBlocks := kind != device.XLACUDA && kernels.InBlocks(kind, 1, b.Tokens, f.config.Heads, b.Pages*f.pageTokens)
	return f.packed == nil && b.Tokens > f.inPlaceTokens && !inBlocks
}

// results is the number of results before the pools.
func (b Bucket) results() int {
	n := 1
	for _, more := range []bool{b.Score, b.Embed} {
		if more {
			n++
		}
	}
	return n
}

// lastRows picks each Sequence's last fed token from hidden [seqs*tokens, hidden]: the only one whose logits decode needs.
func (f *forward) lastRows(b Bucket, hidden, last *Node) *Node {
	if b.Tokens == 1 {
		return hidden
	}
	first := MulScalar(Iota(hidden.Graph(), shapes.Make(dtypes.Int32, b.Seqs), 0), b.Tokens)
	return Gather(hidden, ExpandDims(Add(first, last), -1))
}

// storable turns keys or values [seqs, tokens, kvHeads, headDim] into rows of a pool. What is not finite is stored as zero:
// attention multiplies masked positions by zero, and a NaN left behind by one Sequence would poison the next owner of its page. What
// overflows the pool's type counts as not finite too.
func (f *forward) storable(x *Node) *Node {
	stored := ConvertDType(Reshape(x, -1, f.config.KVHeads, f.config.HeadDim), f.kvType)
	return Where(IsFinite(ConvertDType(stored, dtypes.Float32)), stored, ZerosLike(stored))
}

// copySpec is the program that duplicates n pages: from [n] i32, to [n] i32, then all pools, updated in place.
func (f *forward) copySpec(n int) device.Spec {
	ids := shapes.Make(dtypes.Int32, n)
	params := append([]device.Param{{Name: "from", Shape: ids, Alias: -1}, {Name: "to", Shape: ids, Alias: -1}}, f.poolParams(0)...)
	return device.Spec{Name: fmt.Sprintf("copy_%d", n), Params: params, Build: func(in []*Node) []*Node {
		if f.packed != nil {
			return []*Node{f.packed.CopyPages(in[0], in[1], in[2])}
		}
		out := make([]*Node, 0, len(in)-2)
		for _, pool := range in[2:] {
			out = append(out, kernels.PageCopy(pool, in[0], in[1]))
		}
		return out
	}}
}

// turnSpec is the program that makes a tied model's head [hidden, vocab] from its embedding [vocab, hidden], or from a device's rows of it.
func (f *forward) turnSpec() device.Spec {
	params := []device.Param{{Name: "embed", Shape: shapes.Make(f.weights[0].DType, f.config.Vocab, f.config.Hidden), Alias: -1}}
	return device.Spec{Name: "turn", Params: params, Build: func(in []*Node) []*Node { return []*Node{Transpose(in[0], 0, 1)} }}
}

// zeroSpec is the program that makes an empty pool on the device.
func (f *forward) zeroSpec() device.Spec {
	seed := shapes.Make(f.poolShape().DType)
	return device.Spec{Name: "zero", Params: []device.Param{{Name: "zero", Shape: seed, Alias: -1}}, Build: func(in []*Node) []*Node {
		return []*Node{BroadcastToDims(in[0], f.poolShape().Dimensions...)}
	}}
}
