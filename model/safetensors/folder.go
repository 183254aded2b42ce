package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"astro/internal/smallfile"
	"astro/internal/strictjson"
)

// The names that Hugging Face gives a checkpoint's files.
const (
	SingleName = "model.safetensors"
	IndexName  = "model.safetensors.index.json"
)

// Limits of a sharded checkpoint's index.
const (
	maxIndexBytes = 32 << 20
	maxShards     = 4096
)

// Folder is an open checkpoint: one file, or shards that an index lists. Close ends the life of its tensors.
type Folder struct {
	tensors map[string]Tensor
	files   []*File
}

// OpenFolder opens the checkpoint in dir: model.safetensors, else the shards of model.safetensors.index.json.
// Shard names are plain file names, so an index cannot reach outside dir; the file itself may be a symbolic link, as
// it is in the Hugging Face cache.
func OpenFolder(dir string) (*Folder, error) {
	path := filepath.Join(dir, SingleName)
	if _, err := os.Stat(path); err == nil {
		return openSingle(path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening checkpoint: %w", err)
	}
	shardOf, err := readIndex(filepath.Join(dir, IndexName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noCheckpoint(dir)
	}
	if err != nil {
		return nil, err
	}
	return openShards(dir, shardOf)
}

// Tensor finds a tensor by name.
func (c *Folder) Tensor(name string) (Tensor, bool) {
	t, ok := c.tensors[name]
	return t, ok
}

// Names lists the tensors in alphabetical order.
func (c *Folder) Names() []string {
	names := make([]string, 0, len(c.tensors))
	for name := range c.tensors {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Close unmaps every file. No tensor of the checkpoint may be read afterwards.
func (c *Folder) Close() error {
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	c.tensors, c.files = nil, nil
	return errors.Join(errs...)
}

func openSingle(path string) (*Folder, error) {
	f, err := OpenFile(path)
	if err != nil {
		return nil, err
	}
	c := &Folder{tensors: map[string]Tensor{}, files: []*File{f}}
	for _, t := range f.Tensors {
		c.tensors[t.Name] = t
	}
	return c, nil
}

// openShards opens each shard once and takes from it the tensors that the index places there.
func openShards(dir string, shardOf map[string]string) (*Folder, error) {
	c := &Folder{tensors: map[string]Tensor{}}
	for _, shard := range shardNames(shardOf) {
		f, err := OpenFile(filepath.Join(dir, shard))
		if err != nil {
			c.Close()
			return nil, err
		}
		c.files = append(c.files, f)
		for _, t := range f.Tensors {
			if shardOf[t.Name] == shard {
				c.tensors[t.Name] = t
			}
		}
	}
	for name, shard := range shardOf {
		if _, ok := c.tensors[name]; !ok {
			c.Close()
			return nil, fmt.Errorf("reading checkpoint %s: %s says that %s holds tensor %q, but it does not", dir, IndexName, shard, clip(name))
		}
	}
	return c, nil
}

// readIndex gives the shard of every tensor.
func readIndex(path string) (map[string]string, error) {
	data, err := smallfile.Read(path, maxIndexBytes)
	if err != nil {
		return nil, err
	}
	if err := strictjson.Check(data); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(index.WeightMap) == 0 || len(index.WeightMap) > maxTensors {
		return nil, fmt.Errorf("reading %s: weight_map has %d tensors; want 1 to %d", path, len(index.WeightMap), maxTensors)
	}
	shards := shardNames(index.WeightMap)
	if len(shards) > maxShards {
		return nil, fmt.Errorf("reading %s: %d shards; the limit is %d", path, len(shards), maxShards)
	}
	for _, shard := range shards {
		if !plainName(shard) {
			return nil, fmt.Errorf("reading %s: shard %q is not a plain *.safetensors file name", path, clip(shard))
		}
	}
	return index.WeightMap, nil
}

// plainName says whether name is a file of the folder itself: no separators, no "..", nothing hidden.
func plainName(name string) bool {
	return strings.HasSuffix(name, ".safetensors") && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, "/\\\x00")
}

func shardNames(shardOf map[string]string) []string {
	var names []string
	for _, shard := range shardOf {
		names = append(names, shard)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// noCheckpoint says what was looked for, and names a checkpoint in another format when there is one.
func noCheckpoint(dir string) error {
	if found, _ := filepath.Glob(filepath.Join(dir, "*.gguf")); len(found) > 0 {
		return fmt.Errorf("opening checkpoint: %s has no safetensors file; it has %s: give the path of that file to load it", dir, filepath.Base(found[0]))
	}
	for _, pattern := range []string{"pytorch_model*.bin", "consolidated*.pth"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return fmt.Errorf("opening checkpoint: %s has %s, but only safetensors is supported; "+
				"convert it with transformers: save_pretrained(..., safe_serialization=True)", dir, filepath.Base(found[0]))
		}
	}
	return fmt.Errorf("opening checkpoint: %s has neither %s nor %s; is it a Hugging Face model folder?", dir, SingleName, IndexName)
}
