package kernels

import (
	"fmt"
	"math"
	"testing"
	"time"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// BenchmarkProduct times a chain of products with matrices that no cache holds together, as Product and as a plain dot in turns, on
// xla:cpu. A ratio below 1 is what the body is for.
func BenchmarkProduct(b *testing.B) {
	d, err := device.Open(device.Options{Backend: string(device.XLACPU)})
	if err != nil {
		b.Skipf("the XLA CPU plugin is missing: %v", err)
	}
	for _, rows := range []int{1, 8, 32, 64} {
		b.Run(fmt.Sprintf("%d rows", rows), func(b *testing.B) {
			dot := func(x, w *Node) *Node { return DotProduct(x, w) }
			paired(b, [2]string{"product", "dot"}, productChain(b, d, rows, Product), productChain(b, d, rows, dot))
		})
	}
}

// paired runs two things in turns and reports the best time of each, and the first's as a part of the second's.
func paired(b *testing.B, names [2]string, steps ...func()) {
	best := [2]time.Duration{math.MaxInt64, math.MaxInt64}
	for b.Loop() {
		for i, step := range steps {
			start := time.Now()
			step()
			best[i] = min(best[i], time.Since(start))
		}
	}
	for i, name := range names {
		b.ReportMetric(float64(best[i].Microseconds()), "us/"+name)
	}
	b.ReportMetric(float64(best[0])/float64(best[1]), "ratio")
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
