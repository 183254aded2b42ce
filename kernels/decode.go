package kernels

import (
	"fmt"
	"strings"

	"astro/internal/device"
	"astro/internal/device/stablehlo"
	"astro/kernels/cuda"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// pagedAttentionName is the library function whose body the kernel is.
const pagedAttentionName = "paged_attention"

func init() {
	device.Implement(pagedAttentionName, device.Implementation{Body: decodeBody})
	device.AddCheck(decodeCheck())
}

// DecodeKernel says why attention runs as the plain graph, which copies the pages, for queries q [seqs, tokens, heads, headDim] over pools like
// pool [pages, kvHeads, pageTokens, headDim] and maxPages of each Sequence; nil = it is a kernel that reads the pages where they are.
// A device of this kind must be open.
func DecodeKernel(kind device.Kind, q, pool shapes.Shape, maxPages int) error {
	if device.BodyDisabled(kind, pagedAttentionName) {
		return fmt.Errorf("it is disabled: %v", device.DisabledBodies(kind))
	}
	return decodeTakes(kind, decodeCall(q, pool, maxPages))
}

// decodeTakes says why there is no kernel for a call.
func decodeTakes(kind device.Kind, c cuda.Decode) error {
	if err := c.Check(); err != nil {
		return err
	}
	return decodeKernels(kind)
}

// decodeKernels says why there are none on a kind of device.
func decodeKernels(kind device.Kind) error {
	if err := device.HasNative(kind, cuda.TargetDecode); err != nil {
		return err
	}
	if !device.Here(kind) {
		return nil // a program for a device elsewhere: what it needs there is not asked here
	}
	return cuda.Load()
}

// DescribeDecode is for people: which body attention of decodes has on a kind of device that is open, and why.
func DescribeDecode(kind device.Kind) string {
	if device.BodyDisabled(kind, pagedAttentionName) {
		return fmt.Sprintf("plain graph, for the kernel is disabled: %v", device.DisabledBodies(kind))
	}
	if err := decodeKernels(kind); err != nil {
		return "plain graph, for " + err.Error()
	}
	return fmt.Sprintf("CUDA kernel for heads of %s; plain graph for others and for long prompts", strings.Trim(fmt.Sprint(cuda.HeadDims()), "[]"))
}

func decodeCall(q, pool shapes.Shape, maxPages int) cuda.Decode {
	return cuda.Decode{Seqs: q.Dim(0), Tokens: q.Dim(1), Heads: q.Dim(2), KVHeads: pool.Dim(1), HeadDim: q.Dim(3),
		PageTokens: pool.Dim(2), MaxPages: maxPages, Rows: q.DType, Pools: pool.DType}
}

// decodeBody is one call of the kernel where there is one. Where bodies are disabled it is not asked, and the library is locked while it is.
func decodeBody(kind device.Kind, f device.Signature) string {
	q, pool, table := shapeOf(f.Params[0]), shapeOf(f.Params[1]), shapeOf(f.Params[3])
	call := decodeCall(q, pool, table.Dim(1))
	if decodeTakes(kind, call) != nil {
		return ""
	}
	return device.CustomCallWithRoom(f, cuda.TargetDecode, nil, nil, call.Room()...)
}

var elementTypes = map[string]dtypes.DType{"f32": dtypes.Float32, "bf16": dtypes.BFloat16, "f16": dtypes.Float16, "f64": dtypes.Float64, "i32": dtypes.Int32}

// shapeOf reads a type such as tensor<2x3xf32>. An element's type that no kernel is for is an invalid dtype.
func shapeOf(p stablehlo.Param) shapes.Shape {
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(p.Type, "tensor<"), ">"), "x")
	dims := make([]int, len(parts)-1)
	for i := range dims {
		if _, err := fmt.Sscan(parts[i], &dims[i]); err != nil {
			panic(fmt.Sprintf("BUG: parameter %s has the type %s; want a tensor's", p.Name, p.Type))
		}
	}
	return shapes.Shape{DType: elementTypes[parts[len(parts)-1]], Dimensions: dims}
}
