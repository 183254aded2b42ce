package native

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// The operands of each function as they must be: a model of two layers, two Sequences of three tokens, three pages in the pool.
const (
	hostileTokens, hostilePages, hostilePool, hostilePositions = 3, 2, 3, 32
	rowsFed                                                    = 2 * hostileTokens
)

var hostileModel = Model{Weights: Int8, Hidden: 32, Heads: 2, KVHeads: 1, HeadDim: 16, FFN: 32, Layers: 2, Vocab: 40, Eps: 1e-5, Tied: true}

var calls atomic.Int64

// operation is one call of a native function, right until a test changes it.
type operation struct {
	target     string
	attributes map[string]any
	operands   []operand
	results    []shapes.Shape
	aliases    map[int]int
	kept       bool            // the program keeps its pool: it is not donated
	pool       *tensors.Tensor // operand 6 of the last run
}

type operand struct {
	shape shapes.Shape
	value any // a flat slice; nil = zeros
}

func f32s(dims ...int) operand { return operand{shape: shapes.Make(dtypes.Float32, dims...)} }

func bytesOf(dims ...int) operand { return operand{shape: shapes.Make(dtypes.Uint8, dims...)} }

func int32s(values []int32, dims ...int) operand {
	return operand{shapes.Make(dtypes.Int32, dims...), values}
}

// batchOf is two lines: tokens, positions, slots, pages, last.
func batchOf() operand {
	a := []int32{1, 2, 3 /**/, 0, 1, 2 /**/, 16, 17, 18 /**/, 1, 0 /**/, 2}
	b := []int32{4, 5, 39 /**/, 0, 1, 2 /**/, 32, 33, -1 /**/, 2, 0 /**/, 2}
	return int32s(append(a, b...), 2, len(a))
}

// operations are all functions, by name, with right operands.
func operations() map[string]*operation {
	m := hostileModel
	blob, x, layer := bytesOf(m.Blob().Size), f32s(rowsFed, m.Hidden), int32s([]int32{1})
	pool := bytesOf(2*m.Layers, hostilePool, m.KVHeads, PageBytes(PagesF16, 16, m.HeadDim))
	table := f32s(hostilePositions, m.HeadDim/2)
	fed := map[string]any{"tokens": int64(hostileTokens), "pages": int64(hostilePages)}
	paged := map[string]any{"page_tokens": int64(16), "page_kind": int64(PagesF16)}
	tensorsOf := []operand{f32s(m.Vocab, m.Hidden), f32s(m.Hidden)}
	for range m.Layers {
		tensorsOf = append(tensorsOf, f32s(m.Hidden), f32s(m.Hidden, 64), f32s(32, m.Hidden), f32s(m.Hidden), f32s(m.Hidden, 2*m.FFN), f32s(m.FFN, m.Hidden))
	}
	all := map[string]*operation{
		"embed":     {target: TargetEmbed, attributes: fed, operands: []operand{batchOf(), blob}, results: []shapes.Shape{x.shape}},
		"attention": {target: TargetAttention, operands: []operand{x, layer, batchOf(), table, table, blob, pool}, results: []shapes.Shape{x.shape, pool.shape}, aliases: map[int]int{1: 6}},
		"mlp":       {target: TargetMLP, operands: []operand{x, layer, blob}, results: []shapes.Shape{x.shape}},
		"norm":      {target: TargetNorm, operands: []operand{x, blob}, results: []shapes.Shape{x.shape}},
		"head":      {target: TargetHead, operands: []operand{x, blob}, results: []shapes.Shape{shapes.Make(dtypes.Float32, rowsFed, m.Vocab)}},
		"copy":      {target: TargetCopy, attributes: paged, operands: []operand{int32s([]int32{0, 1}, 2), int32s([]int32{2, -1}, 2), pool}, results: []shapes.Shape{pool.shape}, aliases: map[int]int{0: 2}},
		"pack":      {target: TargetPack, operands: tensorsOf, results: []shapes.Shape{blob.shape}},
	}
	all["attention"].attributes = maps.Clone(fed)
	maps.Copy(all["attention"].attributes, paged)
	for _, o := range all {
		attributes := m.Attributes()
		maps.Copy(attributes, o.attributes)
		o.attributes = attributes
	}
	return all
}

// run compiles the operation and runs it once.
func (o *operation) run(t *testing.T, d *device.Device) (results []*tensors.Tensor, failure error) {
	t.Helper()
	spec := device.Spec{Name: "hostile", Build: func(in []*Node) []*Node {
		// A name of its own: calls of one name, target and attributes are one, whatever else a test has made different.
		call := device.NativeCall{Name: fmt.Sprintf("hostile_%d", calls.Add(1)), Target: o.target, Attributes: o.attributes, Aliases: o.aliases}
		return device.CallNative(call, func(in []*Node) []*Node {
			var zeros []*Node
			for _, shape := range o.results {
				zeros = append(zeros, Zeros(in[0].Graph(), shape))
			}
			return zeros
		}, in...)
	}}
	var args []*tensors.Tensor
	for i, a := range o.operands {
		alias := -1
		for result, operand := range o.aliases {
			if operand == i && !o.kept {
				alias = result
			}
		}
		spec.Params = append(spec.Params, device.Param{Name: fmt.Sprintf("p%d", i), Shape: a.shape, Alias: alias})
		args = append(args, a.tensor())
		if i == 6 {
			o.pool = args[i]
		}
	}
	p, err := d.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	return p.Run(args...)
}

