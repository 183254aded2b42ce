// Package cuda holds kernels in CUDA C for NVIDIA's GPUs and makes them callable from programs on xla:cuda. They are compiled to PTX, NVIDIA's
// portable assembly, before: scripts/ptx.sh makes decode.ptx of decode.cu, and both are in the repository. At run time the driver compiles that for
// the GPU that is there (compute capability 8.0 or more); its library is opened, never linked.
//
// No test of ours needs a GPU: the same source runs on processors, every thread of a block as a fiber (testdata/simt.h), and a driver of the tests
// does the same behind the handler (testdata/driver_here.cc).
package cuda

// #cgo CFLAGS: -I${SRCDIR}/../../internal/device/ffi
// #cgo LDFLAGS: -ldl -lm -lpthread
// #include <stdlib.h>
// #include "handlers.h"
// #include "driver.h"
import "C"

import (
	_ "embed" // of the kernels
	"fmt"
	"math"
	"unsafe"

	"github.com/gomlx/compute/dtypes"

	"astro/internal/device"
)

// TargetDecode is what programs call; handlers.h says what it takes. It has a version, for executables on disk know it by its name alone.
const TargetDecode = "astro_cuda_decode_v2"

// driver is the library of NVIDIA's driver, which every machine with a GPU has.
const driver = "libcuda.so.1"

// Limits of what the kernels are for.
const (
	pageMultiple = 8  // positions of which a page holds a multiple
	maxTokens    = 16 // of a Sequence at once: each 8 rows of queries read the pages again
	maxGrid      = 65535
)

//go:embed decode.ptx
var ptx string

func init() { device.DeclareNative(device.XLACUDA, TargetDecode, C.cuda_decode) }

// Load makes the kernels known to the driver and compiles them for the GPUs that are in use. The device must be open. It says why that is not
// possible; once it was, it does nothing.
func Load() error { return load(driver) }

func load(library string) error {
	name, text := C.CString(library), C.CString(ptx)
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(text))
	if wrong := C.cuda_load(name, text); wrong != nil {
		defer C.free(unsafe.Pointer(wrong))
		return fmt.Errorf("CUDA kernels: %s", C.GoString(wrong))
	}
	return nil
}

// HeadDims are the sizes of heads that there are kernels for.
func HeadDims() (all []int) {
	for d := range 1024 {
		if C.kernel_of(C.KERNEL_DECODE_BF16, C.int(d)) >= 0 {
			all = append(all, d)
		}
	}
	return all
}

// Decode is a call of attention over pages: queries [Seqs, Tokens, Heads, HeadDim] of dtype Rows, pools [pages, KVHeads, PageTokens, HeadDim] of
// dtype Pools, a table of MaxPages for each Sequence.
type Decode struct {
	Seqs, Tokens, Heads, KVHeads, HeadDim, PageTokens, MaxPages int
	Rows, Pools                                                 dtypes.DType
}

// Check says why there is no kernel for it, or nil.
func (d Decode) Check() error {
	isFloat := func(t dtypes.DType) bool { return t == dtypes.Float32 || t == dtypes.BFloat16 }
	switch {
	case !isFloat(d.Rows) || !isFloat(d.Pools):
		return fmt.Errorf("queries in %s and pages in %s; the CUDA kernel is for float32 and bfloat16", d.Rows, d.Pools)
	case C.kernel_of(C.KERNEL_DECODE_BF16, C.int(min(d.HeadDim, math.MaxInt32))) < 0:
		return fmt.Errorf("heads of %d; the CUDA kernel is for %v", d.HeadDim, HeadDims())
	case d.Tokens > maxTokens:
		return fmt.Errorf("%d tokens of a Sequence at once; the CUDA kernel is for %d", d.Tokens, maxTokens)
	case d.PageTokens%pageMultiple != 0:
		return fmt.Errorf("pages of %d tokens; the CUDA kernel wants a multiple of %d", d.PageTokens, pageMultiple)
	case d.spans() > maxGrid || d.Tokens*d.Heads > maxGrid:
		return fmt.Errorf("%d spans and %d queries of a Sequence; the CUDA kernel is for %d", d.spans(), d.Tokens*d.Heads, maxGrid)
	}
	return nil
}

// spans is how many blocks share a row.
func (d Decode) spans() int { return (d.MaxPages*d.PageTokens + C.DECODE_SPAN - 1) / C.DECODE_SPAN }

// Room is what a call needs besides its result, as types of StableHLO: nothing where one span holds all positions.
func (d Decode) Room() []string {
	if d.spans() == 1 {
		return nil
	}
	rows := d.Seqs * d.Tokens * d.Heads
	return []string{fmt.Sprintf("tensor<%dx%dx%dxf32>", rows, d.spans(), d.HeadDim), fmt.Sprintf("tensor<%dx%dx2xf32>", rows, d.spans())}
}

// HandlerHere is the handler of TargetDecode without a stream: tests call it on xla:cpu, with a driver that computes there.
func HandlerHere() unsafe.Pointer { return C.cuda_decode_here }
