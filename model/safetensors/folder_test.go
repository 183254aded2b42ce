package safetensors

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shard writes a file of one-byte tensors.
func shard(t *testing.T, dir, name string, values map[string]byte) {
	t.Helper()
	var entries []Entry
	for tensor, v := range values {
		entries = append(entries, Entry{tensor, "U8", []int{1}, write([]byte{v})})
	}
	if err := WriteFile(filepath.Join(dir, name), entries, nil); err != nil {
		t.Fatal(err)
	}
}

func index(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, IndexName), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOpenFolderSharded(t *testing.T) {
	dir := t.TempDir()
	shard(t, dir, "one.safetensors", map[string]byte{"a": 1, "b": 9, "stray": 9})
	shard(t, dir, "two.safetensors", map[string]byte{"b": 2})
	index(t, dir, `{"metadata": {"total_size": 2}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}`)
	c, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !slices.Equal(c.Names(), []string{"a", "b"}) {
		t.Errorf("names are %v; what the index does not list is not there", c.Names())
	}
	for name, want := range map[string]byte{"a": 1, "b": 2} { // the index, not the order of files, decides where b is
		if x, ok := c.Tensor(name); !ok || x.Data[0] != want {
			t.Errorf("%s is %v, %v; want %d", name, ok, x.Data, want)
		}
	}
	if _, ok := c.Tensor("c"); ok {
		t.Error("found a tensor that is not there")
	}
}

// TestOpenFolderLikesTheCache: the Hugging Face cache keeps files elsewhere and links to them.
func TestOpenFolderLikesTheCache(t *testing.T) {
	blobs, dir := t.TempDir(), t.TempDir()
	shard(t, blobs, "0123abcd", map[string]byte{"a": 1})
	if err := os.Symlink(filepath.Join(blobs, "0123abcd"), filepath.Join(dir, SingleName)); err != nil {
		t.Fatal(err)
	}
	c, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestSec_R18IndexStaysInTheFolder: a name that would reach outside is refused before anything is opened.
func TestSec_R18IndexStaysInTheFolder(t *testing.T) {
	outside := t.TempDir()
	shard(t, outside, "secret.safetensors", map[string]byte{"a": 1})
	dir := filepath.Join(outside, "model")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../secret.safetensors", filepath.Join(outside, "secret.safetensors"), "sub/x.safetensors",
		`..\\secret.safetensors`, "..", "", ".hidden.safetensors", "/etc/passwd", "x.bin", `x\u0000.safetensors`} {
		index(t, dir, fmt.Sprintf(`{"weight_map": {"a": "%s"}}`, name))
		if _, err := OpenFolder(dir); err == nil || !strings.Contains(err.Error(), "is not a plain *.safetensors file name") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSec_R18OpenFolderRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(dir string)
		want string
	}{
		{"nothing there", func(string) {}, "has neither model.safetensors nor model.safetensors.index.json"},
		{"another format", func(dir string) {
			os.WriteFile(filepath.Join(dir, "pytorch_model-00001-of-00002.bin"), nil, 0o644)
		}, "has pytorch_model-00001-of-00002.bin, but only safetensors is supported"},
		{"a folder", func(dir string) { os.Mkdir(filepath.Join(dir, SingleName), 0o755) }, "is not a regular file"},
		{"an empty file", func(dir string) { os.WriteFile(filepath.Join(dir, SingleName), nil, 0o644) }, "has 0 bytes"},
		{"broken file", func(dir string) { os.WriteFile(filepath.Join(dir, SingleName), file("{", ""), 0o644) }, SingleName + ": reading the header"},
		{"broken index", func(dir string) { index(t, dir, "{") }, IndexName},
		{"empty index", func(dir string) { index(t, dir, "{}") }, "weight_map has 0 tensors"},
		{"huge index", func(dir string) { index(t, dir, strings.Repeat(" ", maxIndexBytes+1)) }, "more than 33554432 bytes"},
		{"missing shard", func(dir string) { index(t, dir, `{"weight_map": {"a": "x.safetensors"}}`) }, "x.safetensors"},
		{"wrong shard", func(dir string) {
			shard(t, dir, "x.safetensors", map[string]byte{"b": 1})
			index(t, dir, `{"weight_map": {"a": "x.safetensors", "b": "x.safetensors"}}`)
		}, `says that x.safetensors holds tensor "a", but it does not`},
	} {
		dir := t.TempDir()
		c.make(dir)
		if _, err := OpenFolder(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want an error with %q", c.name, err, c.want)
		}
	}
}
