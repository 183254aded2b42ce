package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"astro/engine"
	"astro/sampler"
)

// feature is something that a Request may ask for, or that may happen while it runs.
type feature struct {
	name   string
	set    func(*engine.Request)
	happen func(*driver, uint64) error // after the second step; the Request's number
}

// matrix is every feature of the engine. Those that exclude each other are in refusedPairs.
func matrix() []feature {
	set := func(name string, f func(*engine.Request)) feature { return feature{name: name, set: f} }
	params := func(name string, f func(*sampler.Params)) feature {
		return feature{name: name, set: func(r *engine.Request) { f(&r.Params) }}
	}
	happen := func(name string, f func(*driver, uint64) error) feature { return feature{name: name, happen: f} }
	return []feature{
		set("n", func(r *engine.Request) { r.N = 3 }), set("logprobs", func(r *engine.Request) { r.TopN = 3 }),
		set("prompt_logprobs", func(r *engine.Request) { r.Score, r.ScoreTopN = true, 2 }),
		params("penalties", func(p *sampler.Params) { p.PresencePenalty, p.FrequencyPenalty, p.RepetitionPenalty = 1, -0.5, 1.3 }),
		params("seed", func(p *sampler.Params) { p.Seed = 1<<64 - 1 }), params("greedy", func(p *sampler.Params) { p.Temperature = 0 }),
		params("limits", func(p *sampler.Params) { p.TopK, p.TopP, p.MinP = 3, 0.5, 0.1 }),
		params("logit_bias", func(p *sampler.Params) { p.LogitBias = map[int32]float32{4: 5, 11: -100} }),
		set("stop", func(r *engine.Request) { r.StopTokens = []int32{3, 5} }), set("min_tokens", func(r *engine.Request) { r.MinTokens = 3 }),
		set("grammar", func(r *engine.Request) { r.Grammar = someGrammar(rand.New(rand.NewPCG(1, 1))) }),
		set("allowed", func(r *engine.Request) { r.Allowed = []uint64{0b1011_1111} }), set("ignore_eos", func(r *engine.Request) { r.IgnoreEOS = true }),
		set("priority", func(r *engine.Request) { r.Priority, r.Class = -7, engine.Batch }), set("salt", func(r *engine.Request) { r.Salt = "b" }),
		set("embed", func(r *engine.Request) { r.Embed, r.MaxTokens = true, 0 }), set("score only", func(r *engine.Request) { r.Score, r.MaxTokens = true, 0 }),
		set("chunked", func(r *engine.Request) {
			r.Prompt = slices.Concat(r.Prompt, []int32{9, 9, 8, 8, 7, 7, 6, 6, 5, 5, 4, 4})
		}),
		set("long", func(r *engine.Request) { r.MaxTokens = min(r.MaxTokens*1000, 1000) }), // cut at the context
		happen("swap", func(d *driver, _ uint64) error { return d.swap(d.scheduler.Version() + 1) }),
		happen("preempt", func(d *driver, number uint64) error { d.scheduler.Preempt(number, 0); return d.check() }),
		happen("stall", func(d *driver, number uint64) error { return d.stallForAWhile(number, 0, 3) }),
		happen("fail", func(d *driver, _ uint64) error { return d.failStepOf(firstOfHostile) }),
	}
}

// firstOfHostile is the first token of prompts whose rows fail.
const firstOfHostile = 11

// failStepOf submits a Request whose row the Runner fails.
func (d *driver) failStepOf(token int32) error {
	d.fake().OnRow = func(row *engine.Row) error {
		if row.Start == 0 && row.Tokens[0] == token {
			return errors.New("logits are not finite")
		}
		return nil
	}
	_, err := d.submit(request(8, token, 2))
	return err
}

// refusedPairs are the pairs that contradict each other; Submit says so.
var refusedPairs = []string{"allowed+grammar", "grammar+ignore_eos", "embed+n", "embed+prompt_logprobs", "embed+score only", "embed+min_tokens", "min_tokens+score only"}

func pairName(a, b feature) string {
	names := []string{a.name, b.name}
	slices.Sort(names)
	return names[0] + "+" + names[1]
}

// R6: every pair of features, with a prefix that is cached, and neighbours, one of which is cancelled on the way. Each answer is the
// one that its Request gets alone, the Scheduler goes on, and no page is lost.
func TestSec_R06PairwiseMatrix(t *testing.T) {
	all, pairs := matrix(), 0
	for i, a := range all {
		for _, b := range all[:i+1] { // each with itself: it alone
			pairs++
			if err := onePair(a, b); err != nil {
				t.Errorf("%s: %v", pairName(a, b), err)
			}
		}
	}
	t.Logf("%d pairs of %d features", pairs, len(all))
}

func onePair(a, b feature) error {
	c := smallConfig()
	c.ChunkTokens, c.MaxQueuedTokens = 4, 1000
	d := newDriver(c)
	r := request(3, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	r.IgnoreEOS = false
	before := r
	if _, err := d.submit(before); err != nil { // so that its prefix is cached
		return err
	}
	if err := d.finish(); err != nil {
		return err
	}
	for _, f := range []feature{a, b} {
		if f.set != nil {
			f.set(&r)
		}
	}
	number, err := d.submit(r)
	if slices.Contains(refusedPairs, pairName(a, b)) {
		if !errors.Is(err, engine.ErrInvalidRequest) {
			return fmt.Errorf("submit says %v; want a refusal", err)
		}
		return d.checkEmpty()
	}
	if err != nil {
		return err
	}
	return d.runPair(number, r, a, b)
}

// runPair runs a Request among neighbours, lets happen what the features want, and compares.
func (d *driver) runPair(number uint64, r engine.Request, a, b feature) error {
	neighbour, gone := request(5, 1, 2, 3, 4, 7), request(6, 9, 9)
	first, err := d.submit(neighbour)
	second, errGone := d.submit(gone)
	if err := errors.Join(err, errGone); err != nil {
		return err
	}
	for step := 0; !d.scheduler.Idle(); step++ {
		_, err := d.step()
		if err == nil && step == 1 {
			err = d.happenAll(number, second, a, b)
		}
		if err != nil {
			return err
		}
	}
	if embedding := d.collected[number].embedding; r.Embed && (embedding == nil || embedding.Tokens != len(r.Prompt)) {
		return fmt.Errorf("the embedding is %+v", embedding)
	}
	return errors.Join(d.compare(number, r, false), d.compare(first, neighbour, false), d.compare(second, gone, true), d.checkEmpty())
}

func (d *driver) happenAll(number, neighbour uint64, all ...feature) error {
	for _, f := range all {
		if f.happen != nil {
			if err := f.happen(d, number); err != nil {
				return err
			}
		}
	}
	_, err := d.collect(d.scheduler.Cancel(neighbour))
	return err
}
