package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/sampler"
	"astro/sampler/grammar"
)

// TestManyStepsSameTokens: with 1, 2, 4 and 8 tokens a Step, under pressure and disturbance, rollouts get the tokens that they get alone.
func TestManyStepsSameTokens(t *testing.T) {
	for _, steps := range []int{1, 2, 4, 8} {
		var total engine.Counters
		for seed := range uint64(200) {
			c, err := rollOut(seed, steps)
			if err != nil {
				t.Fatalf("%d steps, seed %d: %v", steps, seed, err)
			}
			total.OutputTokens += c.OutputTokens
			total.AheadTokens += c.AheadTokens
			total.DroppedTokens += c.DroppedTokens
			total.Preemptions += c.Preemptions
		}
		t.Logf("%d steps: %+v", steps, total)
		if used := total.AheadTokens > 0 && total.DroppedTokens > 0; used != (steps > 1) || total.Preemptions == 0 {
			t.Errorf("%d steps: %+v; want tokens ahead and dropped where there are steps, and preemptions", steps, total)
		}
	}
}

// rollOut runs random plain Requests of Batch and compares each sample with the reference.
func rollOut(seed uint64, steps int) (engine.Counters, error) {
	rng := rand.New(rand.NewPCG(seed, 11))
	c := randomConfig(rng)
	c.DecodeSteps, c.InteractiveAhead = steps, false
	d := newDriver(c)
	requests, disturbed := map[uint64]engine.Request{}, map[uint64]bool{}
	for left := 6; left > 0 || !d.scheduler.Idle(); {
		var err error
		switch {
		case left > 0 && rng.IntN(2) == 0:
			left--
			r := request(rng.Uint64N(4), slices.Repeat([]int32{1}, 1+rng.IntN(9))...)
			r.Class, r.N, r.MaxTokens, r.IgnoreEOS = engine.Batch, 1+rng.IntN(3), 1+rng.IntN(25), rng.IntN(2) == 0
			number, refused := d.submit(r)
			if refused == nil {
				requests[number] = r
			}
		case rng.IntN(15) == 0 && len(requests) > 0:
			err = d.disturb(rng, disturbed)
		default:
			_, err = d.step()
		}
		if err != nil {
			return engine.Counters{}, err
		}
	}
	for number, r := range requests {
		if err := d.compare(number, r, disturbed[number]); err != nil {
			return engine.Counters{}, fmt.Errorf("%+v, request %d %+v: %w", d.config, number, r, err)
		}
	}
	return d.scheduler.Counters(), d.checkEmpty()
}

// TestWhoGoesAhead: one token of a draw that others decide, or that somebody waits for, is one token for all.
func TestWhoGoesAhead(t *testing.T) {
	plain := func(*engine.Request) {}
	for name, c := range map[string]struct {
		change func(*engine.Request)
		ahead  int
	}{
		"plain":        {plain, 3},
		"near its end": {func(r *engine.Request) { r.MaxTokens = 3 }, 3},
		"greedy":       {func(r *engine.Request) { r.Params = sampler.Greedy() }, 3},
		"cut":          {func(r *engine.Request) { r.Params.TopK, r.Params.TopP, r.Params.MinP = 3, 0.5, 0.1 }, 3},
		"interactive":  {func(r *engine.Request) { r.Class = engine.Interactive }, 0},
		"penalty":      {func(r *engine.Request) { r.Params.FrequencyPenalty = 1 }, 0},
		"repetition":   {func(r *engine.Request) { r.Params.RepetitionPenalty = 1.1 }, 0},
		"bias":         {func(r *engine.Request) { r.Params.LogitBias = map[int32]float32{3: 1} }, 0},
		"top":          {func(r *engine.Request) { r.TopN = 1 }, 0},
		"least":        {func(r *engine.Request) { r.MinTokens, r.StopTokens = 5, []int32{3} }, 0},
		"allowed":      {func(r *engine.Request) { r.Allowed = []uint64{1<<vocab - 1} }, 0},
		"grammar": {func(r *engine.Request) {
			r.IgnoreEOS = false
			r.Grammar = letters(t, "[a-k]{30}")
		}, 0},
	} {
		config := smallConfig()
		config.DecodeSteps = 4
		d := newDriver(config)
		other, r := request(1, 1, 2, 3), request(2, 4, 5)
		other.Class, r.Class, other.MaxTokens, r.MaxTokens = engine.Batch, engine.Batch, 20, 20
		c.change(&r)
		for _, r := range []engine.Request{other, r} {
			if _, err := d.submit(r); err != nil {
				t.Fatal(name, err)
			}
		}
		for range 2 { // the prompts, one by one token
			if _, err := d.step(); err != nil {
				t.Fatal(name, err)
			}
		}
		ahead := 0
		for _, row := range d.plan.Rows {
			ahead = max(ahead, row.Ahead)
		}
		if len(d.plan.Rows) != 2 || ahead != c.ahead {
			t.Errorf("%s: %d rows go ahead by %d; want 2, by %d", name, len(d.plan.Rows), ahead, c.ahead)
		}
	}
}

