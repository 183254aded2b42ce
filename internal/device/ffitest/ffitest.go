// Package ffitest holds a native function for tests of the device: cgo cannot be used in test files.
package ffitest

// #cgo CFLAGS: -I${SRCDIR}/../ffi
// #include "ffi.h"
// ffi_error *ffitest_accumulate(ffi_frame *f);
import "C"

import "unsafe"

// Accumulate is a handler. From step [n] f32 and total [n] f32 it makes total + factor*step + bias in the memory of total, and [2] i32:
// 1 if that memory is the operand's (else 0), and low bits of the buffers' addresses, all joined by or: 0 = aligned to 64 bytes.
// Attributes: factor i32, bias f32, fail i64; it fails if fail is not 0.
func Accumulate() unsafe.Pointer { return C.ffitest_accumulate }
