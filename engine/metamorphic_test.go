package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/sampler"
	"astro/sampler/grammar"
)

const (
	vocab       = 12
	tallContext = 40
)

// TestSameTokensInAnyCompany: whatever the page size, chunks, budget, slots, tokens per Step, prefix cache, arrival order, neighbours,
// cancelled neighbours and forced preemptions, a Request gives the tokens that it gives alone, one by one, without pages.
func TestSameTokensInAnyCompany(t *testing.T) {
	runs := 3000
	if testing.Short() {
		runs = 300
	}
	var total engine.Counters
	for seed := range uint64(runs) {
		c, err := crowd(seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		total.OutputTokens += c.OutputTokens
		total.Preemptions += c.Preemptions
		total.CachedTokens += c.CachedTokens
		total.Evictions += c.Evictions
		total.AheadTokens += c.AheadTokens
		total.DroppedTokens += c.DroppedTokens
	}
	t.Logf("%d runs: %d tokens, %d of them ahead and %d dropped, %d preemptions, %d prompt tokens from caches, %d evictions",
		runs, total.OutputTokens, total.AheadTokens, total.DroppedTokens, total.Preemptions, total.CachedTokens, total.Evictions)
	if total.Preemptions == 0 || total.CachedTokens == 0 || total.Evictions == 0 || total.AheadTokens == 0 || total.DroppedTokens == 0 {
		t.Error("some mechanism was never used: the test tests nothing")
	}
}

// crowd runs random Requests under a random Config and compares each sample with the reference.
func crowd(seed uint64) (engine.Counters, error) {
	rng := rand.New(rand.NewPCG(seed, 7))
	d := newDriver(randomConfig(rng))
	requests := map[uint64]engine.Request{}
	disturbed := map[uint64]bool{} // cancelled or stopped: only their beginnings are comparable
	for left := 2 + rng.IntN(8); left > 0 || !d.scheduler.Idle(); {
		switch {
		case left > 0 && rng.IntN(2) == 0:
			r := randomRequest(rng)
			if number, err := d.submit(r); err == nil {
				requests[number] = r
			}
			left--
		case rng.IntN(12) == 0 && len(requests) > 0:
			if err := d.disturb(rng, disturbed); err != nil {
				return engine.Counters{}, err
			}
		default:
			if _, err := d.step(); err != nil {
				return engine.Counters{}, err
			}
		}
	}
	for number, r := range requests {
		if err := d.compare(number, r, disturbed[number]); err != nil {
			return engine.Counters{}, fmt.Errorf("%+v, request %d %+v: %w", d.config, number, r, err)
		}
	}
	return d.scheduler.Counters(), d.checkEmpty()
}

func randomConfig(rng *rand.Rand) engine.Config {
	c := engine.Config{
		Vocab: vocab, EOS: []int32{0}, PageTokens: 1 + rng.IntN(8), MaxSlots: 1 + rng.IntN(6), ChunkTokens: 1 + rng.IntN(12),
		MaxContextTokens: tallContext, MaxSamples: 5, MaxQueuedRequests: 100, MaxQueuedTokens: 10_000, PrefixCache: rng.IntN(3) > 0,
	}
	c.StepTokens = c.MaxSlots + rng.IntN(16)
	c.DecodeSteps, c.InteractiveAhead = []int{0, 1, 2, 4, 5, 8}[rng.IntN(6)], rng.IntN(2) == 0
	least := (tallContext + c.PageTokens - 1) / c.PageTokens
	c.Pages = least + rng.IntN(1+least*rng.IntN(4))
	return c
}

func randomRequest(rng *rand.Rand) engine.Request {
	r := engine.Request{
		Prompt: make([]int32, 1+rng.IntN(24)), N: 1 + rng.IntN(5)/2, MaxTokens: rng.IntN(20), Params: sampler.Default(),
		IgnoreEOS: rng.IntN(3) == 0, Score: rng.IntN(5) == 0, ScoreTopN: rng.IntN(3), TopN: rng.IntN(3),
		Class: engine.Class(rng.IntN(2)), Salt: []string{"", "b"}[rng.IntN(2)],
	}
	for i := range r.Prompt {
		r.Prompt[i] = int32(rng.IntN(12) / 11) // nearly all equal: many shared Prefixes
	}
	r.Params.Seed = rng.Uint64N(4)
	r.Params.Temperature = float32(rng.IntN(3)) * 0.7
	if rng.IntN(3) == 0 {
		r.MinTokens, r.StopTokens = rng.IntN(r.MaxTokens+1), []int32{int32(rng.IntN(vocab))}
	}
	if rng.IntN(4) == 0 {
		r.Allowed, r.MinTokens = []uint64{rng.Uint64() | 1<<rng.IntN(vocab)}, 0
	}
	if rng.IntN(4) == 0 {
		r.Allowed, r.IgnoreEOS = nil, false
		r.Grammar = someGrammar(rng)
	}
	if r.Priority = int32(rng.IntN(3) - 1); r.Priority > 0 { // less urgent work is often Batch
		r.Class = engine.Batch
	}
	return r
}

// someGrammar is over the vocabulary that spells tokens 1 to 11 as a to k. Each Request has its own: goroutines do not share them.
func someGrammar(rng *rand.Rand) *grammar.Grammar {
	tokens := make([][]byte, vocab)
	for i := 1; i < vocab; i++ {
		tokens[i] = []byte{'a' + byte(i) - 1}
	}
	v, err := grammar.NewVocab(tokens, []int32{0})
	if err != nil {
		panic(err)
	}
	expression := []string{"[a-e]*", "(ab|cd)+e?", "a{3,9}", "[a-k]", "(a|bc){2}[d-k]*k"}[rng.IntN(5)]
	g, err := grammar.Compile(grammar.Regex(expression), v, grammar.Limits{})
	if err != nil {
		panic(err)
	}
	return g
}

// disturb cancels, stops, stalls or preempts somebody.
func (d *driver) disturb(rng *rand.Rand, disturbed map[uint64]bool) error {
	number := 1 + rng.Uint64N(uint64(len(d.collected)))
	index := rng.IntN(len(d.collected[number].samples))
	var events []engine.Event
	switch rng.IntN(8) {
	case 0:
		disturbed[number] = true
		events = d.scheduler.Cancel(number)
	case 1:
		disturbed[number] = true
		events = d.scheduler.Stop(number, index, -1)
	case 2, 3:
		return d.stallForAWhile(number, index, rng.IntN(6))
	default:
		d.scheduler.Preempt(number, index)
	}
	_, err := d.collect(events)
	return err
}

// stallForAWhile lets a client be slow for some steps.
func (d *driver) stallForAWhile(number uint64, index, steps int) error {
	before := d.collected[number].samples[index].events
	d.scheduler.Stall(number, index, true)
	for range steps {
		if _, err := d.step(); err != nil {
			return err
		}
	}
	if after := d.collected[number].samples[index].events; before > 0 && after > before {
		return fmt.Errorf("request %d sample %d got %d events while its stream was full", number, index, after-before)
	}
	d.scheduler.Stall(number, index, false)
	return d.check()
}

// compare wants what Reference gives; of a disturbed Request only as far as it came.
func (d *driver) compare(number uint64, r engine.Request, disturbed bool) error {
	got := d.collected[number]
	for i, s := range got.samples {
		want := enginetest.Reference(d.config, r, 1, i)
		n := len(want.Output)
		if disturbed {
			n = min(n, len(s.tokens))
		} else if s.finish != want.Finish {
			return fmt.Errorf("sample %d finished by %q; want %q", i, s.finish, want.Finish)
		}
		if !slices.Equal(s.tokens, want.Output[:n]) || !slices.Equal(s.logprobs, want.Logprobs[:n]) || !slices.Equal(s.sampled, want.Sampled[:n]) {
			return fmt.Errorf("sample %d: tokens %v (%v, %v); want %v", i, s.tokens, s.logprobs, s.sampled, want)
		}
	}
	if r.Score && !disturbed {
		return sameScores(got.scores, enginetest.ReferenceScores(d.config, r, 1))
	}
	return nil
}

func sameScores(got, want []engine.TokenScore) error {
	same := slices.EqualFunc(got, want, func(a, b engine.TokenScore) bool {
		return a.TokenLogprob == b.TokenLogprob && slices.Equal(a.Top, b.Top)
	})
	if !same {
		return fmt.Errorf("scores %v; want %v", got, want)
	}
	return nil
}

// checkEmpty wants every page back and every version but the current one retired.
func (d *driver) checkEmpty() error {
	l := d.scheduler.Load()
	if l.Pages.Held != 0 || l.Queued != [engine.Classes]engine.Queue{} || l.Waiting+l.Running != 0 {
		return fmt.Errorf("after all work: %+v; want nothing held", l)
	}
	if live := d.runner.Versions(); !slices.Equal(live, []int64{d.scheduler.Version()}) {
		return fmt.Errorf("after all work versions %v are live; want the current one", live)
	}
	return nil
}