// letters is a grammar over tokens 1 to 11 as a to k.
func letters(t *testing.T, expression string) *grammar.Grammar {
	t.Helper()
	tokens := make([][]byte, vocab)
	for i := 1; i < vocab; i++ {
		tokens[i] = []byte{'a' + byte(i) - 1}
	}
	v, err := grammar.NewVocab(tokens, []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	g, err := grammar.Compile(grammar.Regex(expression), v, grammar.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestRowFailsAhead: a draw that fails in the middle of a Step ends its Sequence there; what was drawn before it is kept, what the neighbour
// draws is right.
func TestRowFailsAhead(t *testing.T) {
	config := smallConfig()
	config.DecodeSteps = 8
	d := newDriver(config)
	bad, good := request(1, 1, 2, 3), request(2, 4, 5, 6)
	bad.Class, good.Class, bad.MaxTokens, good.MaxTokens = engine.Batch, engine.Batch, 20, 20
	d.fake().OnRow = func(row *engine.Row) error {
		if row.Start == 6 && row.Sample.Params.Seed == bad.Params.Seed {
			return fmt.Errorf("at position 6: %w", sampler.ErrNotFinite)
		}
		return nil
	}
	for _, r := range []engine.Request{bad, good} {
		if _, err := d.submit(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(d.finish(), d.compare(2, good, false)); err != nil {
		t.Fatal(err)
	}
	want := enginetest.Reference(config, bad, 1, 0).Output[:4] // of positions 3 to 6; what position 6 gives failed
	if s := d.collected[1].samples[0]; s.finish != engine.FinishError || !slices.Equal(s.tokens, want) {
		t.Errorf("tokens %v, finish %q; want %v and an error", s.tokens, s.finish, want)
	}
	if c := d.scheduler.Counters(); c.NotFinite != 1 || c.AheadTokens == 0 {
		t.Errorf("%+v; want one sample that was not finite, and tokens ahead", c)
	}
}

// TestBadRowsAhead: a Runner that drew too few or too many ends its row alone.
func TestBadRowsAhead(t *testing.T) {
	for name, spoil := range map[string]func(r *engine.RowResult){
		"few":  func(r *engine.RowResult) { r.Choices = r.Choices[:2] },
		"many": func(r *engine.RowResult) { r.Choices = append(r.Choices, r.Choices[0]) },
	} {
		config := smallConfig()
		config.DecodeSteps = 4
		d := newDriver(config)
		r := request(1, 1)
		r.Class, r.MaxTokens = engine.Batch, 20
		if _, err := d.submit(r); err != nil {
			t.Fatal(err)
		}
		result, err := d.runner.Run(d.scheduler.Next())
		if err != nil || len(result.Rows[0].Choices) != 4 {
			t.Fatalf("%+v, %v; want four draws", result, err)
		}
		spoil(&result.Rows[0])
		events, err := d.collect(d.scheduler.Apply(result))
		if err != nil || len(events) != 1 || events[0].Finish != engine.FinishError {
			t.Errorf("%s: %+v, %v; want an error alone", name, events, err)
		}
	}
}