func (a operand) tensor() *tensors.Tensor {
	switch v := a.value.(type) {
	case []int32:
		return tensors.FromFlatDataAndDimensions(v, a.shape.Dimensions...)
	case []uint8:
		return tensors.FromFlatDataAndDimensions(v, a.shape.Dimensions...)
	}
	return tensors.FromShape(a.shape)
}

// setBatch changes number i of the first line of the batch, which is operand `of`.
func setBatch(of, i int, v int32) func(*operation) {
	return func(o *operation) {
		b := batchOf()
		b.value.([]int32)[i] = v
		o.operands[of] = b
	}
}

func setShape(i int, dims ...int) func(*operation) {
	return func(o *operation) {
		o.operands[i] = operand{shape: shapes.Make(o.operands[i].shape.DType, dims...)}
		if len(o.aliases) > 0 && o.aliases[len(o.results)-1] == i {
			o.results[len(o.results)-1] = o.operands[i].shape
		}
	}
}

func setResult(dims ...int) func(*operation) {
	return func(o *operation) { o.results[0] = shapes.Make(o.results[0].DType, dims...) }
}

func setAttribute(name string, v int64) func(*operation) {
	return func(o *operation) { o.attributes[name] = v }
}

func without(attribute string) func(*operation) {
	return func(o *operation) { delete(o.attributes, attribute) }
}

func setLayer(v int32) func(*operation) {
	return func(o *operation) { o.operands[1] = int32s([]int32{v}) }
}

func setInts(i int, v ...int32) func(*operation) {
	return func(o *operation) { o.operands[i] = int32s(v, len(v)) }
}

type hostileCase struct {
	operation string
	change    func(*operation)
	want      string // of the error
}

// hostileCases: positions are numbers 3 to 5 of a line, slots 6 to 8, pages 9 and 10.
func hostileCases() []hostileCase {
	cases := []hostileCase{
		{"embed", setBatch(0, 0, 40), "a token is not in the vocabulary"},
		{"embed", setBatch(0, 2, -1), "a token is not in the vocabulary"},
		{"embed", setShape(0, 2, 11), "the batch has another width"},
		{"embed", setResult(5, 32), "the result has another shape"},
		{"attention", setBatch(2, 1, 1<<30), "a token is not in the vocabulary"},
		{"attention", setBatch(2, 3, -1), "a position is outside of the context"},
		{"attention", setBatch(2, 5, hostilePositions), "a position is outside of the context"},
		{"attention", setBatch(2, 6, -2), "a slot is outside of the pool"},
		{"attention", setBatch(2, 8, hostilePool*16), "a slot is outside of the pool"},
		{"attention", setBatch(2, 9, hostilePool), "a page is outside of the pool"},
		{"attention", setBatch(2, 9, -1), "a page is outside of the pool"},
		{"attention", setBatch(2, 9, -1<<31), "a page is outside of the pool"},
		{"attention", setLayer(2), "there is no such layer"},
		{"attention", setLayer(-1), "there is no such layer"},
		{"attention", setShape(0, 5, 32), "x has another shape"},
		{"attention", setShape(3, 31, 8), "the rope tables have another shape"},
		{"attention", setShape(4, 32, 7), "the rope tables have another shape"},
		{"attention", setShape(6, 3, hostilePool, 1, PageBytes(PagesF16, 16, 16)), "the pool has another shape"},
		{"attention", setShape(6, 4, hostilePool, 1, 511), "the pool has pages of another size"},
		{"attention", setAttribute("page_tokens", 32), "the pool has pages of another size"},
		{"attention", setAttribute("page_kind", 3), "the pool has pages of another size"},
		{"attention", setAttribute("page_kind", -1), "the pool has pages of another size"},
		{"attention", pagesOfEight, "a page must hold 16, 32, 64, 128 or 256 tokens"},
		{"attention", hugeTokens, "an attribute of the batch is too large"},
		{"attention", func(o *operation) { o.aliases = nil }, "BUG: the pool is not updated in place"},
		{"mlp", setLayer(2), "there is no such layer"},
		{"mlp", setShape(0, 6, 31), "x has another shape"},
		{"mlp", setResult(7, 32), "x has another shape"},
		{"norm", setResult(6, 64), "x has another shape"},
		{"head", setResult(6, 41), "x has another shape"},
		{"head", setShape(0, 192), "x has another shape"},
		{"copy", setInts(0, 0, 3), "fine"}, // to is -1 there
		{"copy", setInts(0, 3, 0), "a page is outside of the pool"},
		{"copy", setInts(0, -1, 0), "a page is outside of the pool"},
		{"copy", setInts(1, 3, -1), "a page is outside of the pool"},
		{"copy", setInts(1, 2, -1, 0), "lists of pages have other shapes"},
		{"copy", func(o *operation) { o.aliases = nil }, "BUG: the pool is not updated in place"},
		{"pack", setShape(0, 41, 32), "tensor 0 has another shape"},
		{"pack", setShape(13, 32, 33), "tensor 13 has another shape"},
		{"pack", func(o *operation) { o.operands = o.operands[:13] }, "got 13 tensors"},
	}
	for name, o := range operations() {
		cases = append(cases, hostileCase{name, setAttribute("weights", 4), "unknown kind of weights"}, hostileCase{name, setAttribute("heads", 0), "a size is not positive"},
			hostileCase{name, setAttribute("vocab", 1<<40), "a size is too large"}, hostileCase{name, setAttribute("ffn", 48), "with 8 or 4 bits all widths must be multiples of 32"},
			hostileCase{name, without("eps"), "an attribute of the model is missing"}, hostileCase{name, setAttribute("layers", 4096), ""})
		if i := slices.IndexFunc(o.operands, func(a operand) bool { return a.shape.DType == dtypes.Uint8 && a.shape.Rank() == 1 }); i >= 0 {
			size := o.operands[i].shape.Dim(0)
			cases = append(cases, hostileCase{name, setShape(i, size-1), "the packed weights are of another size"}, hostileCase{name, setShape(i, size+64), "the packed weights are of another size"})
		}
	}
	return cases
}

