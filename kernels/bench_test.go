package kernels

import (
	"fmt"
	"math"
	"testing"
	"time"

	"astro/internal/device"
	"astro/internal/device/devicetest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// BenchmarkProduct times a chain of products with matrices that no cache holds together, as Product and as a plain dot in turns, on
// xla:cpu. A ratio below 1 is what the body is for.
func BenchmarkProduct(b *testing.B) {
	d := devicetest.Open(b, device.XLACPU)
	for _, rows := range []int{1, 8, 32, 64} {
		b.Run(fmt.Sprintf("%d rows", rows), func(b *testing.B) {
			dot := func(x, w *Node) *Node { return DotProduct(x, w) }
			devicetest.InTurns(b, []string{"product", "dot"}, productChain(b, d, rows, Product), productChain(b, d, rows, dot))
		})
	}
}

// productChain compiles x [rows, 512] through 16 matrices [512, 2048] and back [2048, 512].
func productChain(b *testing.B, d *device.Device, rows int, product func(x, w *Node) *Node) func() {
	const pairs, narrow, wide = 8, 512, 2048
	params := []device.Param{{Name: "x", Shape: shapes.Make(dtypes.Float32, rows, narrow), Alias: -1}}
	args := []*tensors.Tensor{tensors.FromShape(params[0].Shape)}
	for i := range 2 * pairs {
		shape := shapes.Make(dtypes.Float32, narrow, wide)
		if i%2 == 1 {
			shape = shapes.Make(dtypes.Float32, wide, narrow)
		}
		params = append(params, device.Param{Name: fmt.Sprintf("w%d", i), Shape: shape, Alias: -1})
		args = append(args, tensors.FromShape(shape))
	}
	p, err := d.Compile(device.Spec{Name: "chain", Params: params, Build: func(in []*Node) []*Node {
		x := in[0]
		for _, w := range in[1:] {
			x = product(x, w)
		}
		return []*Node{x}
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	return func() {
		out, err := p.Run(args...)
		if err != nil {
			b.Fatal(err)
		}
		out[0].FinalizeAll()
	}
}

// BenchmarkDecode times attention of decodes in the sizes of Llama 3 8B on xla:cuda, as the kernel and as the plain graph: how fast the pages
// are read, in GB/s, is to be compared with the GPU's memory (H200: 4800).
func BenchmarkDecode(b *testing.B) {
	d, err := device.Open(device.Options{Backend: string(device.XLACUDA)})
	if err != nil {
		b.Skipf("there is no GPU to time: %v", err)
	}
	for _, size := range [][2]int{{1, 1024}, {1, 16384}, {8, 4096}, {64, 1024}, {64, 4096}} {
		for _, plain := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d seqs of %d plain %v", size[0], size[1], plain), func(b *testing.B) { decodes(b, d, size[0], size[1], plain) })
		}
	}
}

// decodes runs 16 attentions, each with the answers of the one before as queries, over the same pools.
func decodes(b *testing.B, d *device.Device, seqs, positions int, plain bool) {
	const calls, heads, kvHeads, headDim, pageTokens = 16, 32, 8, 128, 16
	maxPages := positions / pageTokens
	q, pool := shapes.Make(dtypes.Float32, seqs, 1, heads, headDim), shapes.Make(dtypes.BFloat16, seqs*maxPages, kvHeads, pageTokens, headDim)
	if err := DecodeKernel(device.XLACUDA, q, pool, maxPages); err != nil && !plain {
		b.Fatalf("no kernel: %v", err)
	}
	attend := func(in []*Node) []*Node {
		if plain {
			return device.Call("plain_attention", pagedAttention, in...)
		}
		return device.Call("paged_attention", pagedAttention, in...)
	}
	table, last := make([]int32, seqs*maxPages), make([]int32, seqs)
	for i := range table {
		table[i] = int32(i * 7919 % len(table)) // a prime: no two are the same
	}
	for i := range last {
		last[i] = int32(positions - 1)
	}
	p, err := d.Compile(device.Spec{Name: "decodes", Params: []device.Param{{Name: "q", Shape: q, Alias: -1}, {Name: "k", Shape: pool, Alias: -1},
		{Name: "v", Shape: pool, Alias: -1}, {Name: "table", Shape: shapes.Make(dtypes.Int32, seqs, maxPages), Alias: -1},
		{Name: "positions", Shape: shapes.Make(dtypes.Int32, seqs, 1), Alias: -1}},
		Build: func(in []*Node) []*Node {
			x := in[0]
			for range calls {
				x = attend([]*Node{x, in[1], in[2], in[3], in[4]})[0]
			}
			return []*Node{x}
		}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	args := []*tensors.Tensor{tensors.FromShape(q), tensors.FromShape(pool), tensors.FromShape(pool),
		tensors.FromFlatDataAndDimensions(table, seqs, maxPages), tensors.FromFlatDataAndDimensions(last, seqs, 1)}
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		out, err := p.Run(args...)
		if err != nil {
			b.Fatal(err)
		}
		tensors.MustCopyFlatData[float32](out[0]) // waits for the GPU
		best = min(best, time.Since(start))
		out[0].FinalizeAll()
	}
	each := best.Seconds() / calls
	b.ReportMetric(each*1e6, "us/attention")
	b.ReportMetric(float64(2*pool.ByteSize())/each/1e9, "GB/s")
}
