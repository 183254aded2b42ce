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

	"github.com/gomlx/gomlx/core/tensors"
)

// adapted is testContent with an adapter on two matrices.
func adapted(t *testing.T) Content {
	t.Helper()
	c := testContent(t, 3)
	c.Adapter = &Adapter{Rank: 2, Alpha: 4, Seed: 1 << 63, Matrices: []string{"layer0_qkv", "layer0_down"}}
	_, matrices, factors, err := c.Adapter.Specs(c.Weights.Config)
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
	c.Adapter.Base, c.Adapter.Factors, c.M, c.V = fill(matrices), fill(factors), fill(factors), fill(factors)
	return c
}

// An adapter and its moments are loaded bit for bit; a checkpoint without one says nothing of it.
func TestAdapterIsKept(t *testing.T) {
	want := adapted(t)
	path, err := Save(t.TempDir(), want, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(path, devicetest.Open(t, device.Go).Backend())
	if err != nil {
		t.Fatal(err)
	}
	a, b := got.Adapter, want.Adapter
	if a.Rank != b.Rank || a.Alpha != b.Alpha || a.Seed != b.Seed || !slices.Equal(a.Matrices, b.Matrices) {
		t.Errorf("got %+v; want %+v", a, b)
	}
	for _, pair := range [][2][]*tensors.Tensor{{a.Base, b.Base}, {a.Factors, b.Factors}, {got.M, want.M}, {got.V, want.V}, {got.Weights.Tensors, want.Weights.Tensors}} {
		if len(pair[0]) == 0 || !modeltest.Same(pair[0], pair[1]) {
			t.Error("a tensor differs")
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
		if _, err := Load(path, devicetest.Open(t, device.Go).Backend()); err == nil || !strings.Contains(err.Error(), "cannot load the checkpoint") {
			t.Errorf("%s in place of %s: got %v", now, old, err)
		}
	}
}
