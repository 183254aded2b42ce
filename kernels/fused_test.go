package kernels

import (
	"math/rand/v2"
	"testing"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// What is composed of cuDNN's forms is right where those are: with their references, on xla:cpu, the checks of a GPU pass.
func TestCompositionsOfReferences(t *testing.T) {
	d := xlaCPU(t)
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
		out := results(t, xlaCPU(t), func(in []*Node) []*Node {
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

func xlaCPU(t *testing.T) *device.Device {
	t.Helper()
	d, err := device.Open(device.Options{Backend: string(device.XLACPU)})
	if err != nil {
		t.Skipf("the XLA CPU plugin is missing: %v", err)
	}
	return d
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
