package trainer

import "astro/model"

// Memory estimates what training needs on the device, in bytes: weights, two moments and gradients in f32, and what a micro-batch of so
// many rows of so many tokens leaves for its backward pass. It is meant to be high by a quarter; attention is dense, so that it grows
// with the square of a row's length.
func Memory(c model.Config, rows, rowTokens int, layerCheckpoints bool) int64 {
	const f32, groups, logits = 4, 4, 3 // bytes; weights, m, v, gradients; logits, their softmax, its gradient
	n, square := int64(rows)*int64(rowTokens), int64(rows)*int64(rowTokens)*int64(rowTokens)
	layer := f32 * (n*int64(16*c.Hidden+6*c.FFN+4*(c.Heads+2*c.KVHeads)*c.HeadDim) + square*int64(c.Heads)*5/4)
	kept := layer * int64(c.Layers)
	if layerCheckpoints {
		kept = layer + f32*n*int64(c.Hidden)*int64(c.Layers)
	}
	return f32*groups*c.Params() + kept + f32*logits*n*int64(c.Vocab)
}
