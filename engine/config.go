package engine

import (
	"errors"
	"fmt"

	"astro/engine/kvcache"
)

// Config bounds what a Scheduler does. It does not change while it runs.
type Config struct {
	Vocab int     // token ids are 0 to Vocab-1; all ids in a Request are checked against it
	EOS   []int32 // the model's end-of-sequence ids; may be empty

	Pages            int // of the KV pools; the Runner must have as many
	PageTokens       int // positions per page; small pages waste less and share more, large ones are faster to gather
	MaxSlots         int // running Sequences, and therefore Rows in a Plan
	StepTokens       int // tokens fed per Step, at least MaxSlots; it bounds the time between two tokens of a decode
	ChunkTokens      int // tokens of one prefill Row, at most
	BatchTokens      int // of them, those of Batch in a Step that has Interactive Rows too; 0 = no bound of their own
	MaxContextTokens int // prompt and output of a Sequence together, at most; never more than the pools hold

	// DecodeSteps is how many tokens a Step draws for each decode Row where all of them go ahead: there are no prompts to read, all Rows are
	// of Batch, and each draw depends on logits, seed and position alone. It saves dispatch and scheduling, and what arrives meanwhile
	// waits for so many tokens. A Sequence that ends earlier leaves its Slot idle until then. 0 and 1 = one token.
	DecodeSteps      int
	InteractiveAhead bool // Rows of Interactive go ahead too: more tokens a second, which arrive DecodeSteps at a time

	MaxSamples int // N of one Request, at most

	// Each Class has a queue of its own with these bounds, so that Batch never takes the room of Interactive.
	MaxQueuedRequests int // Requests of a Class that wait for their first slot; one more is refused with ErrQueueFull
	MaxQueuedTokens   int // prompt tokens of those Requests, at least MaxContextTokens, so that an empty queue takes any Request

	PrefixCache bool   // share the pages of equal Prefixes
	CacheSecret []byte // keys the hash chain of Prefixes; Engine draws a random one if it is empty
}

// MaxDecodeSteps bounds Config.DecodeSteps: what runs in one program cannot be stopped.
const MaxDecodeSteps = 32

// DefaultConfig is a sound start for a machine that runs slots Sequences of up to contextTokens tokens side by side, with
// pools that hold half of them at full length.
func DefaultConfig(vocab, slots, contextTokens int) Config {
	const pageTokens = 16
	pages := (contextTokens + pageTokens - 1) / pageTokens
	return Config{
		Vocab: vocab, Pages: pages * max(1, slots/2), PageTokens: pageTokens, MaxSlots: slots,
		StepTokens: slots + 256, ChunkTokens: 256, MaxContextTokens: contextTokens,
		MaxSamples: 128, MaxQueuedRequests: 1024, MaxQueuedTokens: max(1<<20, contextTokens), PrefixCache: true,
	}
}

// Validate says what is wrong with the Config.
func (c Config) Validate() error {
	for _, f := range []struct {
		name  string
		value int
	}{
		{"Vocab", c.Vocab}, {"Pages", c.Pages}, {"PageTokens", c.PageTokens}, {"MaxSlots", c.MaxSlots},
		{"StepTokens", c.StepTokens}, {"ChunkTokens", c.ChunkTokens}, {"MaxContextTokens", c.MaxContextTokens},
		{"MaxSamples", c.MaxSamples}, {"MaxQueuedRequests", c.MaxQueuedRequests}, {"MaxQueuedTokens", c.MaxQueuedTokens},
	} {
		if f.value < 1 {
			return fmt.Errorf("engine config: %s must be at least 1, got %d", f.name, f.value)
		}
	}
	if c.BatchTokens < 0 {
		return fmt.Errorf("engine config: BatchTokens is %d; want at least 0", c.BatchTokens)
	}
	if c.DecodeSteps < 0 || c.DecodeSteps > MaxDecodeSteps {
		return fmt.Errorf("engine config: DecodeSteps is %d; want 0 to %d", c.DecodeSteps, MaxDecodeSteps)
	}
	if c.StepTokens < c.MaxSlots {
		return fmt.Errorf("engine config: StepTokens (%d) must be at least MaxSlots (%d), or a full batch of decodes would not fit in a step",
			c.StepTokens, c.MaxSlots)
	}
	if c.MaxQueuedTokens < c.MaxContextTokens {
		return fmt.Errorf("engine config: MaxQueuedTokens (%d) must be at least MaxContextTokens (%d), or the longest prompt could never be queued",
			c.MaxQueuedTokens, c.MaxContextTokens)
	}
	if c.contextTokens() < 2 {
		return errors.New("engine config: the context must hold at least one prompt token and one new token")
	}
	for _, id := range c.EOS {
		if id < 0 || int(id) >= c.Vocab {
			return fmt.Errorf("engine config: end-of-sequence id %d is outside the vocabulary of %d", id, c.Vocab)
		}
	}
	return c.cache().Validate()
}

// contextTokens is the longest Sequence that can run: what is allowed, and what the pools hold.
func (c Config) contextTokens() int { return min(c.MaxContextTokens, c.Pages*c.PageTokens) }

func (c Config) cache() kvcache.Config {
	return kvcache.Config{Pages: c.Pages, PageTokens: c.PageTokens, Prefixes: c.PrefixCache, Secret: c.CacheSecret}
}
