package trainer

import (
	"fmt"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/kernels"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// BenchmarkPackedAttention times the gradient of one segment's attention, 8 heads of 64 over 2, dense as the trainer has it for short rows
// and in blocks, in turns. A ratio below 1 is a gain.
func BenchmarkPackedAttention(b *testing.B) {
	d := devicetest.Open(b, device.XLACPU)
	inBlocks := func(q, k, v, segments *Node) *Node {
		return kernels.PackedAttention(q, k, v, kernels.PackedRows(segments), .125)
	}
	dense := func(q, k, v, segments *Node) *Node { return packedAttention(q, k, v, packedBias(segments), .125) }
	for _, size := range [][2]int{{16, 64}, {8, 128}, {4, 256}, {1, 512}, {16, 256}, {4, 512}, {1, 1024}, {1, 2048}} {
		b.Run(fmt.Sprintf("%d rows of %d tokens", size[0], size[1]), func(b *testing.B) {
			devicetest.InTurns(b, []string{"blocks", "dense"}, attentionStep(b, d, size, inBlocks), attentionStep(b, d, size, dense))
		})
	}
}

func attentionStep(b *testing.B, d *device.Device, size [2]int, attend func(q, k, v, segments *Node) *Node) func() {
	s := device.Spec{Name: "attention", Build: func(in []*Node) []*Node {
		return Gradient(ReduceAllSum(Mul(attend(in[0], in[1], in[2], in[4]), in[3])), in[0], in[1], in[2])
	}}
	var args []*tensors.Tensor
	for i, heads := range []int{8, 2, 2, 8} {
		s.Params = append(s.Params, device.Param{Name: fmt.Sprintf("p%d", i), Shape: shapes.Make(dtypes.Float32, size[0], size[1], heads, 64), Alias: -1})
	}
	s.Params = append(s.Params, device.Param{Name: "segments", Shape: shapes.Make(dtypes.Int32, size[0], size[1]), Alias: -1})
	for _, p := range s.Params {
		args = append(args, tensors.FromShape(p.Shape))
	}
	p, err := d.Compile(s)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	return func() {
		out, err := p.Run(args...)
		if err != nil {
			b.Fatal(err)
		}
		free(out)
	}
}
