// Package gguf reads model files in the GGUF format: a header of metadata (key, type, value) and of tensors (name, dimensions, type,
// offset), then the tensors' bytes, plain or in blocks of few bits a value. Files come from strangers: every count and size is compared
// with the bytes that are there before anything of that size is allocated.
package gguf

import (
	"fmt"
	"os"
	"slices"
	"syscall"

	"astro/internal/smallfile"
)

// maxFileBytes bounds one file, far above any published one, so that sizes never overflow.
const maxFileBytes = 1 << 44

// File is one open GGUF file, mapped read-only. It is safe for concurrent reads; Close ends the life of its tensors. The file must not
// be truncated while it is open: the operating system would end the process with a fault.
type File struct {
	Tensors []Tensor // in the order of their bytes
	values  map[string]value
	byName  map[string]int // index in Tensors
	mapped  []byte
}

// Is says whether a model's place is a file, which must be GGUF then, and not a folder.
func Is(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// OpenFile maps the file at path and checks its header. Errors name the file and what is wrong with it.
func OpenFile(path string) (*File, error) {
	mapped, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("opening GGUF file: %w", err)
	}
	f, err := parse(mapped)
	if err != nil {
		syscall.Munmap(mapped)
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return f, nil
}

// Close unmaps the file. No tensor of it may be read afterwards; what the Keys gave is copied and stays.
func (f *File) Close() error {
	mapped := f.mapped
	f.mapped, f.Tensors, f.byName, f.values = nil, nil, nil, nil
	if mapped == nil {
		return nil
	}
	return syscall.Munmap(mapped)
}

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Names lists the tensors in alphabetical order.
func (f *File) Names() []string {
	names := make([]string, 0, len(f.Tensors))
	for _, t := range f.Tensors {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}

// mapFile maps a whole regular file. The mapping outlives the descriptor.
func mapFile(path string) ([]byte, error) {
	f, info, err := smallfile.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if n := info.Size(); n < headBytes || n > maxFileBytes {
		return nil, fmt.Errorf("%s has %d bytes; a GGUF file has %d to %d", path, n, headBytes, int64(maxFileBytes))
	}
	mapped, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", path, err)
	}
	return mapped, nil
}
