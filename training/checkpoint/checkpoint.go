// Package checkpoint keeps training state on disk: a Hugging Face folder that anything can load, beside it the optimizer's
// moments and a manifest that says what the folder is and guards every file by its SHA-256.
//
// A checkpoint appears whole or not at all: it is written under another name, synced, and renamed. The newest complete one wins.
package checkpoint

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"astro/internal/fault"
	"astro/internal/smallfile"
	"astro/model"
	"astro/model/safetensors"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// File names beside those of Hugging Face.
const (
	manifestName  = "manifest.json"
	optimizerName = "optimizer.safetensors"
)

// HalfPrefix begins the names of folders that are being written, or were when the process died.
const HalfPrefix = ".tmp-"

// formatVersion is that of the manifest; a reader refuses others.
const formatVersion = 1

// maxManifestBytes bounds what is read as a manifest.
const maxManifestBytes = 1 << 20

// Content is what a checkpoint holds.
type Content struct {
	Weights *model.Weights    // f32; with an Adapter as they are without it, f32 or bf16
	Adapter *Adapter          // that is trained in place of the weights; nil = they are trained themselves
	Served  Served            // with an Adapter, what Save writes as the model; nil after Load
	M, V    []*tensors.Tensor // AdamW's moments, f32, in the order and shapes of the weights, or of the Adapter's Factors
	Step    int               // updates made
	Owner   json.RawMessage   // what the owner needs to go on: its settings and where its data stood
}

// Served hands use the tensor at a place in the Layout as it is served; it is use's until that returns.
type Served func(at int, use func(*tensors.Tensor) error) error

// Manifest is manifest.json.
type Manifest struct {
	Format  int               `json:"format"`
	Step    int               `json:"step"`
	Owner   json.RawMessage   `json:"owner"`
	Adapter *Adapter          `json:"adapter,omitempty"`
	Files   map[string]string `json:"files"` // name to SHA-256 in hex, of every other file
}

// Name is the folder name of a step's checkpoint; names sort as steps do.
func Name(step int) string { return fmt.Sprintf("step-%09d", step) }

// Save writes content to parent/Name(content.Step) and returns that path. Extra, which may be nil, adds files (a tokenizer)
// to the folder before it is sealed. A complete checkpoint of the same step is replaced.
func Save(parent string, c Content, extra func(dir string) error) (string, error) {
	path := filepath.Join(parent, Name(c.Step))
	return path, SaveAt(path, c, extra)
}

// SaveAt is Save with a folder name of the caller's.
func SaveAt(path string, c Content, extra func(dir string) error) error {
	err := Write(path, func(dir string) error {
		if err := fill(dir, c); err != nil {
			return err
		}
		if extra != nil {
			if err := extra(dir); err != nil {
				return err
			}
		}
		return seal(dir, c)
	})
	if err != nil {
		return fmt.Errorf("cannot save the checkpoint of step %d: %w", c.Step, err)
	}
	return nil
}

