package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"astro/internal/smallfile"
	"astro/model"
	"astro/model/safetensors"

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

// entry streams an f32 tensor.
func entry(name string, dims []int, t *tensors.Tensor) safetensors.Entry {
	return safetensors.Entry{Name: name, DType: safetensors.F32, Dims: dims, Write: func(w io.Writer) error {
		var failed error
		err := tensors.ConstFlatData(t, func(flat []float32) { failed = binary.Write(w, binary.LittleEndian, flat) })
		if err != nil {
			return err
		}
		return failed
	}}
}

// readMoments reads both moments of everything that is trained.
func readMoments(dir string, c model.Config, a *Adapter) (m, v []*tensors.Tensor, err error) {
	specs, err := trained(c, a)
	if err != nil {
		return nil, nil, err
	}
	all, err := readTensors(dir, optimizerName, slices.Concat(named("m.", specs), named("v.", specs)))
	if err != nil {
		return nil, nil, err
	}
	return all[:len(specs):len(specs)], all[len(specs):], nil
}

// readTensors reads f32 tensors of a file.
func readTensors(dir, name string, want []model.TensorSpec) ([]*tensors.Tensor, error) {
	f, err := safetensors.OpenFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	byName := map[string]safetensors.Tensor{}
	for _, t := range f.Tensors {
		byName[t.Name] = t
	}
	var all []*tensors.Tensor
	for _, s := range want {
		t, ok := byName[s.Name]
		if !ok || t.DType != safetensors.F32 || !slices.Equal(t.Dims, s.Dims) {
			return nil, fmt.Errorf("%s has no tensor %s %v of type F32", name, s.Name, s.Dims)
		}
		values := make([]float32, t.Len())
		t.Floats(values, 0)
		all = append(all, tensors.FromFlatDataAndDimensions(values, s.Dims...))
	}
	return all, nil
}
