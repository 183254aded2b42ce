// Package trainer teaches a model to predict given tokens: packed batches, the same Llama graph as serving, AdamW.
//
// One Trainer owns the weights that it changes; everything that must survive a restart is in its State.
package trainer

import (
	"errors"
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
)

// Config is how weights change. The zero value is not valid; start from Default.
type Config struct {
	PeakLR           float64 // learning rate after the warm-up
	FinalLR          float64 // at the last step, as a fraction of PeakLR
	WarmupSteps      int     // linear from PeakLR/WarmupSteps
	Steps            int     // length of the schedule; later steps keep the final rate
	Beta1            float64 // decay of the mean of gradients, in [0, 1)
	Beta2            float64 // decay of the mean of their squares, in [0, 1)
	Eps              float64 // added to the root of the second moment
	WeightDecay      float64 // decoupled (Loshchilov & Hutter, arXiv 1711.05101); not on norms
	ClipNorm         float64 // largest global norm of a gradient; 0 = it is not clipped
	LayerCheckpoints bool    `json:",omitzero"` // of each layer only its input is kept for the backward pass: less memory for a third more time
	HeadChunkTokens  int     `json:",omitzero"` // tokens whose logits are in memory at once; 0 = all, or as many as give wholeLogits
	LoRA             LoRA    `json:",omitzero"` // zero = the weights themselves are trained
	Compute          Compute `json:",omitzero"` // zero = F32
}

// Default is AdamW as the recipes use it, for a schedule of n steps.
func Default(n int) Config {
	return Config{PeakLR: 2e-3, FinalLR: .1, WarmupSteps: min(60, max(1, n/10)), Steps: n, Beta1: .9, Beta2: .95, Eps: 1e-8,
		WeightDecay: .01, ClipNorm: 1}
}

// Validate says what is wrong with a Config, or nil.
func (c Config) Validate() error {
	switch {
	case !(c.PeakLR > 0 && c.PeakLR <= 1) || !(c.FinalLR >= 0 && c.FinalLR <= 1):
		return fmt.Errorf("learning rate %g must be in (0, 1] and its final fraction %g in [0, 1]", c.PeakLR, c.FinalLR)
	case c.Steps < 1 || c.WarmupSteps < 1 || c.WarmupSteps > c.Steps:
		return fmt.Errorf("a schedule of %d steps with %d of warm-up: want 1 <= warm-up <= steps", c.Steps, c.WarmupSteps)
	case !(c.Beta1 >= 0 && c.Beta1 < 1) || !(c.Beta2 >= 0 && c.Beta2 < 1) || !(c.Eps > 0):
		return fmt.Errorf("betas %g and %g must be in [0, 1) and eps %g above 0", c.Beta1, c.Beta2, c.Eps)
	case c.HeadChunkTokens < 0:
		return fmt.Errorf("logits of %d tokens at once: want at least 0", c.HeadChunkTokens)
	case !(c.WeightDecay >= 0) || !(c.ClipNorm >= 0):
		return fmt.Errorf("weight decay %g and clip norm %g must not be negative", c.WeightDecay, c.ClipNorm)
	}
	return errors.Join(c.LoRA.Validate(), c.Compute.Validate())
}

// DType is that of the matrices which a Trainer holds, and wants: Float32, or BFloat16 where they are frozen and products are of bf16.
func (c Config) DType() dtypes.DType {
	if c.LoRA.Rank > 0 {
		return c.Compute.DType()
	}
	return dtypes.Float32
}

// wholeLogits is how many logits are not worth a loop over chunks, 64 MiB of them; chunkStep is what chunks are multiples of.
const (
	wholeLogits = 1 << 24
	chunkStep   = 64
)

// headChunk is of how many tokens out of n logits are in memory at once; 0 = all.
func (c Config) headChunk(n, vocab int) int {
	switch {
	case c.HeadChunkTokens > 0:
		return c.HeadChunkTokens
	case n*vocab <= wholeLogits:
		return 0
	}
	return max(chunkStep, wholeLogits/vocab/chunkStep*chunkStep)
}

// LR is the learning rate of a step, the first of which is 0: a linear warm-up, then half a cosine down to FinalLR.
func (c Config) LR(step int) float64 {
	if step < c.WarmupSteps {
		return c.PeakLR * float64(step+1) / float64(c.WarmupSteps)
	}
	done := float64(step-c.WarmupSteps) / float64(max(1, c.Steps-c.WarmupSteps))
	cosine := .5 * (1 + math.Cos(math.Pi*min(1, done)))
	return c.PeakLR * (c.FinalLR + (1-c.FinalLR)*cosine)
}
