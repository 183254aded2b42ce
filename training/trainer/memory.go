package trainer

import (
	"astro/internal/device"
	"astro/kernels"
	"astro/model"
)

const (
	f32Bytes  = 4
	halfBytes = 2
)

// Memory estimates what training needs on a device of this kind, in bytes: what a Trainer holds, and what a micro-batch of so many rows of so
// many tokens leaves for its backward pass. It is meant to be high by a quarter.
func Memory(kind device.Kind, c model.Config, rows, rowTokens int, o Config) int64 {
	return heldBytes(c, o) + passBytes(kind, c, rows, rowTokens, o)
}

// heldBytes are weights, two moments and gradients in f32; with LoRA those of the factors, and the weights once, as they are kept.
func heldBytes(c model.Config, o Config) int64 {
	const sets = 4
	n, err := o.LoRA.Params(c)
	if o.LoRA.Rank == 0 || err != nil { // an error is told where training begins
		return sets * f32Bytes * c.Params()
	}
	return sets*f32Bytes*n + c.WeightBytes(o.DType())
}

// passBytes is what passes. Dense attention grows with the square of a row's length; in blocks it keeps what it gave and a sum for each query.
// In bf16 what is kept for the backward pass is smaller on GPUs alone, for processors widen operands again.
func passBytes(kind device.Kind, c model.Config, rows, rowTokens int, o Config) int64 {
	n := int64(rows) * int64(rowTokens)
	ofTokens, ofAttention := n*int64(16*c.Hidden+6*c.FFN+4*(c.Heads+2*c.KVHeads)*c.HeadDim), AttentionElements(kind, c, rows, rowTokens)
	layer := f32Bytes * (ofTokens + ofAttention)
	switch {
	case kernels.LearnsNatively(kind, o.Compute.DType(), int(n)): // what stands between native functions, and no score
		layer = f32Bytes * n * int64(6*c.Hidden+4*c.FFN+2*(c.Heads+2*c.KVHeads)*c.HeadDim)
	case o.Compute == BF16 && kind == device.XLACUDA:
		layer = (f32Bytes + halfBytes) * (ofTokens/2 + ofAttention) // norms and rotations are f32 within, scores f32 and their shares bf16
	}
	kept := layer * int64(c.Layers)
	if o.LayerCheckpoints {
		kept = layer + inputBytes(kind, o)*n*int64(c.Hidden)*int64(c.Layers)
	}
	return kept + madeBytes(c, o) + headBytes(c, o) + LogitBytes(kind, c.Vocab, rows*rowTokens, o)
}

// inputBytes is what is kept of each number that comes into a layer. Compiled for GPUs it is there up to four times, for each of those who read it in
// the backward pass.
func inputBytes(kind device.Kind, o Config) int64 {
	if kind == device.XLACUDA {
		return 4 * int64(o.Compute.DType().Size())
	}
	return f32Bytes
}

// madeBytes is what is made of weights where they are multiplied with, of no more than a layer at a time: rounded ones, and the head's; with LoRA the
// product of factors, f32, and what comes of adding it to a matrix.
func madeBytes(c model.Config, o Config) (bytes int64) {
	if o.Compute == BF16 && o.LoRA.Rank == 0 {
		bytes = halfBytes * (c.Params()/int64(c.Layers) + int64(c.Vocab)*int64(c.Hidden))
	}
	if o.LoRA.Rank > 0 {
		bytes = 2 * f32Bytes * int64(c.Hidden) * int64(max(2*c.FFN, (c.Heads+2*c.KVHeads)*c.HeadDim))
	}
	return bytes
}

// AttentionElements is how many numbers a layer's attention leaves for its gradient, besides queries, keys and values.
func AttentionElements(kind device.Kind, c model.Config, rows, rowTokens int) int64 {
	n, heads := int64(rows)*int64(rowTokens), int64(c.Heads)
	if kernels.InBlocks(kind, rows, rowTokens, c.Heads, rowTokens) {
		return n * heads * int64(c.HeadDim+1)
	}
	return n * int64(rowTokens) * heads * 5 / 4
}

// headBytes is the gradient of the head, which is whole before it is added to others.
func headBytes(c model.Config, o Config) int64 {
	if o.LoRA.Rank > 0 {
		return 0
	}
	return f32Bytes * int64(c.Vocab) * int64(c.Hidden)
}

// LogitBytes is what the logits of so many tokens take with their gradient, a chunk of them at a time if they are many.
func LogitBytes(kind device.Kind, vocab, tokens int, o Config) int64 {
	const copies = 3 // logits, their softmax, its gradient
	if chunk := o.headChunk(tokens, vocab); chunk > 0 && kind != device.Go {
		tokens = min(tokens, chunk)
	}
	return f32Bytes * copies * int64(tokens) * int64(vocab)
}
