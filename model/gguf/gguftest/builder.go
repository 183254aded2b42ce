// Package gguftest writes GGUF files for tests, as they should be and as they should not.
package gguftest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// File is what a GGUF file will hold.
type File struct {
	Version   uint32         // 0 = 3
	Keys      map[string]any // bool, int32, uint32, uint64, float32, float64, string, []string, []int32, []float32, or Raw
	Tensors   []Tensor
	Alignment int // of the data; 0 = 32. The key is the caller's.
}

// Raw is a value of the metadata in bytes: its kind and what follows.
type Raw []byte

// Tensor is one array: dimensions as the file has them (the fastest first), the type's number, the bytes.
type Tensor struct {
	Name string
	Dims []uint64
	Type uint32
	Data []byte
}

// Bytes writes the file.
func (f File) Bytes() []byte {
	version, alignment := f.Version, f.Alignment
	if version == 0 {
		version = 3
	}
	if alignment == 0 {
		alignment = 32
	}
	b := binary.LittleEndian.AppendUint32([]byte("GGUF"), version)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(f.Tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(f.Keys)))
	for _, key := range slices.Sorted(maps.Keys(f.Keys)) {
		b = appendValue(appendText(b, key), f.Keys[key])
	}
	var data []byte
	for _, t := range f.Tensors {
		b = binary.LittleEndian.AppendUint32(appendText(b, t.Name), uint32(len(t.Dims)))
		for _, d := range t.Dims {
			b = binary.LittleEndian.AppendUint64(b, d)
		}
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(b, t.Type), uint64(len(data)))
		data = fill(append(data, t.Data...), alignment)
	}
	return append(fill(b, alignment), data...)
}

func fill(b []byte, alignment int) []byte {
	return append(b, make([]byte, (alignment-len(b)%alignment)%alignment)...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// appendValue writes a value's kind and bytes.
func appendValue(b []byte, v any) []byte {
	kinds := map[string]uint32{"bool": 7, "int32": 5, "uint32": 4, "uint64": 10, "float32": 6, "float64": 12, "string": 8}
	switch v := v.(type) {
	case Raw:
		return append(b, v...)
	case string:
		return appendText(binary.LittleEndian.AppendUint32(b, 8), v)
	case []string:
		b = appendArray(b, 8, len(v))
		for _, s := range v {
			b = appendText(b, s)
		}
		return b
	case []int32:
		return appendFixed(appendArray(b, 5, len(v)), v)
	case []float32:
		return appendFixed(appendArray(b, 6, len(v)), v)
	}
	kind, ok := kinds[fmt.Sprintf("%T", v)]
	if !ok {
		panic(fmt.Sprintf("BUG: got a %T; want a type that Keys lists", v))
	}
	return appendFixed(binary.LittleEndian.AppendUint32(b, kind), v)
}

func appendArray(b []byte, kind uint32, n int) []byte {
	b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, 9), kind)
	return binary.LittleEndian.AppendUint64(b, uint64(n))
}

func appendFixed(b []byte, v any) []byte {
	b, err := binary.Append(b, binary.LittleEndian, v)
	if err != nil {
		panic("BUG: a fixed value cannot be written: " + err.Error())
	}
	return b
}
