package kernels_test

import (
	"slices"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/kernels"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Sums are over all devices, and what is gathered stands in their order. On one device both are what went in.
func TestCollectives(t *testing.T) {
	d := devicetest.Open(t, device.XLACPU)
	spec := device.Spec{Name: "collectives", Params: []device.Param{{Name: "x", Shape: shapes.Make(dtypes.Float32, 2, 3), Alias: -1}},
		Build: func(in []*Node) []*Node { return []*Node{kernels.AllReduce(in[0]), kernels.AllGather(in[0])} }}
	for devices := 1; devices <= 4; devices++ {
		p, err := d.CompileAcross(devices, spec)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		args, sum, rows := make([]*tensors.Tensor, devices), make([]float32, 6), [2][]float32{}
		for i := range args {
			flat := make([]float32, 6)
			for k := range flat {
				flat[k] = float32(10*i + k)
				sum[k] += flat[k]
			}
			args[i] = tensors.FromFlatDataAndDimensions(flat, 2, 3)
			rows[0], rows[1] = append(rows[0], flat[:3]...), append(rows[1], flat[3:]...)
		}
		out, err := p.Run(args...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range devices {
			if got := tensors.MustCopyFlatData[float32](out[2*i]); !slices.Equal(got, sum) {
				t.Errorf("device %d of %d has the sum %v; want %v", i, devices, got, sum)
			}
			if got, want := tensors.MustCopyFlatData[float32](out[2*i+1]), slices.Concat(rows[0], rows[1]); !slices.Equal(got, want) {
				t.Errorf("device %d of %d gathered %v; want %v", i, devices, got, want)
			}
		}
	}
}
