package sampler

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// eachBenchmark names the batches that are measured: the demo model's, a 32k vocabulary, and Llama 3's.
func eachBenchmark(b *testing.B, run func(b *testing.B, flat []float32, rows []*Row)) {
	filtered := Default()
	filtered.Temperature, filtered.TopK, filtered.TopP = 0.8, 40, 0.9
	for _, size := range [][2]int{{32, 4096}, {8, 32000}, {1, 128256}} {
		r := rand.New(rand.NewPCG(1, 2))
		flat := make([]float32, size[0]*size[1])
		for i := range flat {
			flat[i] = float32(r.NormFloat64() * 3)
		}
		for name, params := range map[string]Params{"greedy": Greedy(), "plain": Default(), "filtered": filtered} {
			rows := make([]*Row, size[0])
			for i := range rows {
				rows[i] = &Row{Params: params, Prompt: make([]int32, 10+i)}
			}
			b.Run(fmt.Sprintf("%dx%d/%s", size[0], size[1], name), func(b *testing.B) { run(b, flat, rows) })
		}
	}
}

func BenchmarkHost(b *testing.B) {
	eachBenchmark(b, func(b *testing.B, flat []float32, rows []*Row) {
		for b.Loop() {
			HostBatch(flat, rows)
		}
	})
}

func BenchmarkDevice(b *testing.B) {
	d := devicetest.Open(b, device.XLACPU)
	eachBenchmark(b, func(b *testing.B, flat []float32, rows []*Row) {
		s := NewDevice(d, len(flat)/len(rows))
		defer s.Close()
		logits := onDevice(b, d, flat, len(rows))
		defer logits.FinalizeAll()
		for b.Loop() {
			if _, _, err := s.Draw(logits, rows); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// onDevice makes a tensor whose only memory is the device's, as a program's output is.
func onDevice(b *testing.B, d *device.Device, flat []float32, rows int) *tensors.Tensor {
	shape := shapes.Make(dtypes.Float32, rows, len(flat)/rows)
	p, err := d.Compile(device.Spec{Name: "logits", Params: []device.Param{{Name: "x", Shape: shape, Alias: -1}},
		Build: func(in []*graph.Node) []*graph.Node { return []*graph.Node{graph.Neg(in[0])} }})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	x := tensors.FromFlatDataAndDimensions(flat, shape.Dimensions...)
	defer x.FinalizeAll()
	out, err := p.Run(x)
	if err != nil {
		b.Fatal(err)
	}
	return out[0]
}
