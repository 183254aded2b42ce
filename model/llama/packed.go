package llama

import (
	"fmt"

	"astro/internal/device"
	"astro/kernels/native"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// Packed is the Llama graph on packed weights and one pool of pages, for serving on xla:cpu: two calls of native functions for each layer. In
// place of each the plain graph, on weights unpacked again, runs where there are no native functions; see reference.go.
//
// A batch [seqs, 3*tokens+pages+1] i32 has a line for each Sequence: tokens, positions and slots of what is fed, the page table, the index of
// the last token. Slot -1 = not stored. A blob is u8 [BlobBytes], a pool u8 [2*layers, pages, kvHeads, page bytes].
type Packed struct {
	Config     model.Config
	Weights    native.Weights
	Pages      native.Pages
	PageTokens int // 16, 32, 64, 128 or 256

	plain bool // the references, for tests
}

// Check says why a model cannot run so, or nil.
func (p Packed) Check() error {
	if n := p.PageTokens; n < 16 || n > 256 || n&(n-1) != 0 {
		return fmt.Errorf("native kernels: pages of %d tokens; want 16, 32, 64, 128 or 256", n)
	}
	return p.model().Check()
}

func (p Packed) model() native.Model {
	c := p.Config
	return native.Model{Weights: p.Weights, Hidden: c.Hidden, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim, FFN: c.FFN, Layers: c.Layers,
		Vocab: c.Vocab, Tied: c.TiedHead, Eps: float32(c.NormEps)}
}

// BlobBytes is the size of the packed weights.
func (p Packed) BlobBytes() int { return p.model().Blob().Size }

// PageBytes is the size of one page in all layers, keys and values.
func (p Packed) PageBytes() int {
	return 2 * p.Config.Layers * p.Config.KVHeads * native.PageBytes(p.Pages, p.PageTokens, p.Config.HeadDim)
}

// BlobShape is that of the packed weights.
func (p Packed) BlobShape() shapes.Shape { return shapes.Make(dtypes.Uint8, p.BlobBytes()) }

// PoolShape is that of a pool of so many pages.
func (p Packed) PoolShape(pages int) shapes.Shape {
	return shapes.Make(dtypes.Uint8, 2*p.Config.Layers, pages, p.Config.KVHeads, native.PageBytes(p.Pages, p.PageTokens, p.Config.HeadDim))
}

// Forward runs the layers over a batch of so many tokens and pages a line: x [seqs*tokens, hidden] f32, before the final norm, and the pool.
// cos and sin are RopeTables.
func (p Packed) Forward(batch, cos, sin, blob, pool *Node, tokens, pages int) (x, updated *Node) {
	shape := map[string]any{"tokens": int64(tokens), "pages": int64(pages)}
	x = p.call("embed", native.TargetEmbed, shape, nil, p.embed(tokens), batch, blob)[0]
	shape["page_tokens"], shape["page_kind"] = int64(p.PageTokens), int64(p.Pages)
	for l := range p.Config.Layers {
		layer := Const(x.Graph(), int32(l))
		out := p.call("attention", native.TargetAttention, shape, map[int]int{1: 6}, p.attention(tokens, pages), x, layer, batch, cos, sin, blob, pool)
		x, pool = out[0], out[1]
		x = p.call("mlp", native.TargetMLP, nil, nil, p.mlp, x, layer, blob)[0]
	}
	return x, pool
}

// Norm is the final norm of x [rows, hidden]; Logits [rows, vocab] are those of x, normed.
func (p Packed) Norm(x, blob *Node) *Node {
	return p.call("norm", native.TargetNorm, nil, nil, p.norm, x, blob)[0]
}

// Logits maps x [rows, hidden] of Forward to f32 logits [rows, vocab].
func (p Packed) Logits(x, blob *Node) *Node {
	return p.call("head", native.TargetHead, nil, nil, p.head, x, blob)[0]
}

// CopyPages duplicates pages from [n] i32 to pages to [n] i32 of a pool in all layers; -1 in to = not copied.
func (p Packed) CopyPages(from, to, pool *Node) *Node {
	shape := map[string]any{"page_tokens": int64(p.PageTokens), "page_kind": int64(p.Pages)}
	return p.call("copy", native.TargetCopy, shape, map[int]int{0: 2}, p.copyPages, from, to, pool)[0]
}

// Pack makes a blob of a model's weights in the order of model.Layout. There is no other way than the native one, for what rounds weights.
func (p Packed) Pack(weights []*Node) *Node {
	if err := device.Natives(device.KindOf(weights[0].Graph())); err != nil {
		panic(fmt.Sprintf("BUG: weights are packed without native functions: %v; want a Packed that was chosen for the device", err))
	}
	in := make([]*Node, len(weights))
	for i, w := range weights {
		in[i] = ConvertDType(w, dtypes.Float32)
	}
	return p.call("pack", native.TargetPack, nil, nil, func(in []*Node) []*Node {
		return []*Node{Zeros(in[0].Graph(), p.BlobShape())}
	}, in...)[0]
}

// call is a native function with the model's attributes and more.
func (p Packed) call(name, target string, more map[string]any, aliases map[int]int, reference device.Reference, in ...*Node) []*Node {
	if p.plain {
		return reference(in)
	}
	attributes := p.model().Attributes()
	for k, v := range more {
		attributes[k] = v
	}
	return device.CallNative(device.NativeCall{Name: "packed_" + name, Target: target, Attributes: attributes, Aliases: aliases}, reference, in...)
}
