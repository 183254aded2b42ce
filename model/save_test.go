package model_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"astro/model"
	"astro/model/modeltest"

	"github.com/gomlx/compute/dtypes"
)

const (
	f32  = dtypes.Float32
	bf16 = dtypes.BFloat16
)

// TestSaveThenLoad: every fixture survives a round trip, bit for bit where the type on disk holds its values.
func TestSaveThenLoad(t *testing.T) {
	b := backend(t)
	for _, f := range modeltest.Fixtures(t) {
		for _, stored := range []dtypes.DType{f32, bf16} {
			w, err := model.Load(f.Dir, b, stored, nil)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "saved")
			if err := model.Save(dir, w, f32); err != nil {
				t.Fatal(err)
			}
			again, err := model.Load(dir, b, stored, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(again.Config, w.Config) {
				t.Errorf("%s: saved %+v\nloaded %+v", f.Name, w.Config, again.Config)
			}
			for i := range w.Tensors {
				if !same(floats(t, w.Tensors[i]), floats(t, again.Tensors[i])) {
					t.Errorf("%s: tensor %d changed", f.Name, i)
				}
			}
			w.Free()
			again.Free()
		}
	}
}

// TestSaveBF16 halves the file and keeps what bf16 holds.
func TestSaveBF16(t *testing.T) {
	b := backend(t)
	w, err := model.Load(modeltest.Named(t, "gqa-tied-bf16").Dir, b, f32, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "saved")
	if err := model.Save(dir, w, bf16); err != nil {
		t.Fatal(err)
	}
	again, err := model.Load(dir, b, f32, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.Tensors { // they came from bf16, so nothing may be lost
		if !same(floats(t, w.Tensors[i]), floats(t, again.Tensors[i])) {
			t.Errorf("tensor %d changed", i)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "model.safetensors"))
	if err != nil || info.Size() < 2*w.Config.Params() || info.Size() > 2*w.Config.Params()+10_000 {
		t.Errorf("%v: the file has %d bytes for %d parameters", err, info.Size(), w.Config.Params())
	}
}

// TestSaveIsAtomic: an existing folder is left alone, and a failure leaves nothing behind.
func TestSaveIsAtomic(t *testing.T) {
	w, err := model.Load(modeltest.Named(t, "mha").Dir, backend(t), f32, nil)
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	dir := filepath.Join(parent, "saved")
	if err := model.Save(dir, w, f32); err != nil {
		t.Fatal(err)
	}
	if err := model.Save(dir, w, f32); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("saving twice: got %v", err)
	}
	w.Tensors[3].MustFinalizeAll() // the device fails in the middle
	if err := model.Save(filepath.Join(parent, "failed"), w, f32); err == nil {
		t.Error("saving a freed tensor succeeded")
	}
	left, err := os.ReadDir(parent)
	if err != nil || len(left) != 1 || left[0].Name() != "saved" {
		t.Errorf("%v: the parent holds %v; want only saved", err, left)
	}
}

// TestTransformersReadsOurs loads what Save wrote with transformers itself and compares its greedy tokens with the golden ones.
func TestTransformersReadsOurs(t *testing.T) {
	python := os.Getenv("ASTRO_PYTHON")
	if python == "" {
		t.Skip("ASTRO_PYTHON is not set; it names a Python that has torch and transformers")
	}
	b := backend(t)
	args := []string{filepath.Join("testdata", "check_folder.py")}
	for _, f := range modeltest.Fixtures(t) {
		w, err := model.Load(f.Dir, b, f32, nil)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), f.Name)
		if err := model.Save(dir, w, f32); err != nil {
			t.Fatal(err)
		}
		args = append(args, dir, filepath.Join(f.Dir, "golden.json"))
	}
	if out, err := exec.Command(python, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
