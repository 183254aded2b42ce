package engine

import (
	"astro/engine/kvcache"
	"astro/sampler"
)

// submission is a Request in the Scheduler and what its samples share.
//
// The prompt of a Request with several samples is computed once: the lead does it while those of its siblings that have a
// slot follow (no pages, no rows). When all but the prompt's last token is computed, the followers fork the lead's pages;
// for siblings that have no slot yet, kept holds those pages. The last prompt token is left to each sample, because its
// logits are what the first draw needs.
type submission struct {
	number  uint64
	request Request
	version int64       // 0 = not decided: it is when the first sample is admitted
	samples []*sequence // by index
	alive   int         // samples that have not finished
	queued  bool        // no sample has been admitted yet; counted in Scheduler.queued
	limit   int         // tokens, prompt and output together, that a sample may reach
	stops   []int32     // ids that end a sample

	lead *sequence      // the running sample that computes the prompt for the others; nil = none
	kept *kvcache.Table // the prompt's pages for samples that wait; nil = none
}

// shared is the number of prompt tokens that one sample computes for all.
func (sub *submission) shared() int { return len(sub.request.Prompt) - 1 }

// heir says whether some sample could still fork the prompt instead of computing it.
func (sub *submission) heir() bool {
	for _, q := range sub.samples {
		if q.state == waiting && q.inherits() {
			return true
		}
	}
	return false
}

// state is where a Sequence is in its life: waiting -> running -> done, and back to waiting by preemption.
type state uint8

const (
	waiting state = iota // has no slot and no pages
	running              // has a slot; has a table unless it follows
	done
)

// sequence is one sample being generated.
//
// Invariant: positions 0 to computed-1 of tokens are in the table's pages, and computed < len(tokens) between two steps.
type sequence struct {
	sub      *submission
	index    int
	state    state
	stalled  bool    // its stream is full: it is not scheduled
	tokens   []int32 // prompt and output
	chain    *kvcache.Chain
	table    *kvcache.Table // nil = waiting or following
	computed int

	started   bool         // an Event has left
	preempted int          // times that it lost its slot
	cached    int          // prompt tokens that the first admission found in the prefix cache; -1 = not admitted yet
	scores    []TokenScore // of the prompt, if wanted
	scored    int          // positions whose rows have been scored, at least up to the prompt's last
	choices   []sampler.Choice
	versions  []int64     // of the Policy that drew each of choices
	embedded  *Embedding  // of the computed tokens
	draw      sampler.Row // what the row in flight samples with

	constraint *constraint // nil = any text
}

func newSequence(sub *submission, index, vocab int) (*sequence, error) {
	p := sub.request.Prompt
	follow, err := newConstraint(sub.request.Grammar, vocab)
	if err != nil {
		return nil, err
	}
	q := &sequence{constraint: follow, sub: sub, index: index, cached: -1, tokens: p[:len(p):len(p)]} // the first output token moves it to memory of its own
	if sub.request.Score && index == 0 {
		q.scores = make([]TokenScore, len(p))
		q.scores[0].Token = -1
	}
	return q, nil
}

// before orders Sequences by urgency: class, priority, arrival, sample. It is the order of admission, of rows, and,
// backwards, of preemption.
func (q *sequence) before(other *sequence) bool {
	a, b := q.sub, other.sub
	switch {
	case a.request.Class != b.request.Class:
		return a.request.Class < b.request.Class
	case a.request.Priority != b.request.Priority:
		return a.request.Priority < b.request.Priority
	case a.number != b.number:
		return a.number < b.number
	}
	return q.index < other.index
}

// pending is the number of tokens that must be computed before the next one can be drawn.
func (q *sequence) pending() int { return len(q.tokens) - q.computed }

func (q *sequence) output() []int32 { return q.tokens[len(q.sub.request.Prompt):] }

// follows says that it has a slot and waits for its lead to compute the prompt.
func (q *sequence) follows() bool { return q.state == running && q.table == nil }

func (q *sequence) class() Class { return q.sub.request.Class }

// runnable says that it can have a row in the next plan.
func (q *sequence) runnable() bool { return q.state == running && q.table != nil && !q.stalled }

// leads says whether siblings may take over the prompt that it computes: it has only that to compute.
func (q *sequence) leads() bool {
	return len(q.sub.samples) > 1 && q.sub.shared() > 0 && len(q.output()) == 0
}

// inherits says whether it may take over its prompt from a sibling: it scores nothing, so it need not compute it all.
func (q *sequence) inherits() bool { return q.leads() && q.scores == nil }

// awaitsPrompt says that it gains nothing by a slot yet: a sibling computes the prompt. Interactive ones take it all the same, or
// others that wait would, and the samples of one Request would begin far apart.
func (q *sequence) awaitsPrompt() bool {
	return q.sub.request.Class == Batch && q.sub.lead != nil && q.inherits()
}

// reuse is the number of leading tokens whose pages may come from the prefix cache: all but one, for the next draw needs
// logits, and none whose score is still wanted.
func (q *sequence) reuse() int {
	n := len(q.tokens) - 1
	if q.sub.request.Embed { // every token's hidden state is wanted
		return 0
	}
	if q.scores != nil && q.scored < len(q.scores) {
		n = min(n, q.scored)
	}
	return n
}

// wantsScores says whether feeding positions start to end-1 scores a prompt token that is not scored yet.
func (q *sequence) wantsScores(start, end int) bool {
	return q.scores != nil && max(start, q.scored) < min(end, len(q.scores)-1)
}

// row builds the Row that feeds the next n tokens.
func (q *sequence) row(n int) Row {
	r := &q.sub.request
	start, end := q.computed, q.computed+n
	row := Row{Embed: r.Embed, Version: q.sub.version, Tokens: q.tokens[start:end:end], Start: start, Pages: q.table.Pages()}
	if end == len(q.tokens) && r.MaxTokens > 0 {
		q.draw = sampler.Row{Params: r.Params, Prompt: r.Prompt, Output: q.output(), Allowed: r.Allowed, TopN: r.TopN}
		if q.constraint != nil {
			q.draw.Allowed = q.constraint.mask
		}
		q.draw.Params.Seed = SampleSeed(r.Params.Seed, q.index)
		if len(q.output()) < r.MinTokens && !q.constraint.onlyAmong(q.sub.stops) {
			q.draw.Banned = q.sub.stops
		}
		row.Sample = &q.draw
	}
	if q.wantsScores(start, end) {
		row.Score = &Score{Targets: q.targets(start, end), TopN: r.ScoreTopN}
	}
	return row
}

// targets are the prompt tokens after positions start to end-1; the prompt's last position has none.
func (q *sequence) targets(start, end int) []int32 {
	targets := make([]int32, end-start)
	for i := range targets {
		targets[i] = -1
		if next := start + i + 1; next < len(q.scores) {
			targets[i] = q.tokens[next]
		}
	}
	return targets
}

// completion is the sample as the store keeps it.
func (q *sequence) completion(reason FinishReason, err error) *Completion {
	r := &q.sub.request
	c := &Completion{RequestID: r.ID, Index: q.index, Prompt: r.Prompt, Output: q.output(), Params: r.Params,
		Class: r.Class, Salt: r.Salt, Finish: reason, Err: err}
	c.Params.Seed = SampleSeed(r.Params.Seed, q.index)
	for _, choice := range q.choices {
		c.Logprobs = append(c.Logprobs, choice.Logprob)
		c.Sampled = append(c.Sampled, choice.Sampled)
	}
	c.Versions = q.versions
	return c
}
