package model_test

import (
	"math"
	"reflect"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/model/modeltest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
)

// TestInt8IsNearWhatItWasMadeOf: matrices of a tied and of an untied model are within half a step of the file's, the embedding and norms are as
// they were, and progress ends where the memory does.
func TestInt8IsNearWhatItWasMadeOf(t *testing.T) {
	devicetest.OnEach(t, func(t *testing.T, d *device.Device) {
		names := []string{"llama3-tied-hub-bf16"}
		if d.Kind() == device.Go { // which need not compile
			names = append(names, "mha")
		}
		for _, name := range names {
			f := modeltest.Named(t, name)
			plain, err := model.Load(f.Dir, d.Backend(), dtypes.Float32, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer plain.Free()
			var done, total int64
			w, err := model.LoadInt8(f.Dir, d, dtypes.Float32, func(d, all int64) { done, total = d, all })
			if err != nil {
				t.Fatal(err)
			}
			defer w.Free()
			if !w.Int8() || plain.Int8() || done != total || total != w.Bytes() || total != w.Config.Int8Bytes(dtypes.Float32) {
				t.Errorf("%s: 8 bits %v of %v; progress %d of %d, %d bytes, planned %d", name, w.Int8(), plain.Int8(), done, total, w.Bytes(), w.Config.Int8Bytes(dtypes.Float32))
			}
			checkInt8(t, w, plain)
		}
	})
}

// checkInt8 compares weights of 8 bits with plain ones in f32.
func checkInt8(t *testing.T, w, plain *model.Weights) {
	t.Helper()
	want := plain.Tensors
	if w.Config.TiedHead {
		want = append(want[:len(want):len(want)], turned(plain.Tensors[0]))
	}
	var had []shapes.Shape
	scales := w.Tensors[len(want):]
	for i, x := range w.Tensors {
		had = append(had, x.Shape())
		if i >= len(want) {
			continue
		}
		if x.DType() != dtypes.Int8 {
			if !reflect.DeepEqual(x.Value(), want[i].Value()) {
				t.Errorf("tensor %d, no matrix, differs", i)
			}
			continue
		}
		steps, columns := tensors.MustCopyFlatData[float32](scales[0]), x.Shape().Dim(1)
		scales = scales[1:]
		q, exact := tensors.MustCopyFlatData[int8](x), tensors.MustCopyFlatData[float32](want[i])
		for k := range q {
			step := float64(steps[k%columns])
			if diff := math.Abs(float64(q[k])*step - float64(exact[k])); diff > .5001*step {
				t.Fatalf("element %d of tensor %d is %d steps of %g; want %g", k, i, q[k], step, exact[k])
			}
		}
	}
	if len(scales) != 0 || !reflect.DeepEqual(had, w.Config.Int8Shapes(dtypes.Float32)) {
		t.Errorf("%d scales too many; shapes %v; want %v", len(scales), had, w.Config.Int8Shapes(dtypes.Float32))
	}
}

func turned(x *tensors.Tensor) *tensors.Tensor {
	rows, columns := x.Shape().Dim(0), x.Shape().Dim(1)
	from, to := tensors.MustCopyFlatData[float32](x), make([]float32, rows*columns)
	for i, v := range from {
		to[i%columns*rows+i/columns] = v
	}
	return tensors.FromFlatDataAndDimensions(to, columns, rows)
}

// TestInt8WaysAreOne: loaded, copied from elsewhere and made on the device, weights of 8 bits are the same, and those that they are made of on the
// device are gone.
func TestInt8WaysAreOne(t *testing.T) {
	d, f := devicetest.Open(t, device.Go), modeltest.Named(t, "llama3-tied-hub-bf16")
	load := func() *model.Weights {
		w, err := model.Load(f.Dir, backend(t), dtypes.Float32, nil)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	loaded, err := model.LoadInt8(f.Dir, d, dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := load()
	copied, err := elsewhere.CopyInt8(d, dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	here, err := load().Copy(d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	made, err := here.ToInt8(d)
	if err != nil {
		t.Fatal(err)
	}
	if len(here.Tensors) != 0 || len(elsewhere.Tensors) == 0 {
		t.Errorf("%d tensors left where they were rounded, %d elsewhere; want none there and all here", len(here.Tensors), len(elsewhere.Tensors))
	}
	for i, x := range loaded.Tensors {
		for _, other := range []*model.Weights{copied, made} {
			if !reflect.DeepEqual(x.Value(), other.Tensors[i].Value()) {
				t.Errorf("tensor %d differs", i)
			}
		}
	}
}

// TestRandomInt8: random weights of 8 bits are RandomOn's, rounded.
func TestRandomInt8(t *testing.T) {
	d := devicetest.Open(t, device.Go)
	c := model.Config{Vocab: 14, Hidden: 16, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 8, FFN: 24, MaxPositions: 32, NormEps: 1e-5, Rope: model.Rope{Theta: 1e4}, BOS: -1, InitStd: .1}
	plain, err := model.RandomOn(d, c, 3, dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	w, err := model.RandomInt8On(d, c, 3, dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	checkInt8(t, w, plain)
}
