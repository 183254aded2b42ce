package kernels

import (
	"math/rand/v2"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// What is composed of cuDNN's forms is right where those are: with their references, on xla:cpu, the checks of a GPU pass.
func TestCompositionsOfReferences(t *testing.T) {
	d := devicetest.Open(t, device.XLACPU)
	for _, c := range []device.Check{
		attentionCheck([]string{"attention_causal"}, func(q, k, v, _ *Node) *Node { return causal(q, k, v)[0] }, func(s *Node) *Node { return ZerosLike(s) }),
		attentionCheck([]string{"attention_packed"}, func(q, k, v, s *Node) *Node { return packedAttention(q, k, v, PackedRows(s)) }, func(s *Node) *Node { return s }),
		// A segment for each token is more than there is room for.
		attentionCheck([]string{"attention_packed"}, func(q, k, v, s *Node) *Node { return packedAttention(q, k, v, PackedRows(s)) }, func(s *Node) *Node { return Iota(s.Graph(), s.Shape(), 1) }),
		prefixCheck(),
	} {
		in := c.Inputs(rand.New(rand.NewPCG(3, 4)))
		got, want := results(t, d, c.Build, in), results(t, d, c.Want, in)
		for i := range want {
			near(t, c.Functions[0], got[i], want[i], c.Tolerance)
		}
	}
}

// PackedRows tells where segments begin, over all rows, and whether there is room for them.
func TestPackedRows(t *testing.T) {
	for want, segments := range map[float32][][]int32{1: {{1, 1, 1, 2, 0}, {4, 4, 4, 4, 4}}, 0: {{1, 2, 3, 4, 4}, {1, 1, 1, 1, 1}}} {
		out := results(t, devicetest.Open(t, device.XLACPU), func(in []*Node) []*Node {
			p := PackedRows(in[0])
			return []*Node{p.lengths, p.begins, p.fit}
		}, []*tensors.Tensor{tensors.FromValue(segments)})
		if out[2][0] != want {
			t.Errorf("%v: fit is %v; want %v", segments, out[2][0], want)
		}
		if want == 1 {
			near(t, "lengths", out[0], []float32{3, 1, 1, 5}, 0)
			near(t, "begins", out[1], []float32{0, 3, 4, 5, 10, 10}, 0)
		}
	}
}

// Pages read some at a time give what all of them give, however many there are, and a row the same alone and beside another one.
func TestPagedInBlocks(t *testing.T) {
	const seqs, tokens, heads, kvHeads, headDim, pageTokens, pages = 2, 300, 4, 2, 16, 16, 21
	d, random := devicetest.Open(t, device.XLACPU), rand.New(rand.NewPCG(5, 6))
	pool := []int{seqs * pages, kvHeads, pageTokens, headDim}
	table, positions := make([]int32, seqs*pages), make([]int32, seqs*tokens)
	for i, page := range random.Perm(seqs * pages) {
		table[i] = int32(page)
	}
	for i := range positions {
		positions[i] = int32(random.IntN(pages * pageTokens))
	}
	in := []*tensors.Tensor{normals(random, seqs, tokens, heads, headDim), normals(random, pool...), normals(random, pool...),
		tensors.FromFlatDataAndDimensions(table, seqs, pages), tensors.FromFlatDataAndDimensions(positions, seqs, tokens)}
	both := func(in []*Node) []*Node {
		alone := append([]*Node{}, in...)
		for _, i := range []int{0, 3, 4} {
			alone[i] = SliceAxis(in[i], 0, AxisRange(0, 1))
		}
		inBlocks := pagedInBlocks(in)[0]
		return []*Node{inBlocks, pagedAttention(in)[0], pagedInBlocks(alone)[0], SliceAxis(inBlocks, 0, AxisRange(0, 1))}
	}
	out := results(t, d, both, in)
	near(t, "blocks", out[0], out[1], 1e-5)
	near(t, "alone", out[2], out[3], 1e-6)
}

// The gradient of attention of 4,096 tokens takes a sixteenth of the temporary memory, or less.
func TestBlocksSaveMemory(t *testing.T) {
	temporary := func(attend func(q, k, v, first, last *Node, scale float64) *Node) int64 {
		const tokens, headDim = 4096, 16
		s := device.Spec{Name: "gradient", Build: func(in []*Node) []*Node {
			first, last := causalSpans(in[0])
			return Gradient(ReduceAllSum(attend(in[0], in[1], in[2], first, last, .25)), in...)
		}}
		for i, heads := range []int{2, 1, 1} {
			s.Params = append(s.Params, device.Param{Name: string(rune('a' + i)), Shape: shapes.Make(dtypes.Float32, 1, tokens, heads, headDim), Alias: -1})
		}
		p, err := devicetest.Open(t, device.XLACPU).Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		return p.Info().TemporaryBytes
	}
	whole, inBlocks := temporary(AttentionWhole), temporary(AttentionInBlocks)
	t.Logf("%d MiB with all scores, %d MiB in blocks", whole>>20, inBlocks>>20)
	if inBlocks > whole/16 {
		t.Errorf("%d bytes in blocks; with all scores %d", inBlocks, whole)
	}
}

func results(t *testing.T, d *device.Device, build func(in []*Node) []*Node, in []*tensors.Tensor) (all [][]float32) {
	t.Helper()
	s := device.Spec{Name: "results", Build: func(in []*Node) []*Node {
		out := build(in)
		for i, o := range out {
			out[i] = ConvertDType(o, dtypes.Float32)
		}
		return out
	}}
	for i, x := range in {
		s.Params = append(s.Params, device.Param{Name: string(rune('a' + i)), Shape: x.Shape(), Alias: -1})
	}
	p, err := d.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	out, err := p.Run(in...)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		all = append(all, tensors.MustCopyFlatData[float32](o))
	}
	return all
}

func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements; want %d", what, len(got), len(want))
	}
	for i := range want {
		if d := float64(got[i] - want[i]); !(max(d, -d) <= tolerance*max(1, float64(want[i]), -float64(want[i]))) {
			t.Fatalf("%s: element %d is %v; want %v", what, i, got[i], want[i])
		}
	}
}
