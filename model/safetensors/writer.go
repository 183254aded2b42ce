package safetensors

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Entry is a tensor to be written. Write streams its bytes (row-major, little endian), exactly as many as DType and Dims say;
// it is called once, so that one tensor at a time needs to be in memory.
type Entry struct {
	Name  string
	DType DType
	Dims  []int
	Write func(w io.Writer) error
}

// WriteFile writes a safetensors file at path in the order of entries. The file appears whole or not at all: it is written under
// another name, synced, renamed, and the folder synced. An existing file is replaced. Metadata may be nil; transformers
// wants {"format": "pt"}.
func WriteFile(path string, entries []Entry, metadata map[string]string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	renamed := false
	defer func() {
		if !renamed { // an error, or a panic on its way
			f.Close() // harmless when it is closed already
			os.Remove(f.Name())
		}
		if err != nil {
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	if err := writeAll(f, entries, metadata); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	renamed = true
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a folder durable: after it, a file that was created or renamed there survives a crash.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func writeAll(w io.Writer, entries []Entry, metadata map[string]string) error {
	header, sizes, err := encodeHeader(entries, metadata)
	if err != nil {
		return err
	}
	const bufferBytes = 1 << 20
	b := bufio.NewWriterSize(w, bufferBytes)
	if _, err := b.Write(header); err != nil {
		return err
	}
	for i, e := range entries {
		c := &counter{to: b}
		if err := e.Write(c); err != nil {
			return fmt.Errorf("tensor %q: %w", e.Name, err)
		}
		if c.bytes != sizes[i] {
			panic(fmt.Sprintf("BUG: tensor %q wrote %d bytes; want %d for %s %v", e.Name, c.bytes, sizes[i], e.DType, e.Dims))
		}
	}
	return b.Flush()
}

// encodeHeader makes the length and the JSON header, padded with spaces so that the data starts at a multiple of 8 bytes.
func encodeHeader(entries []Entry, metadata map[string]string) (header []byte, sizes []int64, err error) {
	object := map[string]any{}
	if metadata != nil {
		object[metadataKey] = metadata
	}
	offset := int64(0)
	for _, e := range entries {
		size, err := byteSize(e.DType, e.Dims)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", e.Name, err)
		}
		if _, ok := object[e.Name]; ok || e.Name == metadataKey {
			return nil, nil, fmt.Errorf("two tensors are named %q, or it is reserved", e.Name)
		}
		object[e.Name] = entry{DType: e.DType, Shape: append([]int{}, e.Dims...), Offsets: [2]int64{offset, offset + size}}
		sizes = append(sizes, size)
		offset += size
	}
	text, err := json.Marshal(object)
	if err != nil {
		return nil, nil, err
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	if len(text) > maxHeaderBytes {
		return nil, nil, fmt.Errorf("the header has %d bytes; the limit is %d", len(text), maxHeaderBytes)
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), sizes, nil
}

// counter counts what passes through it.
type counter struct {
	to    io.Writer
	bytes int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.bytes += int64(n)
	return n, err
}
