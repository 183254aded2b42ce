package llama

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/kernels/native"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// packedModels differ in what native functions care about: head sizes, groups, a head of its own, a vocabulary that fills no panel.
func packedModels() []model.Config {
	base := model.Config{Vocab: 70, Hidden: 96, Layers: 2, Heads: 3, KVHeads: 3, HeadDim: 32, FFN: 128, MaxPositions: 640, NormEps: 1e-5, TiedHead: true,
		Rope: model.Rope{Theta: 1e4}, BOS: -1, InitStd: .1}
	grouped := base
	grouped.Heads, grouped.KVHeads, grouped.HeadDim, grouped.TiedHead, grouped.Vocab = 8, 1, 64, false, 64
	odd := base
	odd.Heads, odd.KVHeads, odd.HeadDim, odd.Layers = 4, 2, 80, 1
	wide := base
	wide.Heads, wide.KVHeads, wide.HeadDim, wide.Layers = 4, 2, 256, 1
	return []model.Config{base, grouped, odd, wide}
}

// packed is a model in one form on a device, with a pool.
type packed struct {
	Packed
	device    *device.Device
	blob      *tensors.Tensor
	pool      *tensors.Tensor
	cos, sin  *tensors.Tensor
	poolPages int
	programs  map[int]*device.Program // by tokens
}

func pack(t *testing.T, d *device.Device, p Packed, poolPages int) *packed {
	t.Helper()
	w, err := model.Random(p.Config, 3, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	var params []device.Param
	for i, x := range w.Tensors {
		params = append(params, device.Param{Name: fmt.Sprintf("w%d", i), Shape: x.Shape(), Alias: -1})
	}
	native := p
	native.plain = false
	blob := runOnce(t, d, device.Spec{Name: "pack", Params: params, Build: func(in []*Node) []*Node { return []*Node{native.Pack(in)} }}, w.Tensors...)
	cos, sin := RopeTables(p.Config, p.Config.MaxPositions)
	return &packed{p, d, blob[0], tensors.FromShape(p.PoolShape(poolPages)), cos, sin, poolPages, map[int]*device.Program{}}
}

func runOnce(t *testing.T, d *device.Device, s device.Spec, args ...*tensors.Tensor) []*tensors.Tensor {
	t.Helper()
	program, err := d.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	out, err := program.Run(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// step feeds a batch: logits of all rows.
func (p *packed) step(t *testing.T, batch []int32, seqs, tokens, pages int) []float32 {
	t.Helper()
	var err error
	if p.programs[tokens] == nil {
		if p.programs[tokens], err = p.device.Compile(p.spec(seqs, tokens, pages)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.programs[tokens].Close)
	}
	out, err := p.programs[tokens].Run(tensors.FromFlatDataAndDimensions(batch, seqs, len(batch)/seqs), p.cos, p.sin, p.blob, p.pool)
	if err != nil {
		t.Fatal(err)
	}
	p.pool = out[1]
	return tensors.MustCopyFlatData[float32](out[0])
}

func (p *packed) spec(seqs, tokens, pages int) device.Spec {
	params := []device.Param{{Name: "batch", Shape: shapes.Make(dtypes.Int32, seqs, 3*tokens+pages+1), Alias: -1}, {Name: "cos", Shape: p.cos.Shape(), Alias: -1},
		{Name: "sin", Shape: p.sin.Shape(), Alias: -1}, {Name: "blob", Shape: p.BlobShape(), Alias: -1}, {Name: "pool", Shape: p.PoolShape(p.poolPages), Alias: 1}}
	return device.Spec{Name: fmt.Sprintf("packed_%t_%dx%d", p.plain, seqs, tokens), Params: params, Build: func(in []*Node) []*Node {
		x, pool := p.Forward(in[0], in[1], in[2], in[3], in[4], tokens, pages)
		return []*Node{p.Logits(x, in[3]), pool}
	}}
}

// lineOf feeds tokens at positions from start on to a Sequence with these pages.
func (p *packed) lineOf(r *rand.Rand, tokens, pages, start int, own []int32) []int32 {
	line := make([]int32, 3*tokens+pages+1)
	for i := range tokens {
		at := start + i
		line[i], line[tokens+i] = int32(r.IntN(p.Config.Vocab)), int32(at)
		line[2*tokens+i] = own[at/p.PageTokens]*int32(p.PageTokens) + int32(at%p.PageTokens)
	}
	copy(line[3*tokens:], own)
	line[len(line)-1] = int32(tokens - 1)
	return line
}

// The native functions give what the references give, for prompts and then for single tokens of two Sequences whose pages are mixed.
func TestPackedIsTheGraph(t *testing.T) {
	d := devicetest.Native(t)
	for i, c := range packedModels() {
		for _, w := range []native.Weights{native.F32, native.Weights(1 + i%3)} {
			pages := native.Pages((i + int(w)) % 4)
			t.Run(fmt.Sprintf("model %d, %v, pages %d", i, w, pages), func(t *testing.T) {
				form := Packed{Config: c, Weights: w, Pages: pages, PageTokens: 16 << (i % 2)}
				if err := form.Check(); err != nil {
					t.Fatal(err)
				}
				plain := form
				plain.plain = true
				atEachLevel(t, func(t *testing.T) {
					comparePacked(t, pack(t, d, form, 48), pack(t, d, plain, 48), tolerance(w, pages))
				})
			})
		}
	}
}

// tolerance is relative to the size of all logits: rounding of activations with Int8 and Int4, else of keys and values.
func tolerance(w native.Weights, pages native.Pages) float64 {
	switch {
	case w == native.Int8 || w == native.Int4:
		return 3e-2
	case pages == native.PagesInt8:
		return 1e-2
	case pages != native.PagesF32:
		return 1e-3 // a sum that rounds to the other neighbour
	}
	return 3e-6
}

func comparePacked(t *testing.T, got, want *packed, tolerance float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	order := r.Perm(48)
	own := [2][]int32{}
	for i, page := range order[:40] {
		own[i%2] = append(own[i%2], int32(page))
	}
	prompt, pages := 40, len(own[0])
	for _, s := range [][2]int{{prompt, 0}, {1, prompt}, {1, prompt + 1}} { // tokens, and where they begin
		var batch []int32
		for _, pages := range own {
			batch = append(batch, got.lineOf(r, s[0], len(pages), s[1], pages)...)
		}
		a, b := got.step(t, batch, 2, s[0], pages), want.step(t, batch, 2, s[0], pages)
		if diff := relative(a, b); !(diff <= tolerance) {
			t.Fatalf("%d tokens at %d: logits differ by %.2g of their size; want at most %g", s[0], s[1], diff, tolerance)
		}
	}
}

func relative(got, want []float32) float64 {
	diff, size := 0.0, 0.0
	for i := range want {
		diff += math.Pow(float64(got[i])-float64(want[i]), 2)
		size += math.Pow(float64(want[i]), 2)
	}
	return math.Sqrt(diff / size)
}
