package model_test

import (
	"math"
	"slices"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/model/modeltest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// Weights made on a device are normal with the standard deviation that the model asks for, each tensor another, norms 1; one seed gives
// the same twice, another seed others, and two backends agree but for the last bits.
func TestRandomOn(t *testing.T) {
	c, err := model.Shape("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c.InitStd = .1
	var first []float32
	for _, kind := range []device.Kind{device.Go, device.XLACPU} {
		t.Run(string(kind), func(t *testing.T) {
			d := openKind(t, kind)
			before := len(d.Programs())
			values := randomOn(t, d, c, 7)
			checkNormal(t, c, values)
			if again := randomOn(t, d, c, 7); !slices.EqualFunc(values, again, slices.Equal) {
				t.Error("the same seed gave other values")
			}
			if other := randomOn(t, d, c, 8); slices.Equal(values[0], other[0]) {
				t.Error("another seed gave the same values")
			}
			if first == nil {
				first = values[0]
			}
			for i, x := range values[0] {
				if math.Abs(float64(x-first[i])) > 1e-5 {
					t.Fatalf("element %d is %g; the first backend made %g", i, x, first[i])
				}
			}
			if after := len(d.Programs()); after != before {
				t.Errorf("%d programs are left open", after-before)
			}
		})
	}
}

func openKind(t *testing.T, kind device.Kind) *device.Device {
	t.Helper()
	d, err := device.Open(device.Options{Backend: string(kind)})
	if err != nil {
		t.Skipf("%s is not here: %v", kind, err)
	}
	return d
}

func randomOn(t *testing.T, d *device.Device, c model.Config, seed uint64) (values [][]float32) {
	t.Helper()
	w, err := model.RandomOn(d, c, seed, dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	for _, tensor := range w.Tensors {
		values = append(values, tensors.MustCopyFlatData[float32](tensor))
	}
	return values
}

// checkNormal compares moments with those of a normal distribution, within five standard errors.
func checkNormal(t *testing.T, c model.Config, values [][]float32) {
	t.Helper()
	for i, s := range model.Layout(c) {
		if s.Norm() {
			if slices.Min(values[i]) != 1 || slices.Max(values[i]) != 1 {
				t.Errorf("%s is not all 1", s.Name)
			}
			continue
		}
		var sums [5]float64
		for k, x := range values[i] {
			z := float64(x) / c.InitStd
			sums[1], sums[2], sums[4] = sums[1]+z, sums[2]+z*z, sums[4]+z*z*z*z
			if k > 0 {
				sums[3] += z * float64(values[i][k-1]) / c.InitStd // neighbours
			}
		}
		n := float64(len(values[i]))
		for what, m := range map[string]struct{ got, want, variance float64 }{
			"mean": {sums[1] / n, 0, 1}, "variance": {sums[2] / n, 1, 2}, "neighbours": {sums[3] / n, 0, 1}, "fourth moment": {sums[4] / n, 3, 96},
		} {
			if math.Abs(m.got-m.want) > 5*math.Sqrt(m.variance/n) {
				t.Errorf("%s of %s is %.4f; want %g within %.4f", what, s.Name, m.got, m.want, 5*math.Sqrt(m.variance/n))
			}
		}
		if i > 0 && values[i][0] == values[0][0] {
			t.Errorf("%s begins as %s", s.Name, model.Layout(c)[0].Name)
		}
	}
}

// Matrices are of the type that was asked for.
func TestRandomOnBF16(t *testing.T) {
	c, _ := model.Shape("tiny")
	d := openKind(t, device.Go)
	w, err := model.RandomOn(d, c, 1, dtypes.BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	for i, s := range model.Layout(c) {
		if got, want := w.Tensors[i].Shape(), s.Shape(dtypes.BFloat16); !got.Equal(want) {
			t.Errorf("%s is %s; want %s", s.Name, got, want)
		}
	}
	c.Heads = 3
	if _, err := model.RandomOn(d, c, 1, dtypes.BFloat16); err == nil {
		t.Error("a model of three heads on two was made; want an error")
	}
}

// The published numbers of parameters.
func TestShapes(t *testing.T) {
	for name, params := range map[string]int64{"1b": 1_235_814_400, "3b": 3_212_749_824, "8b": 8_030_261_248} {
		c, err := model.Shape(name)
		if err != nil || c.Validate() != nil || c.Params() != params {
			t.Errorf("%s has %d parameters, %v, %v; want %d", name, c.Params(), err, c.Validate(), params)
		}
	}
	if _, err := model.Shape("2b"); err == nil || err.Error() != `no model shape is called "2b"; there are 1b, 3b, 8b, tiny` {
		t.Errorf("got %v; want an error that names the shapes", err)
	}
}

// On a GPU a whole embedding is made in one loop: nothing of its size is in memory beside it.
func TestRandomForH200(t *testing.T) {
	d := devicetest.H200(t)
	c := modeltest.Llama8B(1, 1024)
	for _, s := range model.Layout(c) {
		if !s.Norm() {
			devicetest.Check(t, d, model.RandomSpec(s.Shape(dtypes.BFloat16), .02), devicetest.Bounds{TemporaryBytes: 1 << 20, CopyBytes: 1})
		}
	}
}
