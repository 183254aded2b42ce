package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The kinds of values in the format.
const (
	kindUint8 uint32 = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindText
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

// kindBytes are the sizes of the kinds that have one; 0 = none.
var kindBytes = [...]uint64{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

// value is one value of the metadata, still in the file's bytes, which were walked once: what they claim is there.
type value struct {
	kind  uint32
	array bool // count values of the kind
	count int
	bytes []byte
}

// value walks over the next value.
func (c *cursor) value(kind uint32) (value, error) {
	if kind != kindArray {
		return c.run(value{kind: kind, count: 1})
	}
	kind, err := c.uint32()
	if err != nil {
		return value{}, err
	}
	n, err := c.uint64()
	if err != nil {
		return value{}, err
	}
	if kind == kindArray {
		return value{}, errors.New("an array of arrays is not supported")
	}
	if n > uint64(len(c.file)-c.at) {
		return value{}, fmt.Errorf("an array claims %d values, but %d bytes follow; the file is cut short or damaged", n, len(c.file)-c.at)
	}
	return c.run(value{kind: kind, array: true, count: int(n)})
}

// run walks over v.count values.
func (c *cursor) run(v value) (value, error) {
	if v.kind > kindFloat64 {
		return value{}, fmt.Errorf("a value of kind %d, which is unknown", v.kind)
	}
	from := c.at
	if size := kindBytes[v.kind]; size > 0 {
		bytes, err := c.take(uint64(v.count) * size)
		v.bytes = bytes
		return v, err
	}
	for range v.count {
		if _, err := c.text(); err != nil {
			return value{}, err
		}
	}
	v.bytes = c.file[from:c.at]
	return v, nil
}

// Keys reads metadata. Of many reads one after the other the first mistake is kept in Err; a read that fails gives the zero value.
type Keys struct {
	Err  error
	file *File
}

// Keys begins to read.
func (f *File) Keys() *Keys { return &Keys{file: f} }

// Has says whether the key is there.
func (k *Keys) Has(key string) bool {
	_, ok := k.file.values[key]
	return ok
}

// Int is a whole number of 0 to 2^31-1, of any width. An array of one number again and again, as some files have for each layer, is
// that number.
func (k *Keys) Int(key string, otherwise int) int {
	v, ok := k.file.values[key]
	if !ok {
		return otherwise
	}
	numbers := k.integers(key, v)
	if k.Err != nil {
		return 0
	}
	if len(numbers) == 0 {
		k.fail(key, "an empty array")
		return 0
	}
	for _, n := range numbers {
		if n != numbers[0] {
			k.fail(key, "an array whose values differ; supported is one for all layers")
			return 0
		}
	}
	return int(numbers[0])
}

// Ints is an array of whole numbers of 0 to 2^31-1; nil if it is not there.
func (k *Keys) Ints(key string) []int32 {
	v, ok := k.file.values[key]
	if !ok {
		return nil
	}
	if !v.array {
		k.fail(key, "not an array")
		return nil
	}
	return k.integers(key, v)
}

// Float is a number.
func (k *Keys) Float(key string, otherwise float64) float64 {
	v, ok := k.file.values[key]
	switch {
	case !ok:
		return otherwise
	case v.kind == kindFloat32 && !v.array:
		// What a file says in 32 bits was written in decimal before: 1e-5 and not 9.999999747378752e-06.
		return decimal(math.Float32frombits(binary.LittleEndian.Uint32(v.bytes)))
	case v.kind == kindFloat64 && !v.array:
		return math.Float64frombits(binary.LittleEndian.Uint64(v.bytes))
	}
	return float64(k.Int(key, 0))
}

// Floats is an array of numbers of 32 bits; nil if it is not there.
func (k *Keys) Floats(key string) []float32 {
	v, ok := k.file.values[key]
	if !ok {
		return nil
	}
	if v.kind != kindFloat32 || !v.array {
		k.fail(key, "not an array of numbers of 32 bits")
		return nil
	}
	numbers := make([]float32, v.count)
	for i := range numbers {
		numbers[i] = math.Float32frombits(binary.LittleEndian.Uint32(v.bytes[4*i:]))
	}
	return numbers
}

// Bool is yes or no.
func (k *Keys) Bool(key string, otherwise bool) bool {
	v, ok := k.file.values[key]
	if !ok {
		return otherwise
	}
	if v.kind != kindBool || v.array || v.bytes[0] > 1 {
		k.fail(key, "neither true nor false")
		return false
	}
	return v.bytes[0] == 1
}

// Text is a string; "" if it is not there.
func (k *Keys) Text(key string) string {
	v, ok := k.file.values[key]
	if !ok {
		return ""
	}
	if v.kind != kindText || v.array {
		k.fail(key, "not a string")
		return ""
	}
	return string(v.bytes[8:])
}

// Texts is an array of strings; nil if it is not there.
func (k *Keys) Texts(key string) []string {
	v, ok := k.file.values[key]
	if !ok {
		return nil
	}
	if v.kind != kindText || !v.array {
		k.fail(key, "not an array of strings")
		return nil
	}
	texts := make([]string, v.count)
	for i, at := 0, 0; i < v.count; i++ {
		n := int(binary.LittleEndian.Uint64(v.bytes[at:]))
		texts[i] = string(v.bytes[at+8 : at+8+n])
		at += 8 + n
	}
	return texts
}

func (k *Keys) fail(key, what string) {
	if k.Err == nil {
		k.Err = fmt.Errorf("metadata key %q is %s", key, what)
	}
}

// integers are the values of v as the format's index type.
func (k *Keys) integers(key string, v value) []int32 {
	size := int(kindBytes[v.kind])
	if v.kind == kindFloat32 || v.kind == kindFloat64 || v.kind == kindBool || size == 0 {
		k.fail(key, "not a whole number")
		return nil
	}
	numbers := make([]int32, v.count)
	for i := range numbers {
		var word [8]byte
		copy(word[:], v.bytes[i*size:(i+1)*size])
		n := binary.LittleEndian.Uint64(word[:]) // a negative number of fewer bits is told by its sign bit below
		if signed := v.kind == kindInt8 || v.kind == kindInt16 || v.kind == kindInt32 || v.kind == kindInt64; signed && n>>(8*size-1) != 0 || n > math.MaxInt32 {
			k.fail(key, fmt.Sprintf("a number below 0 or above %d", math.MaxInt32))
			return nil
		}
		numbers[i] = int32(n)
	}
	return numbers
}
