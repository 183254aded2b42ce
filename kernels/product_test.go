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

func init() {
	device.Implement("product_among_zeros", device.Implementation{Body: func(_ device.Kind, f device.Signature) string { return productOf(f).amongZeros() }})
}

// The body of a single row's product on GPUs gives what a plain product does, in both dtypes; xla:cpu runs it here.
func TestProductAmongZeros(t *testing.T) {
	d := devicetest.Open(t, device.XLACPU)
	const in, out = 48, 33
	for _, dtype := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16} {
		f32 := func(name string, dims ...int) device.Param {
			return device.Param{Name: name, Shape: shapes.Make(dtypes.Float32, dims...), Alias: -1}
		}
		p, err := d.Compile(device.Spec{Name: "among_zeros", Params: []device.Param{f32("x", 1, in), f32("w", in, out)}, Build: func(n []*Node) []*Node {
			plain := func(n []*Node) []*Node { return []*Node{DotProduct(n[0], n[1])} }
			x, w := ConvertDType(n[0], dtype), ConvertDType(n[1], dtype)
			got := device.Call("product_among_zeros", plain, x, w)[0]
			return []*Node{ConvertDType(got, dtypes.Float32), Einsum("ri,io->ro", ConvertDType(x, dtypes.Float32), ConvertDType(w, dtypes.Float32))}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		r := rand.New(rand.NewPCG(1, 2))
		made, err := p.Run(normals(r, 1, in), normals(r, in, out))
		if err != nil {
			t.Fatal(err)
		}
		got, want := tensors.MustCopyFlatData[float32](made[0]), tensors.MustCopyFlatData[float32](made[1])
		for i := range want {
			if diff := got[i] - want[i]; diff > 0.05 || diff < -0.05 || dtype == dtypes.Float32 && (diff > 1e-4 || diff < -1e-4) {
				t.Errorf("%s: column %d is %g; want %g", dtype, i, got[i], want[i])
			}
		}
	}
}
