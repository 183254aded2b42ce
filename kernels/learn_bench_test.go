package kernels

import (
	"fmt"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// BenchmarkLearning times values and gradients of what training is made of, at the sizes of the Countdown model and of one with a width of 384, as
// native functions and as XLA makes them of their references, in turns. A ratio below 1 is what the functions are for. XLA's threads and the
// functions' own are never in one program.
func BenchmarkLearning(b *testing.B) {
	d := devicetest.Native(b)
	for _, c := range []struct{ rows, tokens, width, ffn, heads, kvHeads int }{{9, 216, 96, 256, 3, 3}, {4, 512, 384, 1024, 6, 2}} {
		n, headDim := c.rows*c.tokens, 32*((c.width+191)/192)
		ids, all, angles := shapes.Make(dtypes.Int32, c.rows, c.tokens), (c.heads+2*c.kvHeads)*headDim, shapes.Make(dtypes.Float32, c.tokens, headDim/2)
		f32 := func(rows, columns int) shapes.Shape { return shapes.Make(dtypes.Float32, rows, columns) }
		plain := func(in []*Node) *Node { return DotProduct(in[0], in[1]) }
		native := func(in []*Node) *Node { return Dense(in[0], in[1]) }
		of := func(what string, native, plain func(in []*Node) *Node, to int, operands ...shapes.Shape) {
			b.Run(fmt.Sprintf("%s of %d tokens, width %d", what, n, c.width), func(b *testing.B) {
				devicetest.InTurns(b, []string{"native", "plain"}, gradientStep(b, d, native, to, operands), gradientStep(b, d, plain, to, operands))
			})
		}
		of("gate and up", native, plain, 2, f32(n, c.width), f32(c.width, 2*c.ffn))
		of("down", native, plain, 2, f32(n, c.ffn), f32(c.ffn, c.width))
		of("down with a change of rank 16", func(in []*Node) *Node { return changed(in).Dense(in[0]) }, func(in []*Node) *Node { return changed(in).Product(in[0]) }, 3,
			f32(n, c.ffn), f32(c.ffn, 16), f32(16, c.width), f32(c.ffn, c.width))
		of("norm", func(in []*Node) *Node { return NormRows(in[0], in[1], 1e-5) }, func(in []*Node) *Node { return RMSNorm(in[0], in[1], 1e-5) }, 2,
			f32(n, c.width), shapes.Make(dtypes.Float32, c.width))
		of("gate", func(in []*Node) *Node { return GateRows(in[0]) }, func(in []*Node) *Node { return Gated(in[0]) }, 1, f32(n, 2*c.ffn))
		of("attention", func(in []*Node) *Node { return SelfAttention(in[0], ones(in[1]), in[2], in[3], in[4], c.heads) },
			func(in []*Node) *Node {
				return selfAttention([]*Node{in[0], ones(in[1]), in[2], in[3], in[4]}, c.heads)[0]
			}, 1, f32(n, all), ids, ids, angles, angles)
	}
}

func changed(in []*Node) Matrix { return Matrix{Values: in[3], Change: LowRank{in[1], in[2]}} }

func ones(segments *Node) *Node { return AddScalar(segments, 1) }

// gradientStep runs a function of zeros and the gradient of the sum of its squares to the first operands.
func gradientStep(b *testing.B, d *device.Device, of func(in []*Node) *Node, to int, operands []shapes.Shape) func() {
	s := device.Spec{Name: "learning", Build: func(in []*Node) []*Node {
		y := of(in)
		return append([]*Node{y}, Gradient(ReduceAllSum(Square(y)), in[:to]...)...)
	}}
	var args []*tensors.Tensor
	for i, shape := range operands {
		s.Params = append(s.Params, device.Param{Name: fmt.Sprintf("p%d", i), Shape: shape, Alias: -1})
		args = append(args, tensors.FromShape(shape))
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
		for _, t := range out {
			t.MustFinalizeAll()
		}
	}
}
