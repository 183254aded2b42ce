package model_test

import (
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"astro/model"
	"astro/model/modeltest"
	"astro/model/safetensors"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	_ "github.com/gomlx/compute/gobackend"
	"github.com/gomlx/gomlx/core/tensors"
)

// backend opens the pure Go backend.
func backend(t testing.TB) compute.Backend {
	t.Helper()
	b, err := compute.NewWithConfig("go:ops_sequential")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Finalize)
	return b
}

// TestLoadPlacesEveryValue compares every element on the device with the element of the file that Layout says it is.
func TestLoadPlacesEveryValue(t *testing.T) {
	b := backend(t)
	for _, f := range modeltest.Fixtures(t) {
		for _, dtype := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16} {
			w, err := model.Load(f.Dir, b, dtype, nil)
			if err != nil {
				t.Fatal(err)
			}
			checkValues(t, f, w, dtype)
			if w.Bytes() != w.Config.WeightBytes(dtype) || w.DType() != dtype {
				t.Errorf("%s: %d bytes of %s; want %d of %s", f.Name, w.Bytes(), w.DType(), w.Config.WeightBytes(dtype), dtype)
			}
			w.Free()
		}
	}
}

func checkValues(t *testing.T, f modeltest.Fixture, w *model.Weights, dtype dtypes.DType) {
	t.Helper()
	folder, err := safetensors.OpenFolder(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	for i, s := range model.Layout(w.Config) {
		got := floats(t, w.Tensors[i])
		column := 0
		for _, p := range s.Parts {
			source, _ := folder.Tensor(p.Name)
			want := make([]float32, source.Len())
			source.Floats(want, 0)
			for j, v := range want {
				at := j
				if s.Transposed() { // [out, in] -> [in, width] from a column on
					at = j%p.Dims[1]*s.Dims[1] + column + j/p.Dims[1]
				}
				if dtype == dtypes.BFloat16 && !s.Norm() {
					v = bfloat16.FromFloat32(v).Float32()
				}
				if got[at] != v {
					t.Fatalf("%s %s: element %d of %s is %g at %d; want %g", f.Name, s.Name, j, p.Name, got[at], at, v)
				}
			}
			column += p.Dims[0]
		}
	}
}

// floats reads a tensor of the device back.
func floats(t *testing.T, x *tensors.Tensor) []float32 {
	t.Helper()
	var out []float32
	err := x.ConstFlatData(func(flat any) {
		switch flat := flat.(type) {
		case []float32:
			out = append(out, flat...)
		case []bfloat16.BFloat16:
			for _, v := range flat {
				out = append(out, v.Float32())
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLoadReportsProgress(t *testing.T) {
	f := modeltest.Named(t, "mha")
	var last, total int64
	w, err := model.Load(f.Dir, backend(t), dtypes.Float32, func(done, all int64) {
		if done <= last || done > all {
			t.Errorf("progress went from %d to %d of %d", last, done, all)
		}
		last, total = done, all
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	if last != total || total != w.Bytes() {
		t.Errorf("progress ended at %d of %d; the weights have %d bytes", last, total, w.Bytes())
	}
}

// TestSec_R18LoadRefuses edits a good checkpoint and reads what is said about it.
func TestSec_R18LoadRefuses(t *testing.T) {
	const k = "model.layers.1.self_attn.k_proj.weight"
	for _, c := range []struct {
		name string
		edit func(map[string]safetensors.Tensor)
		want string
	}{
		{"missing tensor", func(m map[string]safetensors.Tensor) { delete(m, k) }, `tensor "` + k + `" [32 32] is missing`},
		{"missing head", func(m map[string]safetensors.Tensor) { delete(m, "lm_head.weight") }, "tie_word_embeddings"},
		{"wrong shape", func(m map[string]safetensors.Tensor) { m[k] = zeros(k, "F32", 16, 32) }, `"` + k + `" has shape [16 32]; config.json wants [32 32]`},
		{"integers", func(m map[string]safetensors.Tensor) { m[k] = zeros(k, "I32", 32, 32) }, "has dtype I32; supported are F32, F16 and BF16"},
		{"a bias", func(m map[string]safetensors.Tensor) { m["b"] = zeros("model.layers.0.mlp.up_proj.bias", "F32", 64) }, `"model.layers.0.mlp.up_proj.bias", which`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := edited(t, "mha", c.edit)
			_, err := model.Load(dir, backend(t), dtypes.Float32, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v; want an error with %q", err, c.want)
			}
		})
	}
}

// TestLoadIgnoresHarmlessExtras: stored angles and the copy of a tied head change nothing.
func TestLoadIgnoresHarmlessExtras(t *testing.T) {
	dir := edited(t, "linear", func(m map[string]safetensors.Tensor) {
		m["angles"] = zeros("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", 4)
		m["head"] = zeros("lm_head.weight", "F32", 512, 32)
	})
	w, err := model.Load(dir, backend(t), dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Free()
}

func writeBytes(data []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(data); return err }
}

func zeros(name string, dtype safetensors.DType, dims ...int) safetensors.Tensor {
	n := dtype.Size()
	for _, d := range dims {
		n *= d
	}
	return safetensors.Tensor{Name: name, DType: dtype, Dims: dims, Data: make([]byte, n)}
}

// edited copies a fixture with other tensors.
func edited(t *testing.T, fixture string, edit func(map[string]safetensors.Tensor)) string {
	t.Helper()
	from, dir := modeltest.Named(t, fixture).Dir, t.TempDir()
	file, err := safetensors.OpenFile(filepath.Join(from, safetensors.SingleName))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	all := map[string]safetensors.Tensor{}
	for _, x := range file.Tensors {
		all[x.Name] = x
	}
	edit(all)
	var entries []safetensors.Entry
	for _, x := range all {
		entries = append(entries, safetensors.Entry{Name: x.Name, DType: x.DType, Dims: x.Dims, Write: writeBytes(x.Data)})
	}
	if err := safetensors.WriteFile(filepath.Join(dir, safetensors.SingleName), entries, nil); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(from, "config.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRandomIsLikeHF: norms are 1, matrices have mean 0 and the Config's deviation, and a seed is a value.
func TestRandomIsLikeHF(t *testing.T) {
	b := backend(t)
	c := model.Config{Vocab: 512, Hidden: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, FFN: 128, MaxPositions: 64, NormEps: 1e-5,
		Rope: model.Rope{Theta: 10000}, BOS: -1, InitStd: 0.1}
	first, err := model.Random(c, 7, b, dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := model.Random(c, 7, b, dtypes.Float32)
	other, _ := model.Random(c, 8, b, dtypes.Float32)
	for i, s := range model.Layout(c) {
		got := floats(t, first.Tensors[i])
		if !same(got, floats(t, again.Tensors[i])) || !s.Norm() && same(got, floats(t, other.Tensors[i])) {
			t.Errorf("%s does not follow the seed", s.Name)
		}
		mean, std := moments(got)
		if s.Norm() && (mean != 1 || std != 0) || !s.Norm() && (math.Abs(mean) > 0.01 || math.Abs(std-0.1) > 0.01) {
			t.Errorf("%s has mean %g and deviation %g", s.Name, mean, std)
		}
	}
}

func same(a, b []float32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

func moments(x []float32) (mean, std float64) {
	for _, v := range x {
		mean += float64(v) / float64(len(x))
	}
	for _, v := range x {
		std += (float64(v) - mean) * (float64(v) - mean) / float64(len(x))
	}
	return mean, math.Sqrt(std)
}
