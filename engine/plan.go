package engine

import (
	"time"

	"errors"

	"astro/model"
	"astro/sampler"
)

// Plan is what one Step executes: copies first, then all rows. The Scheduler makes it, a Runner carries it out.
type Plan struct {
	Copies []PageCopy // pages to duplicate before any row runs (copy-on-write)
	Rows   []Row
}

// Empty says that there is nothing to run.
func (p *Plan) Empty() bool { return len(p.Rows) == 0 }

// PageCopy duplicates the content of one page, in the K and V pools of every layer.
type PageCopy struct{ From, To int32 }

// Row feeds tokens of one Sequence: one for a decode, a chunk of the prompt for a prefill. Keys and values of Tokens are
// written to the pages; the logits of the last token are sampled if Sample is set, those of every token are scored if Score is.
//
// Ahead is 0 unless one token is fed and drawn, whose draw is Plain, and neither Score nor Embed is set. Rows of one Plan that go ahead
// do so by the same number, or by less where fewer tokens are left to their limit.
type Row struct {
	Version int64        // of the Policy that must run it
	Tokens  []int32      // at positions Start, Start+1, ...; at least one; read only
	Start   int          // position of Tokens[0]; positions before it are in Pages already
	Pages   []int32      // page table covering positions 0 to Start+len(Tokens)+Ahead-1; read only
	Sample  *sampler.Row // nil = no token is drawn
	Ahead   int          // tokens drawn after Sample's: each drawn token is fed at the next position, and one more is drawn
	Score   *Score       // nil = no token is scored
	Embed   bool         // hidden states are wanted
}

// Score asks for the log-probabilities of given tokens.
type Score struct {
	Targets []int32 // Targets[i] is scored by the logits of Tokens[i] (it is the token after it); len = len(Tokens); -1 = none
	TopN    int     // alternatives wanted at each position, 0 to sampler.MaxTopLogprobs
}

// Result is what a Plan gave, row by row.
type Result struct {
	Rows []RowResult   // len = len(Plan.Rows)
	Busy time.Duration // of the Runner's time: inside programs, on a device or the host; the rest is the host's own
}

// RowResult holds what its Row asked for.
type RowResult struct {
	Choices   []sampler.Choice // 1+Ahead of them if Sample was set, in order; with Err those before the failure
	Scores    []TokenScore     // len(Score.Targets) if Score was set
	Embedding *Embedding       // of the fed tokens, if Embed was set
	Err       error            // this row alone failed (its logits were not finite): its Sequence ends with FinishError
}

// TokenScore is a given token's log-probability and the best alternatives at its position.
type TokenScore struct {
	sampler.TokenLogprob                        // Token = -1 where nothing was to be scored
	Top                  []sampler.TokenLogprob // best first
}

// ErrPoolsLost says that a failed step took the KV pools with it: a Runner has new, empty ones.
var ErrPoolsLost = errors.New("the KV pools were lost with the failed step")

// Runner executes Plans on a device. It owns the KV pools; page p of every Sequence is page p of those pools.
// Only the engine's goroutine calls it. enginetest.Runner is the deterministic fake.
type Runner interface {
	// Run executes one Plan. An error means that no row of it can be trusted; the engine then fails those sequences. Where it
	// wraps ErrPoolsLost, the content of every page is gone too: the engine also forgets all prefixes and recomputes the rest.
	Run(plan *Plan) (Result, error)
	// Prepare does what Publish would take long for. Unlike the others it may be called while a Plan runs.
	Prepare(p *model.Policy) error
	// Publish makes a Policy's version runnable; Retire forgets one that no Sequence uses any more.
	Publish(p *model.Policy) error
	Retire(version int64)
}
