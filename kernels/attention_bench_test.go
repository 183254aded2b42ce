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

// BenchmarkAttention times causal attention of one row, 8 heads of 64 over 2 of keys, with all scores at once and in blocks in turns, on
// xla:cpu. A ratio below 1 is a gain; what each keeps besides operands and results is said too.
func BenchmarkAttention(b *testing.B) {
	d := devicetest.Open(b, device.XLACPU)
	for _, tokens := range []int{128, 256, 512, 1024, 2048, 4096} {
		for _, gradients := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d tokens, gradients %v", tokens, gradients), func(b *testing.B) {
				whole, inBlocks := attentionProgram(b, d, tokens, gradients, AttentionWhole), attentionProgram(b, d, tokens, gradients, AttentionInBlocks)
				devicetest.InTurns(b, []string{"blocks", "whole"}, inBlocks.run, whole.run)
				b.ReportMetric(float64(inBlocks.TemporaryBytes>>10), "KiB/blocks")
				b.ReportMetric(float64(whole.TemporaryBytes>>10), "KiB/whole")
			})
		}
	}
}

type timed struct {
	device.ProgramInfo
	run func()
}

func attentionProgram(b *testing.B, d *device.Device, tokens int, gradients bool, attend func(q, k, v, first, last *Node, scale float64) *Node) timed {
	const heads, kvHeads, headDim = 8, 2, 64
	var params []device.Param
	var args []*tensors.Tensor
	for i, n := range []int{heads, kvHeads, kvHeads, heads} {
		params = append(params, device.Param{Name: fmt.Sprintf("p%d", i), Shape: shapes.Make(dtypes.Float32, 1, tokens, n, headDim), Alias: -1})
		args = append(args, tensors.FromShape(params[i].Shape))
	}
	p, err := d.Compile(device.Spec{Name: "attention", Params: params, Build: func(in []*Node) []*Node {
		g := in[0].Graph()
		ids := shapes.Make(dtypes.Int32, 1, tokens)
		mixed := attend(in[0], in[1], in[2], Zeros(g, ids), Iota(g, ids, 1), .125)
		if !gradients {
			return []*Node{mixed}
		}
		return Gradient(ReduceAllSum(Mul(mixed, in[3])), in[0], in[1], in[2])
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	return timed{p.Info(), func() {
		out, err := p.Run(args...)
		if err != nil {
			b.Fatal(err)
		}
		for _, o := range out {
			o.FinalizeAll()
		}
	}}
}

// BenchmarkChunk times attention of a chunk at the end of its pages, 8 heads of 64 over 2, all scores at once and in blocks in turns.
func BenchmarkChunk(b *testing.B) {
	d := devicetest.Open(b, device.XLACPU)
	for _, size := range [][2]int{{64, 1024}, {64, 8192}, {256, 1024}, {256, 4096}, {512, 1024}, {512, 4096}} {
		b.Run(fmt.Sprintf("%d tokens of %d", size[0], size[1]), func(b *testing.B) {
			devicetest.InTurns(b, []string{"blocks", "whole"}, chunkStep(b, d, size[0], size[1], pagedInBlocks), chunkStep(b, d, size[0], size[1], pagedAttention))
		})
	}
}

func chunkStep(b *testing.B, d *device.Device, tokens, length int, attend device.Reference) func() {
	const heads, kvHeads, headDim, pageTokens = 8, 2, 64, 16
	pages := length / pageTokens
	pool := shapes.Make(dtypes.Float32, pages, kvHeads, pageTokens, headDim)
	params := []device.Param{{Name: "q", Shape: shapes.Make(dtypes.Float32, 1, tokens, heads, headDim), Alias: -1}, {Name: "k", Shape: pool, Alias: -1},
		{Name: "v", Shape: pool, Alias: -1}}
	p, err := d.Compile(device.Spec{Name: "chunk", Params: params, Build: func(in []*Node) []*Node {
		g := in[0].Graph()
		positions := AddScalar(Iota(g, shapes.Make(dtypes.Int32, 1, tokens), 1), length-tokens)
		return attend(append(in, Iota(g, shapes.Make(dtypes.Int32, 1, pages), 1), positions))
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	args := []*tensors.Tensor{tensors.FromShape(params[0].Shape), tensors.FromShape(pool), tensors.FromShape(pool)}
	return func() {
		out, err := p.Run(args...)
		if err != nil {
			b.Fatal(err)
		}
		out[0].FinalizeAll()
	}
}
