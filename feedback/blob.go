package feedback

import (
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

// sumOf guards blobs against a disk that forgets.
func sumOf(blobs ...[]byte) int64 {
	crc := uint32(0)
	for _, b := range blobs {
		crc = crc32.Update(crc, castagnoli, b)
	}
	return int64(crc)
}

// checkBlobs says whether blobs still are what was written.
func checkBlobs(what string, want int64, blobs ...[]byte) error {
	if got := sumOf(blobs...); got != want {
		return fmt.Errorf("%s is damaged: its tokens have the checksum %08x; want %08x", what, got, want)
	}
	return nil
}
