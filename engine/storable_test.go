package engine

import (
	"math"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// What a pool could not hold as a finite number is stored as zero: also the largest f32, which is rounded up to infinity in bf16.
func TestStorable(t *testing.T) {
	devicetest.OnEach(t, func(t *testing.T, d *device.Device) {
		f := &forward{config: model.Config{KVHeads: 1, HeadDim: 4}, kvType: dtypes.BFloat16}
		p, err := d.Compile(device.Spec{Name: "storable", Params: []device.Param{{Name: "x", Shape: shapes.Make(dtypes.Float32, 1, 1, 1, 4), Alias: -1}},
			Build: func(in []*Node) []*Node { return []*Node{ConvertDType(f.storable(in[0]), dtypes.Float32)} }})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		x := tensors.FromFlatDataAndDimensions([]float32{math.MaxFloat32, float32(math.Inf(-1)), float32(math.NaN()), 1.5}, 1, 1, 1, 4)
		out, err := p.Run(x)
		if err != nil {
			t.Fatal(err)
		}
		tensors.ConstFlatData(out[0], func(got []float32) {
			for i, want := range []float32{0, 0, 0, 1.5} {
				if got[i] != want {
					t.Errorf("value %d is stored as %g; want %g", i, got[i], want)
				}
			}
		})
	})
}
