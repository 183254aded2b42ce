package trainer

import "astro/model"

// Memory estimates what training needs on the device, in bytes: weights, two moments and gradients in f32 (with LoRA two sets of
// weights and gradients), and what a micro-batch of so
// many rows of so many tokens leaves for its backward pass. It is meant to be high by a quarter; attention is dense, so that it grows
// with the square of a row's length.
func Memory(c model.Config, rows, rowTokens int, o Config) int64 {
	const f32, logits = 4, 3 // bytes; logits, their softmax, its gradient
	sets := int64(4)         // weights, both moments, gradients
	if o.LoRA.Rank > 0 {
		sets = 3 // weights as they were, as they are, gradients; factors are small
	}
	n, square := int64(rows)*int64(rowTokens), int64(rows)*int64(rowTokens)*int64(rowTokens)
	layer := f32 * (n*int64(16*c.Hidden+6*c.FFN+4*(c.Heads+2*c.KVHeads)*c.HeadDim) + square*int64(c.Heads)*5/4)
	kept := layer * int64(c.Layers)
	if o.LayerCheckpoints {
		kept = layer + f32*n*int64(c.Hidden)*int64(c.Layers)
	}
	return f32*sets*c.Params() + kept + f32*logits*n*int64(c.Vocab)
}
