package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"astro/internal/smallfile"
	"astro/model"
	"astro/model/safetensors"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// readManifest reads manifest.json and checks the files that it names.
func readManifest(dir string) (Manifest, error) {
	var m Manifest
	path := filepath.Join(dir, manifestName)
	text, err := smallfile.Read(path, maxManifestBytes)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%s: %w", manifestName, err)
	}
	if m.Format != formatVersion {
		return m, fmt.Errorf("%s has format %d; this program reads %d", manifestName, m.Format, formatVersion)
	}
	for name, want := range m.Files {
		got, err := sum(filepath.Join(dir, filepath.Base(name)))
		if err != nil {
			return m, err
		}
		if got != want {
			return m, fmt.Errorf("%s is damaged: its SHA-256 is %.12s..., the manifest says %.12s...", name, got, want)
		}
	}
	return m, nil
}

func sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// entry streams a tensor, f32 or bf16.
func entry(name string, dims []int, t *tensors.Tensor) safetensors.Entry {
	dtype := safetensors.F32
	if t.DType() == dtypes.BFloat16 {
		dtype = safetensors.BF16
	}
	return safetensors.Entry{Name: name, DType: dtype, Dims: dims, Write: func(w io.Writer) error {
		var failed error
		err := t.ConstFlatData(func(flat any) { _, failed = w.Write(dtypes.UnsafeByteSliceFromAny(flat)) })
		if t.IsOnAnyDevice() {
			t.FinalizeLocal() // the host's copy
		}
		return errors.Join(err, failed)
	}}
}

// readMoments reads both moments of everything that is trained.
func readMoments(dir string, c model.Config, a *Adapter) (m, v []*tensors.Tensor, err error) {
	specs, err := trained(c, a)
	if err != nil {
		return nil, nil, err
	}
	f, err := safetensors.OpenFile(filepath.Join(dir, optimizerName))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	all, err := readTensors(f, optimizerName, slices.Concat(named("m.", specs), named("v.", specs)))
	if err != nil {
		return nil, nil, err
	}
	return all[:len(specs):len(specs)], all[len(specs):], nil
}

// readTensors reads f32 tensors of a file into the host's memory.
func readTensors(f *safetensors.File, name string, want []model.TensorSpec) ([]*tensors.Tensor, error) {
	var all []*tensors.Tensor
	for _, s := range want {
		t, err := find(f, name, s, safetensors.F32)
		if err != nil {
			return nil, err
		}
		values := make([]float32, t.Len())
		t.Floats(values, 0)
		all = append(all, tensors.FromFlatDataAndDimensions(values, s.Dims...))
	}
	return all, nil
}

// find is a tensor of the named file, in one of some types.
func find(f *safetensors.File, name string, s model.TensorSpec, types ...safetensors.DType) (safetensors.Tensor, error) {
	for _, t := range f.Tensors {
		if t.Name == s.Name && slices.Contains(types, t.DType) && slices.Equal(t.Dims, s.Dims) {
			return t, nil
		}
	}
	return safetensors.Tensor{}, fmt.Errorf("%s has no tensor %s %v of type %v", name, s.Name, s.Dims, types)
}
