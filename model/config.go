// Package model holds a Llama model's shape (Config), its parameters (Weights) and their published form (Policy).
package model

import (
	"errors"
	"fmt"
	"math"
)

// Config is a Llama architecture. Sizes are counts; field names follow the paper's terms, not config.json's.
type Config struct {
	Vocab        int
	Hidden       int
	Layers       int
	Heads        int // of queries
	KVHeads      int // of keys and values; divides Heads
	HeadDim      int // even, because rope turns pairs
	FFN          int // width of gate and up
	MaxPositions int // tokens that a sequence may have, prompt and answer together
	NormEps      float64
	TiedHead     bool // the head is the embedding
	Rope         Rope
	BOS          int32   // -1 = none
	EOS          []int32 // ids that end a sequence (config.json and generation_config.json together); may be empty
	InitStd      float64 // standard deviation of a fresh matrix (initializer_range); 0 = 0.02
}

// Rope says how positions turn into angles.
type Rope struct {
	Theta    float64
	Scaling  string  // "" = none, "linear", "llama3"
	Factor   float64 // linear and llama3
	LowFreq  float64 // llama3: low_freq_factor
	HighFreq float64 // llama3: high_freq_factor
	Original int     // llama3: original_max_position_embeddings
}

// The values of Rope.Scaling.
const (
	ScalingNone   = ""
	ScalingLinear = "linear"
	ScalingLlama3 = "llama3"
)

// Limits of a Config: several times the largest published Llama, and small enough that no product of them overflows.
const (
	maxVocab     = 1 << 21
	maxHidden    = 1 << 17
	maxLayers    = 1 << 10
	maxHeads     = 1 << 11
	maxHeadDim   = 1 << 11
	maxFFN       = 1 << 19
	maxPositions = 1 << 24
	maxEOS       = 64
)

// Validate says in a sentence what makes c unusable, or nil. Every size is bounded, so that code behind it may multiply them.
func (c Config) Validate() error {
	for _, s := range []struct {
		name       string
		value, max int
	}{
		{"vocab_size", c.Vocab, maxVocab},
		{"hidden_size", c.Hidden, maxHidden},
		{"num_hidden_layers", c.Layers, maxLayers},
		{"num_attention_heads", c.Heads, maxHeads},
		{"num_key_value_heads", c.KVHeads, maxHeads},
		{"head_dim", c.HeadDim, maxHeadDim},
		{"intermediate_size", c.FFN, maxFFN},
		{"max_position_embeddings", c.MaxPositions, maxPositions},
	} {
		if s.value < 1 || s.value > s.max {
			return fmt.Errorf("%s is %d; want 1 to %d", s.name, s.value, s.max)
		}
	}
	switch {
	case c.Heads%c.KVHeads != 0:
		return fmt.Errorf("num_attention_heads %d is not a multiple of num_key_value_heads %d", c.Heads, c.KVHeads)
	case c.HeadDim%2 != 0:
		return fmt.Errorf("head_dim %d is odd; rotary positions need an even one", c.HeadDim)
	case !(c.NormEps > 0 && c.NormEps < 1):
		return fmt.Errorf("rms_norm_eps is %g; want more than 0 and less than 1", c.NormEps)
	case !(c.InitStd >= 0 && c.InitStd <= 1):
		return fmt.Errorf("initializer_range is %g; want 0 to 1", c.InitStd)
	}
	return errors.Join(c.Rope.validate(), c.validateIDs())
}

func (c Config) validateIDs() error {
	if int(c.BOS) >= c.Vocab || c.BOS < -1 {
		return fmt.Errorf("bos_token_id %d is outside the vocabulary of %d", c.BOS, c.Vocab)
	}
	if len(c.EOS) > maxEOS {
		return fmt.Errorf("eos_token_id has %d ids; the limit is %d", len(c.EOS), maxEOS)
	}
	for _, id := range c.EOS {
		if int(id) >= c.Vocab || id < 0 {
			return fmt.Errorf("eos_token_id %d is outside the vocabulary of %d", id, c.Vocab)
		}
	}
	return nil
}

func (r Rope) validate() error {
	if !(r.Theta > 1 && r.Theta <= math.MaxFloat32) {
		return fmt.Errorf("rope_theta is %g; want more than 1", r.Theta)
	}
	switch r.Scaling {
	case ScalingNone:
		return nil
	case ScalingLinear, ScalingLlama3:
	default:
		return unsupportedRope(r.Scaling)
	}
	if !(r.Factor >= 1 && r.Factor <= maxPositions) {
		return fmt.Errorf("rope scaling factor is %g; want 1 to %d", r.Factor, maxPositions)
	}
	if r.Scaling == ScalingLinear {
		return nil
	}
	if !(r.LowFreq > 0 && r.LowFreq < r.HighFreq && r.HighFreq <= maxPositions) {
		return fmt.Errorf("rope low_freq_factor %g and high_freq_factor %g; want 0 < low < high", r.LowFreq, r.HighFreq)
	}
	if r.Original < 1 || r.Original > maxPositions {
		return fmt.Errorf("rope original_max_position_embeddings is %d; want 1 to %d", r.Original, maxPositions)
	}
	return nil
}

func unsupportedRope(kind string) error {
	return fmt.Errorf("rope type %q is not supported; supported are default, linear and llama3", kind)
}

// Params is the number of parameters; a tied head counts once.
func (c Config) Params() int64 {
	n := int64(0)
	for _, s := range Layout(c) {
		n += int64(s.Len())
	}
	return n
}
