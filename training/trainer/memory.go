package trainer

import (
	"astro/internal/device"
	"astro/kernels"
	"astro/model"
)

const f32Bytes = 4

// Memory estimates what training needs on a device of this kind, in bytes: weights, two moments and gradients in f32 (with LoRA two sets
// of weights and gradients), and what a micro-batch of so many rows of so many tokens leaves for its backward pass. It is meant to be
// high by a quarter. Dense attention grows with the square of a row's length; in blocks it keeps what it gave and a sum for each query.
func Memory(kind device.Kind, c model.Config, rows, rowTokens int, o Config) int64 {
	sets := int64(4) // weights, both moments, gradients
	if o.LoRA.Rank > 0 {
		sets = 3 // weights as they were, as they are, gradients; factors are small
	}
	n := int64(rows) * int64(rowTokens)
	layer := f32Bytes * (n*int64(16*c.Hidden+6*c.FFN+4*(c.Heads+2*c.KVHeads)*c.HeadDim) + AttentionElements(kind, c, rows, rowTokens))
	kept := layer * int64(c.Layers)
	if o.LayerCheckpoints {
		kept = layer + f32Bytes*n*int64(c.Hidden)*int64(c.Layers)
	}
	return f32Bytes*sets*c.Params() + kept + headBytes(c, o) + LogitBytes(kind, c.Vocab, rows*rowTokens, o)
}

// AttentionElements is how many numbers a layer's attention leaves for its gradient, besides queries, keys and values.
func AttentionElements(kind device.Kind, c model.Config, rows, rowTokens int) int64 {
	n, heads := int64(rows)*int64(rowTokens), int64(c.Heads)
	if kernels.InBlocks(kind, rows, rowTokens, c.Heads, rowTokens) {
		return n * heads * int64(c.HeadDim+1)
	}
	return n * int64(rowTokens) * heads * 5 / 4
}

// headBytes are for what is as large as the head, besides it: its gradient, which is whole before it is added to others, and where the
// head is the embedding, that turned.
func headBytes(c model.Config, o Config) (n int64) {
	if o.LoRA.Rank == 0 {
		n++
	}
	if c.TiedHead {
		n++
	}
	return n * f32Bytes * int64(c.Vocab) * int64(c.Hidden)
}

// LogitBytes is what the logits of so many tokens take with their gradient, a chunk of them at a time if they are many.
func LogitBytes(kind device.Kind, vocab, tokens int, o Config) int64 {
	const copies = 3 // logits, their softmax, its gradient
	if chunk := o.headChunk(tokens, vocab); chunk > 0 && kind != device.Go {
		tokens = min(tokens, chunk)
	}
	return f32Bytes * copies * int64(tokens) * int64(vocab)
}
