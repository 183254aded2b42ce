// Package engine turns Requests into Events: continuous batching over a paged KV cache, tokens in, tokens out.
//
// Scheduler decides (no clock, goroutine, device or log), a Runner executes, Engine is the loop between them.
package engine

import (
	"astro/sampler"
	"astro/sampler/grammar"
)

// Class orders Requests of different urgency: every waiting Interactive request is admitted before any Batch one.
type Class uint8

const (
	Interactive Class = iota // somebody waits for it
	Batch                    // rollouts, evaluation

	Classes = 2 // there are so many
)

// Request is what a caller asks of the engine. Submit takes a copy of the struct; the slices must not change afterwards.
type Request struct {
	ID         string         // 128 random bits in hex; Submit makes one if it is empty
	Prompt     []int32        // token ids, at least one
	N          int            // samples, at least 1; they share the prompt's pages
	Params     sampler.Params // sample i draws with SampleSeed(Params.Seed, i)
	Seeded     bool           // Params.Seed is the caller's; false = Engine.Submit draws a random one
	MaxTokens  int            // new tokens per sample; 0 = score the prompt only
	MinTokens  int            // end-of-sequence and StopTokens are banned before this many new tokens
	StopTokens []int32        // ids that end a sample, besides the model's own end-of-sequence ids
	IgnoreEOS  bool           // the model's end-of-sequence ids do not end a sample
	Allowed    []uint64       // tokens that may be drawn, as in sampler.Row; nil = all

	// Grammar, if it is not nil, is what the output must follow: nothing else is drawn, and a sample ends when its text is complete and
	// nothing may follow. It belongs to the engine's goroutine from Submit on; Requests may share one. It excludes Allowed and IgnoreEOS.
	// MinTokens does not hold a text back that can only end.
	Grammar *grammar.Grammar

	TopN      int  // alternatives per generated token, 0 to sampler.MaxTopLogprobs
	Score     bool // log-probabilities of the prompt's tokens are wanted (the first token has none)
	ScoreTopN int  // alternatives per prompt token
	Embed     bool // the prompt\'s Embedding is wanted; with MaxTokens 0 and one sample
	Class     Class
	Priority  int32  // among Requests of one Class the lowest is admitted first, and preempted last
	Salt      string // tenant: prefixes are shared only between equal salts
	Version   int64  // policy to run on; 0 = the current one when the Request is admitted
}

// FinishReason says why a sample ended; "" means that it goes on.
type FinishReason string

const (
	FinishStop   FinishReason = "stop"   // end-of-sequence, a stop token, or the caller saw a stop string (Stream.Stop)
	FinishLength FinishReason = "length" // MaxTokens or the context length
	FinishCancel FinishReason = "cancel" // the caller went away
	FinishError  FinishReason = "error"  // the device failed; Event.Err says how
)

// Event is one token, or the end of a sample, leaving the engine.
type Event struct {
	Request uint64         // number that Scheduler.Submit gave
	Index   int            // which of the Request's N samples
	Choice  sampler.Choice // the token; valid if HasToken
	Version int64          // of the Policy that drew it

	HasToken bool         // false for an end without a token (length 0, cancel, error)
	Finish   FinishReason // set on the sample's last Event
	StopID   int32        // the token id that ended it, or -1
	Err      error        // with FinishError

	PromptScores []TokenScore // on the first Event of sample 0 if Request.Score: one per prompt token, the first without a value
	Preemptions  int          // on the last Event: times that the sample lost its slot to others
	Embedding    *Embedding   // on the last Event, if Request.Embed
	CachedTokens int          // on the first Event of a sample: prompt tokens that came from the prefix cache

	completion *Completion // with Finish: the whole sample, for Options.OnCompletion
}

// Completion is one finished sample, as the store keeps it: nothing in it is ever tokenised again.
type Completion struct {
	RequestID string
	Index     int
	Prompt    []int32
	Output    []int32
	Logprobs  []float32 // of Output under the raw logits
	Sampled   []float32 // of Output in the distribution it was drawn from
	Versions  []int64   // Policy version of each Output token
	Params    sampler.Params
	Class     Class
	Salt      string
	Finish    FinishReason
	Err       error // with FinishError
}
