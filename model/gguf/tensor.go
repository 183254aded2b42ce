package gguf

import (
	"fmt"
	"slices"
	"strings"
)

// Type is how a tensor's values are stored, by its number in the format.
type Type uint32

// The types that Floats can read.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q4_1 Type = 3
	Q5_0 Type = 6
	Q5_1 Type = 7
	Q8_0 Type = 8
	Q4_K Type = 12
	Q5_K Type = 13
	Q6_K Type = 14
	BF16 Type = 30
)

// kind is a type: blocks of so many values in so many bytes. decode turns whole blocks into values.
type kind struct {
	name          string
	values, bytes int
	decode        func(dst []float32, blocks []byte)
}

var kinds = map[Type]kind{
	F32:  {"F32", 1, 4, decodeF32},
	F16:  {"F16", 1, 2, decodeF16},
	BF16: {"BF16", 1, 2, decodeBF16},
	Q4_0: {"Q4_0", 32, 18, eachBlock(32, 18, decodeQ40)},
	Q4_1: {"Q4_1", 32, 20, eachBlock(32, 20, decodeQ41)},
	Q5_0: {"Q5_0", 32, 22, eachBlock(32, 22, decodeQ50)},
	Q5_1: {"Q5_1", 32, 24, eachBlock(32, 24, decodeQ51)},
	Q8_0: {"Q8_0", 32, 34, eachBlock(32, 34, decodeQ80)},
	Q4_K: {"Q4_K", maxBlockValues, 144, eachBlock(maxBlockValues, 144, decodeQ4K)},
	Q5_K: {"Q5_K", maxBlockValues, 176, eachBlock(maxBlockValues, 176, decodeQ5K)},
	Q6_K: {"Q6_K", maxBlockValues, 210, eachBlock(maxBlockValues, 210, decodeQ6K)},
}

// maxBlockValues is the length of the longest block.
const maxBlockValues = 256

// others are names of types that are not read, for errors.
var others = map[Type]string{9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
	21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4"}

// String is the type's name.
func (t Type) String() string {
	if k, ok := kinds[t]; ok {
		return k.name
	}
	if name, ok := others[t]; ok {
		return name
	}
	return fmt.Sprintf("%d (unknown)", uint32(t))
}

// supported lists the types that are read.
func supported() string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Tensor is one array of a file: values in row-major order, blocks along the last dimension. Data views the mapped file: it is read-only
// and ends with the file's Close.
type Tensor struct {
	Name string
	Type Type
	Dims []int // the slowest first, as everywhere here; the file has them the other way round
	Data []byte
}

// Len is the number of values.
func (t Tensor) Len() int {
	k := kinds[t.Type]
	return len(t.Data) / k.bytes * k.values
}

// Floats converts the len(dst) values that start at value from into dst. Runs that begin and end at blocks are fastest. The range must
// be inside the tensor; anything else is a bug of the caller.
func (t Tensor) Floats(dst []float32, from int) {
	if from < 0 || from+len(dst) > t.Len() {
		panic(fmt.Sprintf("BUG: Floats got values %d..%d of %q with %d; want a range inside", from, from+len(dst), t.Name, t.Len()))
	}
	k := kinds[t.Type]
	var block []float32
	for len(dst) > 0 {
		first, skip, whole := from/k.values, from%k.values, len(dst)/k.values
		if skip == 0 && whole > 0 {
			k.decode(dst[:whole*k.values], t.Data[first*k.bytes:(first+whole)*k.bytes])
			dst, from = dst[whole*k.values:], from+whole*k.values
			continue
		}
		if block == nil {
			block = make([]float32, k.values)
		}
		k.decode(block, t.Data[first*k.bytes:(first+1)*k.bytes])
		n := copy(dst, block[skip:])
		dst, from = dst[n:], from+n
	}
}
