package checkpoint

import (
	"encoding/json"
	"errors"
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
	"github.com/gomlx/gomlx/core/tensors"
)

// testContent is a tiny model with moments that differ from tensor to tensor.
func testContent(t *testing.T, step int) Content {
	t.Helper()
	c := model.Config{Vocab: 8, Hidden: 8, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 4, FFN: 8, MaxPositions: 16, NormEps: 1e-5,
		TiedHead: true, Rope: model.Rope{Theta: 1e4}, BOS: 1, EOS: []int32{2}, InitStd: .02}
	w, err := model.Random(c, 1, devicetest.Open(t, device.Go).Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	content := Content{Weights: w, Step: step, Owner: json.RawMessage(`{"note": "test"}`)}
	for i, s := range model.Layout(c) {
		values := make([]float32, s.Len())
		for j := range values {
			values[j] = float32(i*1000+j) / 7
		}
		content.M = append(content.M, tensors.FromFlatDataAndDimensions(values, s.Dims...))
		content.V = append(content.V, tensors.FromFlatDataAndDimensions(values, s.Dims...))
	}
	return content
}

// What is saved is loaded, bit for bit, with the files that the owner added; and it is a model folder for everybody else.
func TestSaveAndLoad(t *testing.T) {
	want := testContent(t, 7)
	path, err := Save(t.TempDir(), want, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "extra.txt"), []byte("x"), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(path, devicetest.Open(t, device.Go).Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2][]*tensors.Tensor{{got.Weights.Tensors, want.Weights.Tensors}, {got.M, want.M}, {got.V, want.V}} {
		if !modeltest.Same(pair[0], pair[1]) {
			t.Error("a tensor differs")
		}
	}
	var owner struct{ Note string }
	if json.Unmarshal(got.Owner, &owner); got.Step != 7 || owner.Note != "test" {
		t.Errorf("got step %d, owner %s", got.Step, got.Owner)
	}
	if _, err := model.LoadConfig(path); err != nil {
		t.Errorf("it is no model folder: %v", err)
	}
}

// The newest complete checkpoint wins; damaged and half-written ones are passed over, and loading one says what is wrong.
func TestNewest(t *testing.T) {
	parent := t.TempDir()
	if path, err := Newest(filepath.Join(parent, "none")); path != "" || err != nil {
		t.Errorf("no folder: got %q, %v", path, err)
	}
	for _, step := range []int{5, 100, 20} {
		if _, err := Save(parent, testContent(t, step), nil); err != nil {
			t.Fatal(err)
		}
	}
	f := func(want int) {
		t.Helper()
		if path, err := Newest(parent); err != nil || filepath.Base(path) != Name(want) {
			t.Errorf("got %q, %v; want step %d", path, err, want)
		}
	}
	f(100)
	damaged := filepath.Join(parent, Name(100), optimizerName)
	bytes, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	bytes[len(bytes)-1] ^= 1
	if err := os.WriteFile(damaged, bytes, 0o644); err != nil {
		t.Fatal(err)
	}
	f(20)
	if _, err := Load(filepath.Dir(damaged), devicetest.Open(t, device.Go).Backend(), dtypes.Float32); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged checkpoint: got %v", err)
	}
	os.Remove(filepath.Join(parent, Name(20), manifestName)) // as if the crash came before the seal
	f(5)
}

// A folder appears whole or not at all, and a failure leaves the old one.
func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "models", "m")
	write := func(text string, err error) error {
		return Write(path, func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, text), []byte(text), 0o644), err)
		})
	}
	f := func(want ...string) {
		t.Helper()
		for dir, want := range map[string][]string{path: want, filepath.Dir(path): {"m"}} {
			var got []string
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				got = append(got, e.Name())
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s holds %v; want %v", dir, got, want)
			}
		}
	}
	if err := write("one", nil); err != nil {
		t.Fatal(err)
	}
	f("one")
	if err := write("two", errors.New("disk full")); err == nil {
		t.Error("no error")
	}
	f("one")
	if err := write("two", nil); err != nil {
		t.Fatal(err)
	}
	f("two")
}
