package checkpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/model/modeltest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/gomlx/core/tensors"
)

// adapted is testContent with an adapter on two matrices, which are served as those of another model.
func adapted(t *testing.T) Content {
	t.Helper()
	c := testContent(t, 3)
	served, err := model.Random(c.Weights.Config, 2, devicetest.Open(t, device.Go).Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	c.Adapter = &Adapter{Rank: 2, Alpha: 4, Seed: 1 << 63, Matrices: []string{"layer0_qkv", "layer0_down"}}
	at, _, factors, err := c.Adapter.Specs(c.Weights.Config)
	if err != nil {
		t.Fatal(err)
	}
	next := float32(0)
	fill := func(specs []model.TensorSpec) (all []*tensors.Tensor) {
		for _, s := range specs {
			values := make([]float32, s.Len())
			for i := range values {
				next++
				values[i] = next / 3
			}
			all = append(all, tensors.FromFlatDataAndDimensions(values, s.Dims...))
		}
		return all
	}
	c.Adapter.Factors, c.M, c.V = fill(factors), fill(factors), fill(factors)
	c.Served = func(i int, use func(*tensors.Tensor) error) error {
		if slices.Contains(at, i) {
			return use(served.Tensors[i])
		}
		return use(c.Weights.Tensors[i])
	}
	return c
}

// An adapter, its moments and the weights under it are loaded bit for bit; a reader of models gets what is served. A checkpoint without one says
// nothing of it.
func TestAdapterIsKept(t *testing.T) {
	want := adapted(t)
	path, err := Save(t.TempDir(), want, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(path, devicetest.Open(t, device.Go).Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	a, b := got.Adapter, want.Adapter
	if a.Rank != b.Rank || a.Alpha != b.Alpha || a.Seed != b.Seed || !slices.Equal(a.Matrices, b.Matrices) {
		t.Errorf("got %+v; want %+v", a, b)
	}
	for _, pair := range [][2][]*tensors.Tensor{{a.Factors, b.Factors}, {got.M, want.M}, {got.V, want.V}, {got.Weights.Tensors, want.Weights.Tensors}} {
		if len(pair[0]) == 0 || !modeltest.Same(pair[0], pair[1]) {
			t.Error("a tensor differs")
		}
	}
	served, err := model.Load(path, nil, dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range served.Tensors {
		if err := want.Served(i, func(y *tensors.Tensor) error {
			if !modeltest.Same([]*tensors.Tensor{x}, []*tensors.Tensor{y}) {
				t.Errorf("tensor %d of the model is not what is served", i)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if path, err = Save(t.TempDir(), testContent(t, 3), nil); err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat(filepath.Join(path, adapterName))
	manifest, _ := os.ReadFile(filepath.Join(path, manifestName))
	if !errors.Is(err, fs.ErrNotExist) || strings.Contains(string(manifest), "adapter") {
		t.Errorf("a checkpoint without adapter: %v, %s", err, manifest)
	}
}

// Weights that are frozen in bf16 are kept so, and loaded as whoever goes on wants them.
func TestAdapterOnHalf(t *testing.T) {
	want, d := adapted(t), devicetest.Open(t, device.Go)
	half, err := want.Weights.Copy(d.Backend(), dtypes.BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Save(t.TempDir(), want, nil)
	if err != nil {
		t.Fatal(err)
	}
	want.Weights = half
	path, err := Save(t.TempDir(), want, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, dtype := range []dtypes.DType{dtypes.BFloat16, dtypes.Float32} {
		got, err := Load(path, d.Backend(), dtype)
		if err != nil {
			t.Fatal(err)
		}
		at, _, _, _ := got.Adapter.Specs(half.Config)
		for _, i := range at {
			if x := got.Weights.Tensors[i]; x.DType() != dtype || !slices.Equal(widened(x), widened(half.Tensors[i])) {
				t.Errorf("tensor %d, loaded as %s, differs", i, dtype)
			}
		}
	}
	large, err := os.Stat(filepath.Join(whole, adapterName))
	if err != nil {
		t.Fatal(err)
	}
	small, err := os.Stat(filepath.Join(path, adapterName))
	n := int64(len(widened(half.Tensors[3])) + len(widened(half.Tensors[7])))
	if err != nil || small.Size() > large.Size()-2*n+64 {
		t.Errorf("%d bytes, %v; want 2 a weight less than the %d of f32", small.Size(), err, large.Size())
	}
}

// widened are a tensor's values as f32.
func widened(x *tensors.Tensor) (all []float32) {
	x.MustConstFlatData(func(flat any) {
		switch flat := flat.(type) {
		case []float32:
			all = slices.Clone(flat)
		case []bfloat16.BFloat16:
			for _, v := range flat {
				all = append(all, v.Float32())
			}
		}
	})
	return all
}

// A manifest whose adapter does not suit the model, or its files, is an error.
func TestAdapterThatDoesNotFit(t *testing.T) {
	for old, now := range map[string]string{`"rank": 2`: `"rank": 3`, `"rank": 2,`: `"rank": 99999999999,`, `"rank": 2, `: ``, `"layer0_down"`: `"layer7_down"`,
		`"layer0_qkv"`: `"layer0_attn_norm"`, `"layer0_qkv",`: `"layer0_down",`} {
		path, err := Save(t.TempDir(), adapted(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(path, manifestName)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(strings.Join(strings.Fields(string(text)), " "), old, now, 1)
		if err := os.WriteFile(name, []byte(changed), 0o644); err != nil || !strings.Contains(changed, now) || strings.Contains(changed, old) {
			t.Fatalf("%s is not in the manifest: %v", old, err)
		}
		if _, err := Load(path, devicetest.Open(t, device.Go).Backend(), dtypes.Float32); err == nil || !strings.Contains(err.Error(), "cannot load the checkpoint") {
			t.Errorf("%s in place of %s: got %v", now, old, err)
		}
	}
}
