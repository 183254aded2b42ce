package feedback

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// Token ids are int32 and log-probabilities f32, little-endian, one after the other.

func packIDs(ids []int32) []byte {
	b := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return b
}

func unpackIDs(b []byte) []int32 {
	ids := make([]int32, len(b)/4)
	for i := range ids {
		ids[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return ids
}

func packFloats(x []float32) []byte {
	b := make([]byte, 0, 4*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func unpackFloats(b []byte) []float32 {
	x := make([]float32, len(b)/4)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return x
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// null is the length that stands for NULL in a checksum.
const null = math.MaxUint32

// sumRow guards a row against a disk that forgets: the CRC-32C over its fields, in the order of the table. A text or blob is its length
// (u32) and its bytes, NULL the length 2^32-1, an integer an i64, a real an f64, all little-endian. It is never 0, which marks a row that
// was erased.
func sumRow(fields ...any) int64 {
	crc, number := uint32(0), make([]byte, 0, 8)
	add := func(b []byte) { crc = crc32.Update(crc, castagnoli, b) }
	data := func(b []byte, isNull bool) {
		if isNull {
			add(binary.LittleEndian.AppendUint32(number, null))
			return
		}
		add(binary.LittleEndian.AppendUint32(number, uint32(len(b))))
		add(b)
	}
	for _, f := range fields {
		switch v := f.(type) {
		case string:
			data([]byte(v), false)
		case sql.NullString:
			data([]byte(v.String), !v.Valid)
		case []byte:
			data(v, v == nil)
		case int64:
			add(binary.LittleEndian.AppendUint64(number, uint64(v)))
		case float64:
			add(binary.LittleEndian.AppendUint64(number, math.Float64bits(v)))
		default:
			panic(fmt.Sprintf("BUG: got a field of type %T in a checksum; want text, a blob or a number", f))
		}
	}
	return max(int64(crc), 1)
}

// checkRow says whether a row still is what was written.
func checkRow(what string, want int64, fields ...any) error {
	if got := sumRow(fields...); got != want {
		return fmt.Errorf("%s: %w: its checksum is %08x and should be %08x", what, ErrDamaged, got, want)
	}
	return nil
}
