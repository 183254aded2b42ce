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
	if kind == device.XLACUDA && o.LayerCheckpoints {
		return checkpointedBytes(c, rows, rowTokens, o)
	}
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
		kept = layer + f32Bytes*n*int64(c.Hidden)*int64(c.Layers)
	}
	return kept + layerMadeBytes(kind, c, o) + headMadeBytes(c, o) + headBytes(c, o) + LogitBytes(kind, c.Vocab, rows*rowTokens, o)
}

// checkpointedBytes is passBytes on GPUs with layer checkpoints, where a compiled program needs four fifths of it (docs/LOG.md). What comes into each layer,
// and out of the last, is there from the first pass to the last; beside it either the head runs, or one layer.
func checkpointedBytes(c model.Config, rows, rowTokens int, o Config) int64 {
	n, size := int64(rows)*int64(rowTokens), int64(o.Compute.DType().Size())
	inputs := size * n * int64(c.Hidden) * int64(c.Layers+1)
	layer := size*n*int64(6*c.Hidden+4*c.FFN+2*(c.Heads+2*c.KVHeads)*c.HeadDim) + (f32Bytes+halfBytes)*AttentionElements(device.XLACUDA, c, rows, rowTokens)
	head := headBytes(c, o) + headMadeBytes(c, o) + LogitBytes(device.XLACUDA, c.Vocab, rows*rowTokens, o) + f32Bytes*n*int64(c.Hidden)
	return (inputs + max(layer+layerMadeBytes(device.XLACUDA, c, o), head)) / 4 * 5
}

// layerMadeBytes is what is made of a layer's weights where they are multiplied with: rounded ones; with LoRA the product of the largest matrix's factors, f32,
// and what comes of adding it to that matrix, which on GPUs takes the product's place where it is f32, too.
func layerMadeBytes(kind device.Kind, c model.Config, o Config) int64 {
	each := int64(2 * f32Bytes)
	switch {
	case o.LoRA.Rank == 0 && o.Compute == BF16:
		return halfBytes * c.Params() / int64(c.Layers)
	case o.LoRA.Rank == 0:
		return 0
	case kind == device.XLACUDA && o.Compute == BF16:
		each = f32Bytes + halfBytes
	case kind == device.XLACUDA:
		each = f32Bytes
	}
	return each * int64(c.Hidden) * int64(max(2*c.FFN, (c.Heads+2*c.KVHeads)*c.HeadDim))
}

// headMadeBytes is the rounded head.
func headMadeBytes(c model.Config, o Config) int64 {
	if o.Compute == BF16 && o.LoRA.Rank == 0 {
		return halfBytes * int64(c.Vocab) * int64(c.Hidden)
	}
	return 0
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
