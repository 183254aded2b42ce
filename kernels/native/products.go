package native

// #include "kernels.h"
//
// static float native_from_half(uint16_t h) { return from_half(h); }
// static uint16_t native_to_half(float x) { return to_half(x); }
// static uint16_t native_to_bf16(float x) { return to_bf16(x); }
import "C"

import (
	"fmt"
	"math"
	"unsafe"
)

// maxWidth bounds both sides of a matrix, so that no product of sizes overflows.
const maxWidth = 1 << 24

// PackedSize is what a matrix [in, out] takes, in bytes.
func PackedSize(w Weights, in, out int) (int, error) {
	switch {
	case w < F32 || w > Int4:
		return 0, fmt.Errorf("native kernels: unknown kind of weights %d", int(w))
	case in < 1 || in > maxWidth || out < 1 || out > maxWidth:
		return 0, fmt.Errorf("native kernels: a matrix of %d by %d; want 1 to %d", in, out, maxWidth)
	case w == BF16 && in%2 != 0:
		return 0, fmt.Errorf("native kernels: a matrix of %d rows as bf16; want an even number", in)
	case w > BF16 && in%C.BLOCK != 0:
		return 0, fmt.Errorf("native kernels: a matrix of %d rows as %s; want a multiple of %d", in, w, C.BLOCK)
	}
	return int(C.packed_size(C.int(w), C.int64_t(in), C.int64_t(out))), nil
}

// Pack packs matrix [in, out], row by row, as kernels read it.
func Pack(w Weights, matrix []float32, in, out int) ([]byte, error) {
	size, err := PackedSize(w, in, out)
	if err != nil {
		return nil, err
	}
	if len(matrix) != in*out {
		return nil, fmt.Errorf("native kernels: pack %d values as %d by %d; want %d", len(matrix), in, out, in*out)
	}
	packed := aligned(size)
	C.pack(C.int(w), (*C.float)(&matrix[0]), C.int64_t(in), C.int64_t(out), 0, unsafe.Pointer(&packed[0]))
	return packed, nil
}

// Multiply is x [rows, in] times what Pack made of a matrix [in, out]: [rows, out].
func Multiply(w Weights, packed []byte, in, out int, x []float32) ([]float32, error) {
	size, err := PackedSize(w, in, out)
	switch {
	case err != nil:
		return nil, err
	case len(packed) != size:
		return nil, fmt.Errorf("native kernels: a packed matrix of %d bytes; want %d for %s of %d by %d", len(packed), size, w, in, out)
	case len(x)%in != 0:
		return nil, fmt.Errorf("native kernels: multiply %d values by %d rows; want a multiple", len(x), in)
	case len(x) == 0:
		return nil, nil
	}
	if uintptr(unsafe.Pointer(&packed[0]))%4 != 0 {
		packed = append(aligned(size)[:0], packed...)
	}
	y := make([]float32, len(x)/in*out)
	C.multiply(C.int(w), unsafe.Pointer(&packed[0]), C.int64_t(in), C.int64_t(out), C.int64_t(len(x)/in), (*C.float)(&x[0]), (*C.float)(&y[0]))
	return y, nil
}

// aligned is memory at a multiple of 64, as XLA's buffers are.
func aligned(bytes int) []byte {
	room := make([]byte, bytes+63)
	skip := int(-uintptr(unsafe.Pointer(&room[0])) & 63)
	return room[skip : skip+bytes : skip+bytes]
}

// The conversions of the kernels: fromHalf widens f16, toHalf and toBF16 round to nearest even.
func fromHalf(h uint16) float32 { return float32(C.native_from_half(C.uint16_t(h))) }
func toHalf(x float32) uint16   { return uint16(C.native_to_half(C.float(x))) }
func toBF16(x float32) uint16   { return uint16(C.native_to_bf16(C.float(x))) }

// fromBF16 widens bf16.
func fromBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }
