package engine_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/sampler"
)

// With Switch a running sample goes on with the new policy, each token says which version drew it, and what comes after the swap is what
// that version says after these tokens; a request that named its version stays on it.
func TestSwitch(t *testing.T) {
	c := engine.DefaultConfig(100, 4, 64)
	runner := enginetest.New(c)
	var done []engine.Completion
	swapped := make(chan error, 1)
	var e *engine.Engine
	runner.OnRun = func(step int, _ *engine.Plan) error {
		if step == 6 { // the swap waits for this step's end
			go func() { swapped <- e.Swap(named(2)) }()
			time.Sleep(20 * time.Millisecond)
		}
		return nil
	}
	var err error
	e, err = engine.New(runner, engine.Options{Config: c, Switch: true, OnCompletion: func(c engine.Completion) { done = append(done, c) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Hold(1); err != nil { // for the request that names it, whenever it comes
		t.Fatal(err)
	}
	request := engine.Request{Prompt: []int32{1, 2, 3}, N: 2, MaxTokens: 12, Params: sampler.Greedy(), IgnoreEOS: true}
	pinned := request
	pinned.Version = 1
	drawAll(t, e, request, pinned)
	if err := <-swapped; err != nil {
		t.Fatal(err)
	}
	e.Close()
	moved := 0
	for _, d := range done {
		if !slices.IsSorted(d.Versions) || len(d.Versions) != 12 {
			t.Fatalf("versions %v", d.Versions)
		}
		if d.Versions[0] == 1 && d.Versions[11] == 2 {
			moved++
			checkMoved(t, c, request, d)
		}
	}
	if moved != 2 || len(done) != 4 {
		t.Errorf("%d of %d samples moved; want 2 of 4, for two named version 1", moved, len(done))
	}
	for _, v := range runner.Violations() {
		t.Error(v)
	}
}

// checkMoved says whether what came after the swap is what version 2 says after what came before.
func checkMoved(t *testing.T, c engine.Config, request engine.Request, d engine.Completion) {
	t.Helper()
	at := slices.Index(d.Versions, 2)
	request.N, request.Prompt, request.MaxTokens = 1, append(slices.Clone(d.Prompt), d.Output[:at]...), 12-at
	if want := enginetest.Reference(c, request, 2, 0).Output; !slices.Equal(d.Output[at:], want) {
		t.Errorf("after the swap came %v; version 2 says %v", d.Output[at:], want)
	}
}

// drawAll has requests answered to their ends.
func drawAll(t *testing.T, e *engine.Engine, requests ...engine.Request) {
	t.Helper()
	var streams []*engine.Stream
	for _, r := range requests {
		s, err := e.Submit(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	for i, s := range streams {
		for finished := 0; finished < requests[i].N; {
			event, err := s.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if event.Finish != "" {
				finished++
			}
		}
	}
}
