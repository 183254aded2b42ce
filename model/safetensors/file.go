package safetensors

import (
	"fmt"
	"syscall"

	"astro/internal/smallfile"
)

// maxFileBytes bounds one file, far above any published shard, so that sizes never overflow.
const maxFileBytes = 1 << 44

// File is one open safetensors file, mapped read-only. It is safe for concurrent reads; Close ends the life of its tensors.
// The file must not be truncated while it is open: the operating system would end the process with a fault.
type File struct {
	Tensors  []Tensor          // in the order of their bytes
	Metadata map[string]string // the header's free-form strings; may be nil
	mapped   []byte
}

// OpenFile maps the file at path and checks its header. Errors name the file and what is wrong with it.
func OpenFile(path string) (*File, error) {
	mapped, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("opening safetensors file: %w", err)
	}
	tensors, metadata, err := parse(mapped)
	if err != nil {
		syscall.Munmap(mapped)
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return &File{Tensors: tensors, Metadata: metadata, mapped: mapped}, nil
}

// Close unmaps the file. No tensor of it may be read afterwards.
func (f *File) Close() error {
	mapped := f.mapped
	f.mapped, f.Tensors = nil, nil
	if mapped == nil {
		return nil
	}
	return syscall.Munmap(mapped)
}

// mapFile maps a whole regular file. The mapping outlives the descriptor.
func mapFile(path string) ([]byte, error) {
	f, info, err := smallfile.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if n := info.Size(); n < lengthBytes || n > maxFileBytes {
		return nil, fmt.Errorf("%s has %d bytes; want %d to %d", path, n, lengthBytes, int64(maxFileBytes))
	}
	mapped, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", path, err)
	}
	return mapped, nil
}
