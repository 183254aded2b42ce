package model

import (
	"reflect"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/gomlx/core/tensors"
)

// A copy has the values of the original and is as independent of it as weights that were loaded twice.
func TestCopy(t *testing.T) {
	from, err := gobackend.New("")
	if err != nil {
		t.Fatal(err)
	}
	to, err := gobackend.New("")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Vocab: 14, Hidden: 16, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 8, FFN: 24, MaxPositions: 32, NormEps: 1e-5, Rope: Rope{Theta: 1e4}, BOS: -1, InitStd: .1}
	w, err := Random(c, 3, from, dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	var want [][]float32
	for _, x := range w.Tensors {
		want = append(want, tensors.MustCopyFlatData[float32](x))
	}
	same, err := w.Copy(to, dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	narrow, err := w.Copy(to, dtypes.BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	w.Free()
	for i, x := range same.Tensors {
		if got := tensors.MustCopyFlatData[float32](x); !reflect.DeepEqual(got, want[i]) {
			t.Errorf("tensor %d differs", i)
		}
	}
	if narrow.DType() != dtypes.BFloat16 || narrow.Bytes() >= same.Bytes() {
		t.Errorf("the bf16 copy is %s of %d bytes", narrow.DType(), narrow.Bytes())
	}
}
