package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/model"
	"astro/sampler"
)

func request(seed uint64, prompt ...int32) engine.Request {
	r := engine.Request{Prompt: prompt, N: 1, MaxTokens: 8, Params: sampler.Default(), Seeded: true, IgnoreEOS: true}
	r.Params.Seed = seed
	return r
}

// read takes all Events of a stream and files its tokens by sample.
func read(t *testing.T, s *engine.Stream) []sampleEvents {
	t.Helper()
	samples := make([]sampleEvents, s.Request().N)
	for {
		e, err := s.Next(t.Context())
		if err == io.EOF {
			return samples
		}
		if err != nil {
			t.Fatal(err)
		}
		got := &samples[e.Index]
		if e.HasToken {
			got.tokens, got.versions = append(got.tokens, e.Choice.Token), append(got.versions, e.Version)
		}
		got.finish, got.stopID = e.Finish, e.StopID
	}
}

func submit(t *testing.T, e *engine.Engine, r engine.Request) *engine.Stream {
	t.Helper()
	s, err := e.Submit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOneRequest is the whole path of a Request with two samples: stream, end of file, completions.
func TestOneRequest(t *testing.T) {
	var completions []engine.Completion
	o := enginetest.Options(32)
	o.OnCompletion = func(c engine.Completion) { completions = append(completions, c) }
	e := enginetest.Start(t, o, nil)
	r := request(7, 1, 2, 3)
	r.N = 2
	s := submit(t, e, r)
	samples := read(t, s)
	for i, got := range samples {
		want := enginetest.Reference(o.Config, r, 1, i)
		if !slices.Equal(got.tokens, want.Output) || got.finish != want.Finish {
			t.Errorf("sample %d: %+v; want %+v", i, got, want)
		}
		k := slices.IndexFunc(completions, func(c engine.Completion) bool { return c.Index == i })
		if k < 0 {
			t.Fatalf("no completion of sample %d", i)
		}
		want.RequestID = s.Request().ID
		if c := completions[k]; fmt.Sprint(c) != fmt.Sprint(want) {
			t.Errorf("completion %+v; want %+v", c, want)
		}
	}
	if len(s.Request().ID) != 32 {
		t.Errorf("id %q; want 32 hex digits", s.Request().ID)
	}
}

// TestSeeds: without Seeded every Request draws its own seed; with it the same Request gives the same tokens.
func TestSeeds(t *testing.T) {
	e := enginetest.Start(t, enginetest.Options(32), nil)
	r := request(5, 1, 2, 3)
	a, b := submit(t, e, r), submit(t, e, r)
	if x, y := read(t, a), read(t, b); !slices.Equal(x[0].tokens, y[0].tokens) {
		t.Errorf("the same seed gave %v and %v", x[0].tokens, y[0].tokens)
	}
	r.Seeded = false
	c, d := submit(t, e, r), submit(t, e, r)
	if c.Request().Params.Seed == d.Request().Params.Seed || c.Request().ID == d.Request().ID {
		t.Error("two requests without a seed share it, or their id")
	}
	if engine.SampleSeed(5, 0) != 5 || engine.SampleSeed(5, 1) == engine.SampleSeed(5, 2) {
		t.Error("sample 0 must draw with the request's seed, the others each with their own")
	}
}

// TestCrowd submits from many goroutines while policies are swapped and streams closed. Every sample that ends by itself is
// what the reference gives for the version that its Events name. Run it with -race.
func TestCrowd(t *testing.T) {
	o := enginetest.Options(vocab)
	o.Config.Pages, o.Config.MaxContextTokens, o.StreamEvents = 24, 60, 4
	e := enginetest.Start(t, o, nil)
	var all sync.WaitGroup
	for client := range 12 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(client), 11))
			for range 25 {
				if err := oneClient(t.Context(), e, o.Config, rng); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for version := range int64(20) {
		if err := e.Swap(model.NewPolicy(version+2, nil)); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	if err := e.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := e.Submit(t.Context(), request(1, 1)); !errors.Is(err, engine.ErrDraining) {
		t.Errorf("submit after drain: %v; want ErrDraining", err)
	}
}

// oneClient submits a random Request, reads some or all of it, and compares.
func oneClient(ctx context.Context, e *engine.Engine, config engine.Config, rng *rand.Rand) error {
	r := randomRequest(rng)
	r.Seeded = true
	s, err := e.Submit(ctx, r)
	if err != nil {
		return err
	}
	defer s.Close()
	patience := rng.IntN(200) // Events read before the client goes away
	samples := make([]sampleEvents, r.N)
	for range patience {
		event, err := s.Next(ctx)
		if err == io.EOF {
			return compareAll(config, r, samples)
		}
		if err != nil {
			return err
		}
		got := &samples[event.Index]
		got.finish = event.Finish
		if event.HasToken {
			got.tokens, got.versions = append(got.tokens, event.Choice.Token), append(got.versions, event.Version)
		}
		if rng.IntN(300) == 0 {
			s.Stop(event.Index, -1)
			return nil
		}
	}
	return nil
}

func compareAll(config engine.Config, r engine.Request, samples []sampleEvents) error {
	for i, got := range samples {
		version := int64(1)
		if len(got.versions) > 0 {
			version = got.versions[0]
		}
		want := enginetest.Reference(config, r, version, i)
		if !slices.Equal(got.tokens, want.Output) || !slices.Equal(got.versions, want.Versions) || got.finish != want.Finish {
			return fmt.Errorf("request %+v sample %d: %+v; want %+v", r, i, got, want)
		}
	}
	return nil
}

// TestSlowReader: a client that does not read makes its own sample wait, nobody else's, and misses nothing.
func TestSlowReader(t *testing.T) {
	o := enginetest.Options(32)
	o.StreamEvents = 3
	e := enginetest.Start(t, o, nil)
	r := request(3, 1, 2)
	r.MaxTokens = 40
	slow := submit(t, e, r)
	for i := range 5 {
		read(t, submit(t, e, request(uint64(i), 4, 5, 6)))
	}
	waitFor(t, func() bool { return e.Stats().Stalled == 1 })
	if stats := e.Stats(); stats.Stalled != 1 || stats.OutputTokens != 3+5*8 {
		t.Errorf("%d samples stalled, %d tokens; want 1 and %d", stats.Stalled, stats.OutputTokens, 3+5*8)
	}
	if err := e.Progress(); err != nil {
		t.Errorf("a slow client is no fault of the engine: %v", err)
	}
	want := enginetest.Reference(o.Config, r, 1, 0)
	if got := read(t, slow)[0]; !slices.Equal(got.tokens, want.Output) {
		t.Errorf("tokens %v; want %v", got.tokens, want.Output)
	}
}

// TestCloseFreesPagesBeforeTheNextStep: after Close at most the step under way still runs for nobody.
func TestCloseFreesPagesBeforeTheNextStep(t *testing.T) {
	steps := make(chan int)
	e := enginetest.Start(t, enginetest.Options(32), func(r *enginetest.Runner) {
		r.OnRun = func(int, *engine.Plan) error { steps <- 0; <-steps; return nil }
	})
	r := request(1, 1, 2, 3)
	r.MaxTokens = 200
	gone := submit(t, e, r)
	<-steps // the first step is under way
	gone.Close()
	if _, err := gone.Next(t.Context()); !errors.Is(err, engine.ErrStreamClosed) {
		t.Errorf("next after close: %v; want ErrStreamClosed", err)
	}
	r.MaxTokens = 1
	var other *engine.Stream
	var submitted sync.WaitGroup
	submitted.Go(func() { other = submit(t, e, r) })
	steps <- 0 // it ends; now the second begins, with the other Request alone
	<-steps
	submitted.Wait()
	steps <- 0
	read(t, other)
	if got := e.Stats().Steps; got != 2 {
		t.Errorf("%d steps; want 2: one under way when the stream was closed, one for the other", got)
	}
}

// TestContextEndsARequest: the ctx of Submit cancels, and the Events say so.
func TestContextEndsARequest(t *testing.T) {
	o := enginetest.Options(32)
	o.StreamEvents = 2 // it cannot finish unread
	e := enginetest.Start(t, o, nil)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := e.Submit(ctx, request(1, 1, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if got := read(t, s)[0]; got.finish != engine.FinishCancel && got.finish != engine.FinishLength {
		t.Errorf("finish %q; want cancel", got.finish)
	}
	if _, err := e.Submit(ctx, request(1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("submit with an ended ctx: %v; want context.Canceled", err)
	}
}

// TestStopKeepsWhatTheCallerSaw: the Completion is cut to the tokens before the stop string, however many were drawn since.
func TestStopKeepsWhatTheCallerSaw(t *testing.T) {
	completions := make(chan engine.Completion, 1)
	o := enginetest.Options(32)
	o.OnCompletion = func(c engine.Completion) { completions <- c }
	o.StreamEvents = 6
	e := enginetest.Start(t, o, nil)
	r := request(2, 1, 2, 3)
	r.MaxTokens = 50
	s := submit(t, e, r)
	for range 2 {
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.Stop(0, 2)
	if got := read(t, s)[0]; got.finish != engine.FinishStop {
		t.Errorf("finish %q; want stop", got.finish)
	}
	want := enginetest.Reference(o.Config, r, 1, 0).Output[:2]
	if c := <-completions; !slices.Equal(c.Output, want) || len(c.Logprobs) != 2 || c.Finish != engine.FinishStop {
		t.Errorf("completion %+v; want output %v and stop", c, want)
	}
}

// TestCloseEngine: what runs is cancelled, streams end, nothing is taken any more.
func TestCloseEngine(t *testing.T) {
	o := enginetest.Options(32)
	o.StreamEvents = 2
	e := enginetest.Start(t, o, nil)
	r := request(1, 1, 2, 3)
	r.MaxTokens = 200
	s := submit(t, e, r)
	e.Close()
	if got := read(t, s)[0]; got.finish != engine.FinishCancel {
		t.Errorf("finish %q; want cancel", got.finish)
	}
	if _, err := e.Submit(t.Context(), r); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("submit: %v; want ErrClosed", err)
	}
	if err := e.Swap(model.NewPolicy(2, nil)); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("swap: %v; want ErrClosed", err)
	}
	if err := e.Progress(); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("progress: %v; want ErrClosed", err)
	}
	e.Close() // again: nothing happens
}