// pagesOfEight makes pages of eight tokens, with a pool that fits them.
func pagesOfEight(o *operation) {
	setAttribute("page_tokens", 8)(o)
	setShape(6, 4, hostilePool, 1, PageBytes(PagesF16, 8, 16))(o)
}

// hugeTokens overflows: the width of a line comes to 12, and four Sequences to no row at all.
func hugeTokens(o *operation) {
	setAttribute("tokens", 1<<62)(o)
	setAttribute("pages", 1<<62+11)(o)
	o.operands[0], o.results[0] = f32s(0, 32), shapes.Make(dtypes.Float32, 0, 32)
	o.operands[2] = operand{shape: shapes.Make(dtypes.Int32, 4, 12)}
}

// Whatever is wrong with a call is an error that says what, nothing is written, and the next run works.
func TestHostileOperandsAreRefused(t *testing.T) {
	d := devicetest.Native(t)
	for i, c := range hostileCases() {
		o := operations()[c.operation]
		c.change(o)
		_, err := o.run(t, d)
		switch {
		case c.want == "fine" && err != nil:
			t.Errorf("case %d, %s: %v; want no error", i, c.operation, err)
		case c.want != "fine" && (err == nil || !strings.Contains(err.Error(), c.operation+": "+c.want)):
			t.Errorf("case %d, %s: got error %v; want %q", i, c.operation, err, c.operation+": "+c.want)
		}
	}
	for name, o := range operations() {
		if _, err := o.run(t, d); err != nil {
			t.Errorf("%s with right operands: %v", name, err)
		}
	}
}

// patterned is the attention with a pool whose every half is 1.
func patterned() (o *operation, pool []uint8) {
	o = operations()["attention"]
	pool = make([]uint8, o.operands[6].shape.Size())
	for i := range pool {
		pool[i] = uint8(i % 2 * 0x3c)
	}
	o.operands[6].value = slices.Clone(pool)
	return o, pool
}

// Attention writes the slots of its layer and nothing else; weights of zero write zeros.
func TestOnlySlotsAreWritten(t *testing.T) {
	o, want := patterned()
	page, layer := 512, 3*512
	for _, slot := range []int{16, 17, 18, 32, 33} {
		key, value := 2*layer+slot/16*page+slot%16*2, 3*layer+slot/16*page+slot%16*32
		for i := range 16 {
			copy(want[key+32*i:], []uint8{0, 0})
			copy(want[value+2*i:], []uint8{0, 0})
		}
	}
	out, err := o.run(t, devicetest.Native(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range tensors.MustCopyFlatData[uint8](out[1]) {
		if b != want[i] {
			t.Fatalf("byte %d of the pool is %#x; want %#x", i, b, want[i])
		}
	}
}

// A program that keeps its pool works on a copy, which XLA makes.
func TestKeptPoolIsNotWritten(t *testing.T) {
	o, before := patterned()
	o.kept = true
	out, err := o.run(t, devicetest.Native(t))
	if err != nil {
		t.Fatal(err)
	}
	if after := tensors.MustCopyFlatData[uint8](out[1]); slices.Equal(after, before) {
		t.Error("the program's pool has nothing new")
	}
	if got := tensors.MustCopyFlatData[uint8](o.pool); !slices.Equal(got, before) {
		t.Error("a pool that is not donated was written to")
	}
}
