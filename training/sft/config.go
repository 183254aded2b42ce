// Package sft teaches a model given texts: several epochs over examples in a fresh order each, packed into rows, with a cosine
// schedule. A run that is stopped goes on from its newest checkpoint, on the Go backend bit for bit as if it had not been.
package sft

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"astro/training/trainer"
)

// Example is one text with the weight of each token in the loss; see Weigh.
type Example = trainer.Example

// Config says how to train. Start from Default.
type Config struct {
	Epochs    int            // times that each example is seen
	Rows      int            // packed rows of one micro-batch: what memory must hold
	RowTokens int            // tokens of a row; an example may have one more
	Batches   int            // micro-batches of one update
	Seed      uint64         // of the order of examples
	Optimizer trainer.Config // its Steps and WarmupSteps follow from the data: see Schedule
	Warmup    float64        // share of the steps over which the learning rate rises, in [0, 1]
}

// Default is for tiny models; a large one wants one epoch at a learning rate of about 3e-6, as the article has it.
func Default() Config {
	o := trainer.Default(1)
	o.PeakLR = 1e-3
	return Config{Epochs: 3, Rows: 8, RowTokens: 256, Batches: 1, Seed: 1, Optimizer: o, Warmup: .03}
}

// MaxEpochs and MaxRowTokens bound what a Config may ask for.
const (
	MaxEpochs    = 1000
	MaxRowTokens = 1 << 16
)

// Validate says what is wrong with a Config, or nil.
func (c Config) Validate() error {
	switch {
	case c.Epochs < 1 || c.Epochs > MaxEpochs:
		return fmt.Errorf("%d epochs; want 1 to %d", c.Epochs, MaxEpochs)
	case c.Rows < 1 || c.Batches < 1 || c.RowTokens < 1 || c.RowTokens > MaxRowTokens:
		return fmt.Errorf("%d micro-batches of %d rows of %d tokens; want at least 1 of each and rows of at most %d", c.Batches, c.Rows, c.RowTokens, MaxRowTokens)
	case !(c.Warmup >= 0 && c.Warmup <= 1):
		return fmt.Errorf("a warm-up of %g of the steps; want 0 to 1", c.Warmup)
	}
	return c.Optimizer.Validate()
}

// checkExamples says which example cannot be trained on.
func (c Config) checkExamples(examples []Example, vocab, positions int) error {
	if len(examples) == 0 {
		return errors.New("there are no examples")
	}
	weight := 0.0
	for i, e := range examples {
		if err := checkExample(e, vocab); err != nil {
			return fmt.Errorf("example %d: %w", i+1, err)
		}
		if n := len(e.Tokens); n > min(c.RowTokens, positions)+1 {
			return fmt.Errorf("example %d has %d tokens; at most %d fit into a row and the model's context: use longer rows, or cut it", i+1, n, min(c.RowTokens, positions)+1)
		}
		for _, w := range e.Weights[1:] {
			weight += float64(w)
		}
	}
	if weight == 0 {
		return errors.New("no token of any example has a weight in the loss; was the wrong --loss chosen?")
	}
	return nil
}

// Schedule is the optimizer's Config for so many updates.
func (c Config) Schedule(steps int) trainer.Config {
	o := c.Optimizer
	o.Steps, o.WarmupSteps = steps, min(steps, max(1, int(c.Warmup*float64(steps))))
	return o
}

// fingerprint tells data apart: a checkpoint goes on with the examples that it was made with, and no others.
func fingerprint(examples []Example) string {
	h := sha256.New()
	for _, e := range examples {
		binary.Write(h, binary.LittleEndian, int64(len(e.Tokens)))
		binary.Write(h, binary.LittleEndian, e.Tokens)
		binary.Write(h, binary.LittleEndian, e.Weights)
	}
	return hex.EncodeToString(h.Sum(nil))
}
