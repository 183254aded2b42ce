package gguf

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Limits of a header. The largest published Llamas have about 1,200 tensors and 60 keys.
const (
	maxKeys      = 1 << 12
	maxTensors   = 1 << 16
	maxRank      = 4
	maxNameBytes = 512
	maxAlignment = 1 << 20
	headBytes    = 24 // magic, version and the two counts
)

// The format's constants.
const (
	magic            = "GGUF"
	defaultAlignment = 32
	alignmentKey     = "general.alignment"
)

// parse reads the header in front of file, the bytes of a whole GGUF file. Tensors and values view file.
func parse(file []byte) (*File, error) {
	c := &cursor{file: file}
	tensors, keys, err := c.head()
	if err != nil {
		return nil, err
	}
	f := &File{values: map[string]value{}, byName: map[string]int{}, mapped: file}
	for i := range keys {
		if err := c.key(f.values); err != nil {
			return nil, fmt.Errorf("metadata key %d of %d: %w", i+1, keys, err)
		}
	}
	var infos []info
	for i := range tensors {
		t, err := c.tensor()
		if err != nil {
			return nil, fmt.Errorf("tensor %d of %d: %w", i+1, tensors, err)
		}
		infos = append(infos, t)
	}
	alignment, err := f.alignment()
	if err != nil {
		return nil, err
	}
	return f, f.place(infos, file, aligned(uint64(c.at), alignment), alignment)
}

// cursor reads a file from its beginning on.
type cursor struct {
	file []byte
	at   int
}

// take gives the next n bytes.
func (c *cursor) take(n uint64) ([]byte, error) {
	if n > uint64(len(c.file)-c.at) {
		return nil, fmt.Errorf("at byte %d it wants %d bytes, but %d follow; the file is cut short or damaged", c.at, n, len(c.file)-c.at)
	}
	from := c.at
	c.at += int(n)
	return c.file[from:c.at], nil
}

func (c *cursor) uint32() (uint32, error) {
	b, err := c.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (c *cursor) uint64() (uint64, error) {
	b, err := c.take(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// text gives the bytes of a string: a length, then as many bytes.
func (c *cursor) text() ([]byte, error) {
	n, err := c.uint64()
	if err != nil {
		return nil, err
	}
	return c.take(n)
}

// name is a string that is short and UTF-8.
func (c *cursor) name() (string, error) {
	text, err := c.text()
	if err != nil {
		return "", err
	}
	if len(text) == 0 || len(text) > maxNameBytes || !utf8.Valid(text) {
		return "", fmt.Errorf("a name has %d bytes or is not UTF-8; want 1 to %d", len(text), maxNameBytes)
	}
	return string(text), nil
}

// head reads what a file begins with.
func (c *cursor) head() (tensors, keys uint64, err error) {
	b, err := c.take(headBytes)
	if err != nil {
		return 0, 0, err
	}
	version := binary.LittleEndian.Uint32(b[4:])
	tensors, keys = binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	switch {
	case string(b[:4]) != magic:
		return 0, 0, fmt.Errorf("it begins with %q and not with %q; want a GGUF file or a Hugging Face folder", b[:4], magic)
	case version<<16 == 0 && version != 0:
		return 0, 0, errors.New("it is in big-endian byte order; supported are little-endian files")
	case version < 2 || version > 3:
		return 0, 0, fmt.Errorf("GGUF version %d is not supported; supported are 2 and 3", version)
	case keys > maxKeys || tensors > maxTensors:
		return 0, 0, fmt.Errorf("it claims %d metadata keys and %d tensors; the limits are %d and %d", keys, tensors, maxKeys, maxTensors)
	}
	return tensors, keys, nil
}

// key reads one key with its value.
func (c *cursor) key(values map[string]value) error {
	name, err := c.name()
	if err != nil {
		return err
	}
	if _, twice := values[name]; twice {
		return fmt.Errorf("the file has the key %q twice", name)
	}
	kind, err := c.uint32()
	if err == nil {
		values[name], err = c.value(kind)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return nil
}

// info is a tensor's entry in the header. Its offset is relative to the beginning of the data.
type info struct {
	Tensor
	offset, bytes uint64
}

func (c *cursor) tensor() (info, error) {
	name, err := c.name()
	if err != nil {
		return info{}, err
	}
	t := info{Tensor: Tensor{Name: name}}
	if err := c.shape(&t); err != nil {
		return info{}, fmt.Errorf("%q: %w", name, err)
	}
	return t, nil
}

// shape reads dimensions, type and offset, and what they mean in bytes. The file has the fastest dimension first.
func (c *cursor) shape(t *info) error {
	rank, err := c.uint32()
	if err != nil {
		return err
	}
	if rank < 1 || rank > maxRank {
		return fmt.Errorf("%d dimensions; want 1 to %d", rank, maxRank)
	}
	n := uint64(1)
	for range rank {
		d, err := c.uint64()
		if err != nil {
			return err
		}
		if d < 1 || d > maxFileBytes/n {
			return fmt.Errorf("dimension %d is 0, or the tensor exceeds %d values", d, int64(maxFileBytes))
		}
		n *= d
		t.Dims = append(t.Dims, int(d))
	}
	kind, err := c.uint32()
	if err != nil {
		return err
	}
	t.Type = Type(kind)
	if t.bytes, err = byteSize(t.Type, n, t.Dims[0]); err != nil {
		return err
	}
	slices.Reverse(t.Dims)
	t.offset, err = c.uint64()
	return err
}

// byteSize is the size of n values in rows of the given length.
func byteSize(t Type, n uint64, row int) (uint64, error) {
	k, ok := kinds[t]
	if !ok {
		return 0, fmt.Errorf("type %s is not supported; supported are %s", t, supported())
	}
	if row%k.values != 0 {
		return 0, fmt.Errorf("rows of %d values; those of type %s have a multiple of %d", row, t, k.values)
	}
	return n / uint64(k.values) * uint64(k.bytes), nil
}

// alignment is what tensors' offsets are multiples of.
func (f *File) alignment() (uint64, error) {
	k := f.Keys()
	a := k.Int(alignmentKey, defaultAlignment)
	if k.Err != nil {
		return 0, k.Err
	}
	if a < 1 || a > maxAlignment || a&(a-1) != 0 {
		return 0, fmt.Errorf("%s is %d; want a power of two up to %d", alignmentKey, a, maxAlignment)
	}
	return uint64(a), nil
}

func aligned(at, alignment uint64) uint64 { return (at + alignment - 1) / alignment * alignment }

// place gives tensors their bytes and demands what the format does: they follow each other from the beginning of the data on, with
// nothing but the filling up to the alignment between them. A file that was cut short, or in which tensors overlap, fails here.
func (f *File) place(infos []info, file []byte, start, alignment uint64) error {
	slices.SortStableFunc(infos, func(a, b info) int { return cmp.Compare(a.offset, b.offset) })
	end := uint64(0)
	for i, t := range infos {
		if _, twice := f.byName[t.Name]; twice {
			return fmt.Errorf("the file has the tensor %q twice", t.Name)
		}
		if want := aligned(end, alignment); t.offset != want {
			return fmt.Errorf("tensor %q starts at byte %d of the data; by what is before it, it would at %d", t.Name, t.offset, want)
		}
		end = t.offset + t.bytes
		if start+end > uint64(len(file)) {
			return fmt.Errorf("tensor %q ends at byte %d, but the file has %d; it is cut short", t.Name, start+end, len(file))
		}
		t.Data = file[start+t.offset : start+end]
		f.byName[t.Name] = i
		f.Tensors = append(f.Tensors, t.Tensor)
	}
	return nil
}
