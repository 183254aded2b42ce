package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"astro/internal/device"
	"astro/kernels"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// int8Products compares matrices of 8 bits with what they were made of, and their products with sums in f64 of what was rounded. One column is
// zero, one is not finite.
func int8Products(t *testing.T, d *device.Device) {
	const in, out, zero, broken = 48, 33, 3, 7
	for _, dtype := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16} {
		for _, rows := range []int{1, 2, 16, 40} {
			t.Run(fmt.Sprintf("%s/%d", dtype, rows), func(t *testing.T) {
				r := rand.New(rand.NewPCG(uint64(rows), 8))
				x, w := normal(r, rows*in), normal(r, in*out)
				for i := range x {
					x[i] = bfloat16.FromFloat32(x[i]).Float32()
				}
				for i := range in {
					w[i*out+zero] = 0
				}
				w[5*out+broken], w[6*out+broken] = float32(math.NaN()), 1
				all := int8Run(t, d, dtype, x, w, rows, in, out)
				values, scales, logits, product := all[0], all[1], all[2], all[3]
				checkRounding(t, w, values, scales, out, broken)
				for i := range rows * out {
					column := i % out
					if column == broken {
						if v := float64(logits[i]); !math.IsNaN(v) && !math.IsInf(v, 0) {
							t.Errorf("a product with what is not finite is %g; want none", logits[i])
						}
						continue
					}
					sum, size := 0.0, 0.0
					for k := range in {
						term := float64(x[i/out*in+k]) * float64(values[k*out+column]) * float64(scales[column])
						sum, size = sum+term, size+math.Abs(term)
					}
					tolerance := map[dtypes.DType]float64{dtypes.Float32: 1e-5, dtypes.BFloat16: 1. / 256}[dtype]
					if math.Abs(float64(logits[i])-sum) > 1e-5*size || math.Abs(float64(product[i])-sum) > tolerance*size {
						t.Fatalf("element %d is %g as f32 and %g as %s; want %g", i, logits[i], product[i], dtype, sum)
					}
				}
			})
		}
	}
}

// int8Run gives the values and scales of w as a matrix of 8 bits, and x times it as f32 and in dtype, all of them as f32.
func int8Run(t *testing.T, d *device.Device, dtype dtypes.DType, x, w []float32, rows, in, out int) (all [][]float32) {
	t.Helper()
	p, err := d.Compile(device.Spec{Name: "int8", Params: []device.Param{
		{Name: "x", Shape: shapes.Make(dtypes.Float32, rows, in), Alias: -1}, {Name: "w", Shape: shapes.Make(dtypes.Float32, in, out), Alias: -1},
	}, Build: func(n []*graph.Node) []*graph.Node {
		m, x := kernels.Int8Matrix(n[1]), graph.ConvertDType(n[0], dtype)
		made := []*graph.Node{m.Values, m.Scales, m.Logits(x), m.Product(x)}
		for i, want := range []dtypes.DType{dtypes.Int8, dtypes.Float32, dtypes.Float32, dtype} {
			if made[i].DType() != want {
				panic(fmt.Sprintf("result %d is %s; want %s", i, made[i].DType(), want))
			}
			made[i] = graph.ConvertDType(made[i], dtypes.Float32)
		}
		return made
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	made, err := p.Run(tensors.FromFlatDataAndDimensions(x, rows, in), tensors.FromFlatDataAndDimensions(w, in, out))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range made {
		all = append(all, tensors.MustCopyFlatData[float32](m))
	}
	return all
}

// checkRounding wants every number within half a step of what it was, and a step of a 127th of its column's largest one.
func checkRounding(t *testing.T, w, values, scales []float32, out, broken int) {
	t.Helper()
	for j, scale := range scales {
		most := 0.0
		for i := j; i < len(w); i += out {
			most = max(most, math.Abs(float64(w[i])))
			if j != broken && math.Abs(float64(w[i])-float64(values[i])*float64(scale)) > .5001*float64(scale) {
				t.Fatalf("%g is %g steps of %g", w[i], values[i], scale)
			}
		}
		if j != broken && math.Abs(float64(scale)-most/127) > 1e-6*most {
			t.Errorf("column %d has the scale %g; want a 127th of %g", j, scale, most)
		}
	}
}
