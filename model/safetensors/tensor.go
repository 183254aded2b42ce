package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
)

// DType is an element type by its name in the format.
type DType string

// The element types that Floats can read.
const (
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
)

// Size is the size of an element in bytes; 0 means that the type is unknown here.
func (t DType) Size() int {
	switch t {
	case "BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2":
		return 1
	case F16, BF16, "I16", "U16":
		return 2
	case F32, "I32", "U32":
		return 4
	case "F64", "I64", "U64":
		return 8
	}
	return 0
}

// Float says whether Floats can read this type.
func (t DType) Float() bool { return t == F32 || t == F16 || t == BF16 }

// Tensor is one array of a file: elements in row-major order, little endian. Data views the mapped file: it is read-only and
// ends with the file's Close.
type Tensor struct {
	Name  string
	DType DType
	Dims  []int
	Data  []byte
}

// Len is the number of elements.
func (t Tensor) Len() int { return len(t.Data) / t.DType.Size() }

// Floats converts the len(dst) elements that start at element from into dst. F16 and BF16 convert exactly.
// The type must be a Float and the range inside the tensor; anything else is a bug of the caller.
func (t Tensor) Floats(dst []float32, from int) {
	if !t.DType.Float() || from < 0 || from+len(dst) > t.Len() {
		panic(fmt.Sprintf("BUG: Floats got elements %d..%d of %s %q with %d; want F32, F16 or BF16 and a range inside",
			from, from+len(dst), t.DType, t.Name, t.Len()))
	}
	size := t.DType.Size()
	src := t.Data[from*size : (from+len(dst))*size]
	switch t.DType {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i : 4*i+4]))
		}
	case BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:2*i+2])) << 16)
		}
	case F16:
		for i := range dst {
			dst[i] = fromF16(binary.LittleEndian.Uint16(src[2*i : 2*i+2]))
		}
	}
}

// fromF16 widens an IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
func fromF16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent, fraction := uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exponent {
	case 0: // zero and subnormal: fraction * 2^-24, which a float32 holds exactly
		f := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f: // infinity and NaN
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// ToBF16 rounds to the nearest BF16, ties to even. NaN stays NaN; beyond the largest finite value becomes infinity.
func ToBF16(f float32) uint16 {
	bits := math.Float32bits(f)
	if f != f {
		return uint16(bits>>16) | 0x40 // quiet: a NaN whose only fraction bits are cut off must not turn into infinity
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
