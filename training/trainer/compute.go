package trainer

import (
	"fmt"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
)

// Compute is what a trainer multiplies in. Whatever is trained is f32 with its moments and gradients, and so is what a checkpoint keeps;
// training may go on in another one.
type Compute string

// The kinds.
const (
	F32 Compute = ""
	// BF16 rounds hidden states and, for each product, weights to bf16, and adds up in f32. Norms, rotations, scores, softmax,
	// log-probabilities and the loss are computed in f32. With LoRA the frozen weights are kept in bf16. It is for GPUs, which multiply bf16
	// many times as fast; on processors it is right and no faster.
	BF16 Compute = "bf16"
)

// ParseCompute reads f32, bf16 or auto: bf16 on GPUs, f32 on processors, whose products of bf16 are no faster.
func ParseCompute(s string, kind device.Kind) (Compute, error) {
	switch {
	case s == "f32", s == "auto" && kind != device.XLACUDA:
		return F32, nil
	case s == "bf16", s == "auto":
		return BF16, nil
	}
	return F32, fmt.Errorf("compute in %q: want auto, f32 or bf16", s)
}

// String is f32 or bf16.
func (c Compute) String() string {
	if c == F32 {
		return "f32"
	}
	return string(c)
}

// Validate says what is wrong with a Compute, or nil.
func (c Compute) Validate() error {
	if c != F32 && c != BF16 {
		return fmt.Errorf("compute in %q: want bf16, or nothing for f32", string(c))
	}
	return nil
}

// DType is that of hidden states and of the operands of products.
func (c Compute) DType() dtypes.DType {
	if c == BF16 {
		return dtypes.BFloat16
	}
	return dtypes.Float32
}
