package llama

import (
	"astro/kernels"
	"astro/kernels/native"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// What the native functions compute, in plain operations on unpacked weights: the truth that they are compared with. With Int8 and Int4 the
// native ones round activations too, and these do not.

const panel, block = 32, 32 // as in kernels/native/native.h

// bytesAs reads u8 [..., size of dtype] as dtype [...].
func bytesAs(x *Node, dtype dtypes.DType, dims ...int) *Node {
	if dtype.Size() == 1 {
		return Bitcast(Reshape(x, dims...), dtype)
	}
	return Bitcast(Reshape(x, append(dims[:len(dims):len(dims)], dtype.Size())...), dtype)
}

// matrix unpacks w [in, out] f32, which begins at byte `from`.
func (p Packed) matrix(blob *Node, from, in, out int) *Node {
	panels := (out + panel - 1) / panel
	cut := func(bytes int) *Node { return SliceAxis(blob, 0, AxisRange(from, from+bytes)) }
	var w *Node // [in, panels, panel]
	switch p.Weights {
	case native.F32:
		w = TransposeAllAxes(bytesAs(cut(panels*in*panel*4), dtypes.Float32, panels, in, panel), 1, 0, 2)
	case native.BF16:
		w = TransposeAllAxes(bytesAs(cut(panels*in*panel*2), dtypes.BFloat16, panels, in/2, panel, 2), 1, 3, 0, 2)
	case native.Int8:
		w = unpackBlocks(cut(panels*in/block*(2*panel+block*panel)), panels, in/block, unpackInt8)
	case native.Int4:
		w = unpackBlocks(cut(panels*in/block*(2*panel+block*panel/2)), panels, in/block, unpackInt4)
	}
	return SliceAxis(ConvertDType(Reshape(w, in, panels*panel), dtypes.Float32), 1, AxisRange(0, out))
}

// unpackBlocks multiplies what values makes of a block's bytes, [panels, blocks, block, panel], by the block's scales.
func unpackBlocks(bytes *Node, panels, blocks int, values func(bytes *Node, panels, blocks int) *Node) *Node {
	bytes = Reshape(bytes, panels, blocks, -1)
	scales := bytesAs(SliceAxis(bytes, 2, AxisRange(0, 2*panel)), dtypes.Float16, panels, blocks, 1, panel)
	w := values(SliceAxis(bytes, 2, AxisRange(2*panel, bytes.Shape().Dim(2))), panels, blocks)
	w = Mul(ConvertDType(w, dtypes.Float32), BroadcastToDims(ConvertDType(scales, dtypes.Float32), panels, blocks, block, panel))
	return TransposeAllAxes(w, 1, 2, 0, 3)
}

func unpackInt8(bytes *Node, panels, blocks int) *Node {
	q := ConvertDType(Reshape(bytes, panels, blocks, block/4, panel, 4), dtypes.Int32)
	return AddScalar(Reshape(TransposeAllAxes(q, 0, 1, 2, 4, 3), panels, blocks, block, panel), -128)
}

func unpackInt4(bytes *Node, panels, blocks int) *Node {
	both := ConvertDType(Reshape(bytes, panels, blocks, block/8, panel, 4), dtypes.Int32)
	q := Stack([]*Node{ModScalar(both, 16), DivScalar(both, 16)}, 3) // [panels, blocks, eights, half, panel, 4]
	return AddScalar(Reshape(TransposeAllAxes(q, 0, 1, 2, 3, 5, 4), panels, blocks, block, panel), -8)
}

func (p Packed) vector(blob *Node, from int) *Node {
	return bytesAs(SliceAxis(blob, 0, AxisRange(from, from+4*p.Config.Hidden)), dtypes.Float32, p.Config.Hidden)
}

// layer cuts the bytes of one layer out of the blob.
func (p Packed) layer(blob, layer *Node) *Node {
	size := p.model().Blob().Layer
	return DynamicSlice(blob, []*Node{MulScalar(layer, size)}, []int{size})
}

func (p Packed) headMatrix(blob *Node) *Node {
	return p.matrix(blob, p.model().Blob().Head, p.Config.Hidden, p.Config.Vocab)
}

func (p Packed) embed(tokens int) func([]*Node) []*Node {
	return func(in []*Node) []*Node {
		ids, from := Reshape(SliceAxis(in[0], 1, AxisRange(0, tokens)), -1, 1), p.model().Blob().Embed
		if from == 0 {
			return []*Node{Gather(Transpose(p.headMatrix(in[1]), 0, 1), ids)}
		}
		dtype := dtypes.Float32
		if p.Weights != native.F32 {
			dtype = dtypes.BFloat16
		}
		size := p.Config.Vocab * p.Config.Hidden * dtype.Size()
		table := bytesAs(SliceAxis(in[1], 0, AxisRange(from, from+size)), dtype, p.Config.Vocab, p.Config.Hidden)
		return []*Node{ConvertDType(Gather(table, ids), dtypes.Float32)}
	}
}

func (p Packed) attention(tokens, pages int) func([]*Node) []*Node {
	return func(in []*Node) []*Node {
		x, layer, batch, cos, sin, w, pool := in[0], in[1], in[2], in[3], in[4], p.layer(in[5], in[1]), in[6]
		b, c, seqs := p.model().Blob(), p.Config, batch.Shape().Dim(0)
		cut := func(from, n int) *Node { return SliceAxis(batch, 1, AxisRange(from, from+n)) }
		positions, slots, table := cut(tokens, tokens), Reshape(cut(2*tokens, tokens), -1), cut(3*tokens, pages)
		qkv := kernels.Matrix{Values: p.matrix(w, b.QKV, c.Hidden, (c.Heads+2*c.KVHeads)*c.HeadDim)}
		out := kernels.Matrix{Values: p.matrix(w, b.Out, c.Heads*c.HeadDim, c.Hidden)}
		turns := angles{rowsAt(cos, positions), rowsAt(sin, positions), seqs}
		attend := func(q, k, v *Node) *Node {
			keys, values := p.pages(pool, layer)
			keys, values = p.write(keys, slots, k), p.write(values, slots, v)
			pool = p.setPages(pool, layer, keys, values)
			return kernels.PagedAttention(q, keys, values, table, positions, Scale(c))
		}
		y := inGraph.attention(c, p.vector(w, b.AttnNorm), qkv, out, x, func(h *Node) *Node { return turns.mix(c, h, attend) })
		return []*Node{y, pool}
	}
}

func (p Packed) pageType() dtypes.DType {
	return []dtypes.DType{dtypes.Float32, dtypes.BFloat16, dtypes.Float16, dtypes.Float32}[p.Pages] // those of 8 bits are f32 in between
}

// pages are the keys and values of a layer as kernels knows them: [pages, kvHeads, pageTokens, headDim]. In a pool keys are turned.
func (p Packed) pages(pool, layer *Node) (keys, values *Node) {
	d, c := pool.Shape().Dimensions, p.Config
	zero := Const(pool.Graph(), int32(0))
	both := DynamicSlice(pool, []*Node{MulScalar(layer, 2), zero, zero, zero}, []int{2, d[1], d[2], d[3]})
	half := func(i int) *Node { return SliceAxis(both, 0, AxisRange(i, i+1)) }
	if p.Pages == native.PagesInt8 {
		keys, values = p.readInt8(half(0), c.HeadDim, p.PageTokens, 3), p.readInt8(half(1), p.PageTokens, c.HeadDim, 2)
		return TransposeAllAxes(keys, 0, 1, 3, 2), values
	}
	keys = bytesAs(half(0), p.pageType(), d[1], c.KVHeads, c.HeadDim, p.PageTokens)
	return TransposeAllAxes(keys, 0, 1, 3, 2), bytesAs(half(1), p.pageType(), d[1], c.KVHeads, p.PageTokens, c.HeadDim)
}

// readInt8 gives pages [1, pages, kvHeads, bytes] as f32 [pages, kvHeads, rows, columns]; scales are along axis.
func (p Packed) readInt8(bytes *Node, rows, columns, axis int) *Node {
	pages, heads := bytes.Shape().Dim(1), p.Config.KVHeads
	q := bytesAs(SliceAxis(bytes, 3, AxisRange(0, rows*columns)), dtypes.Int8, pages, heads, rows, columns)
	scales := bytesAs(SliceAxis(bytes, 3, AxisRange(rows*columns, bytes.Shape().Dim(3))), dtypes.Float32, pages, heads, p.PageTokens)
	return Mul(ConvertDType(q, dtypes.Float32), BroadcastToDims(ExpandDims(scales, 5-axis), pages, heads, rows, columns))
}

// writeInt8 is the way back: of x [pages, kvHeads, rows, columns] the values of a position, along axis, have one scale.
func (p Packed) writeInt8(x *Node, axis int) *Node {
	d := x.Shape().Dimensions
	scales := DivScalar(ReduceAndKeep(Abs(x), ReduceMax, axis), 127)
	by := Where(Equal(scales, ZerosLike(scales)), OnesLike(scales), scales)
	q := Bitcast(ConvertDType(Round(Div(x, BroadcastToDims(by, d...))), dtypes.Int8), dtypes.Uint8)
	return Concatenate([]*Node{Reshape(q, d[0], d[1], -1), Reshape(Bitcast(scales, dtypes.Uint8), d[0], d[1], -1)}, 2)
}

func (p Packed) setPages(pool, layer, keys, values *Node) *Node {
	d := pool.Shape().Dimensions
	bytes := func(x *Node, axis int) *Node {
		if p.Pages == native.PagesInt8 {
			return Reshape(p.writeInt8(x, axis), 1, d[1], d[2], d[3])
		}
		return Reshape(Bitcast(x, dtypes.Uint8), 1, d[1], d[2], d[3])
	}
	both := Concatenate([]*Node{bytes(TransposeAllAxes(keys, 0, 1, 3, 2), 2), bytes(values, 3)}, 0)
	zero := Const(pool.Graph(), int32(0))
	return DynamicUpdateSlice(pool, both, []*Node{MulScalar(layer, 2), zero, zero, zero})
}

// write stores rows [seqs, tokens, kvHeads, headDim]: what is not finite as zero, what is too large for the type as its largest number.
func (p Packed) write(pool, slots, rows *Node) *Node {
	rows = Where(IsFinite(rows), rows, ZerosLike(rows))
	if most := map[native.Pages]float64{native.PagesBF16: 0x1.fep127, native.PagesF16: 65504}[p.Pages]; most > 0 {
		rows = ClipScalar(rows, -most, most)
	}
	return kernels.PageWrite(pool, slots, ConvertDType(Reshape(rows, -1, p.Config.KVHeads, p.Config.HeadDim), p.pageType()))
}

func (p Packed) mlp(in []*Node) []*Node {
	b, c, w := p.model().Blob(), p.Config, p.layer(in[2], in[1])
	gateUp, down := kernels.Matrix{Values: p.gateUp(w)}, kernels.Matrix{Values: p.matrix(w, b.Down, c.FFN, c.Hidden)}
	return []*Node{inGraph.mlp(c, p.vector(w, b.MLPNorm), gateUp, down, in[0])}
}

// gateUp unpacks panels of 16 columns of each.
func (p Packed) gateUp(w *Node) *Node {
	c := p.Config
	mixed := Reshape(p.matrix(w, p.model().Blob().GateUp, c.Hidden, 2*c.FFN), c.Hidden, c.FFN/16, 2, 16)
	return Reshape(TransposeAllAxes(mixed, 0, 2, 1, 3), c.Hidden, 2*c.FFN)
}

func (p Packed) norm(in []*Node) []*Node {
	return []*Node{kernels.RMSNorm(in[0], p.vector(in[1], p.model().Blob().FinalNorm), p.Config.NormEps)}
}

func (p Packed) head(in []*Node) []*Node {
	return []*Node{Logits(kernels.Matrix{Values: p.headMatrix(in[1])}, p.norm(in)[0])}
}

func (p Packed) copyPages(in []*Node) []*Node {
	pool := in[2]
	d := pool.Shape().Dimensions
	flat := Reshape(TransposeAllAxes(pool, 1, 0, 2, 3), d[1], d[0], d[2], d[3])
	copied := kernels.PageCopy(ConvertDType(flat, dtypes.Float32), in[0], in[1]) // bytes are exact in f32
	return []*Node{TransposeAllAxes(ConvertDType(copied, dtypes.Uint8), 1, 0, 2, 3)}
}