// Verify checks every file of a checkpoint against its manifest, and gives the SHA-256 of that.
func Verify(dir string) ([]byte, error) {
	text, err := smallfile.Read(filepath.Join(dir, manifestName), maxManifestBytes)
	if err == nil {
		_, err = readManifest(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("the checkpoint %s: %w", dir, err)
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}

// Write makes the folder at path appear whole: fill writes into a hidden folder beside it, whose files are synced before it gets
// its name. An existing folder is replaced; a crash in between leaves the old one, the new one, or none but both hidden.
func Write(path string, fill func(dir string) error) error {
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(parent, HalfPrefix+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Chmod(dir, 0o755), fill(dir)); err != nil {
		return err
	}
	fault.Point(fault.CheckpointWritten)
	if err := syncFiles(dir); err != nil {
		return err
	}
	fault.Point(fault.CheckpointSynced)
	old := dir + ".old"
	defer os.RemoveAll(old)
	if err := os.Rename(path, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(dir, path); err != nil {
		return errors.Join(err, putBack(old, path))
	}
	fault.Point(fault.CheckpointRenamed)
	return safetensors.SyncDir(parent)
}

// putBack restores what was moved aside, if there was anything.
func putBack(old, path string) error {
	if err := os.Rename(old, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncFiles(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := safetensors.SyncDir(filepath.Join(dir, f.Name())); err != nil { // fsync works alike on files
			return err
		}
	}
	return safetensors.SyncDir(dir)
}

// fill writes the model, the adapter if there is one, and the moments.
func fill(dir string, c Content) error {
	served := c.Served
	if c.Adapter == nil {
		served = func(at int, use func(*tensors.Tensor) error) error { return use(c.Weights.Tensors[at]) }
	}
	if err := model.SaveEach(dir, c.Weights.Config, dtypes.Float32, served); err != nil {
		return err
	}
	fault.Point(fault.CheckpointPartial)
	specs, err := trained(c.Weights.Config, c.Adapter)
	if err == nil && c.Adapter != nil {
		err = c.Adapter.write(dir, c.Weights)
	}
	if err != nil {
		return err
	}
	var entries []safetensors.Entry
	for i, s := range specs {
		entries = append(entries, entry("m."+s.Name, s.Dims, c.M[i]), entry("v."+s.Name, s.Dims, c.V[i]))
	}
	return safetensors.WriteFile(filepath.Join(dir, optimizerName), entries, nil)
}

// seal writes the manifest over all files that are there.
func seal(dir string, c Content) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	m := Manifest{Format: formatVersion, Step: c.Step, Owner: c.Owner, Adapter: c.Adapter, Files: map[string]string{}}
	for _, f := range files {
		if m.Files[f.Name()], err = sum(filepath.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("the owner's state is no JSON: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, manifestName), append(text, '\n'), 0o644)
}

// Load reads the checkpoint in dir, with the weights' matrices as dtype (Float32 or BFloat16), and checks every file against its manifest. The
// caller owns the tensors.
func Load(dir string, backend compute.Backend, dtype dtypes.DType) (Content, error) {
	m, err := readManifest(dir)
	if err != nil {
		return Content{}, fmt.Errorf("cannot load the checkpoint %s: %w", dir, err)
	}
	c := Content{Step: m.Step, Owner: m.Owner, Adapter: m.Adapter}
	if c.Weights, err = model.Load(dir, backend, dtype, nil); err != nil {
		return Content{}, err
	}
	if c.Adapter != nil {
		err = c.Adapter.read(dir, c.Weights, backend, dtype)
	}
	if err == nil {
		c.M, c.V, err = readMoments(dir, c.Weights.Config, c.Adapter)
	}
	if err != nil {
		c.Weights.Free()
		return Content{}, fmt.Errorf("cannot load the checkpoint %s: %w", dir, err)
	}
	return c, nil
}

// Resume is Load for a run that goes on, with what the run kept of itself (Content.Owner); same says whether that is this run. other
// ends the error for a checkpoint of another one: "run; use another folder", for instance.
func Resume[O any](dir string, backend compute.Backend, dtype dtypes.DType, other string, same func(O) bool) (Content, O, error) {
	var was O
	c, err := Load(dir, backend, dtype)
	if err != nil {
		return c, was, err
	}
	if err := json.Unmarshal(c.Owner, &was); err != nil || !same(was) {
		return c, was, fmt.Errorf("the checkpoint %s is of another %s", dir, other)
	}
	return c, was, nil
}

// Newest is the path of the complete checkpoint with the most steps under parent; "" if there is none, as where parent is "". Folders
// that do not agree with their manifest are passed over.
func Newest(parent string) (string, error) {
	if parent == "" {
		return "", nil
	}
	dirs, err := os.ReadDir(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot look for checkpoints: %w", err)
	}
	slices.Reverse(dirs) // ReadDir sorts by name
	for _, d := range dirs {
		path := filepath.Join(parent, d.Name())
		if !strings.HasPrefix(d.Name(), "step-") {
			continue
		}
		if _, err := readManifest(path); err == nil {
			return path, nil
		}
	}
	return "", nil
}
