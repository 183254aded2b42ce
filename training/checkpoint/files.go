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

// readMoments reads both moments of every tensor of the layout.
func readMoments(dir string, c model.Config) (m, v []*tensors.Tensor, err error) {
	f, err := safetensors.OpenFile(filepath.Join(dir, optimizerName))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	byName := map[string]safetensors.Tensor{}
	for _, t := range f.Tensors {
		byName[t.Name] = t
	}
	read := func(name string, dims []int) *tensors.Tensor {
		t, ok := byName[name]
		if !ok || t.DType != safetensors.F32 || !slices.Equal(t.Dims, dims) {
			err = fmt.Errorf("%s has no tensor %s %v of type F32", optimizerName, name, dims)
			return nil
		}
		values := make([]float32, t.Len())
		t.Floats(values, 0)
		return tensors.FromFlatDataAndDimensions(values, dims...)
	}
	for _, s := range model.Layout(c) {
		m, v = append(m, read("m."+s.Name, s.Dims)), append(v, read("v."+s.Name, s.Dims))
	}
	return m, v, err
}
