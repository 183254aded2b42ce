package engine_test

import (
	"context"
	"errors"
	"testing"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/model"
	"astro/sampler"
)

func named(version int64) *model.Policy { return model.NewPolicy(version, &model.Weights{}) }

// finish draws two tokens on a version and gives the one that drew them.
func finish(t *testing.T, e *engine.Engine, version int64) (int64, error) {
	t.Helper()
	r := engine.Request{Prompt: []int32{1, 2, 3}, N: 1, MaxTokens: 2, Params: sampler.Greedy(), Version: version, IgnoreEOS: true}
	stream, err := e.Submit(context.Background(), r)
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	last := engine.Event{}
	for last.Finish == "" {
		if last, err = stream.Next(context.Background()); err != nil {
			return 0, err
		}
	}
	return last.Version, last.Err
}

// A loaded policy serves those who name it; a promotion and the way back are Use; what is dropped is gone; versions only grow.
func TestPoliciesBesideEachOther(t *testing.T) {
	c := engine.DefaultConfig(100, 4, 64)
	runner := enginetest.New(c)
	e, err := engine.New(runner, engine.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	want := func(version, expected int64) {
		t.Helper()
		if got, err := finish(t, e, version); err != nil || got != expected {
			t.Errorf("a request for version %d ran on %d (%v); want %d", version, got, err, expected)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(e.Hold(1))
	must(e.Load(named(2)))
	want(0, 1)
	want(2, 2)
	must(e.Use(2))
	want(0, 2)
	want(1, 1)
	must(e.Use(1))
	must(e.Drop(2))
	want(0, 1)
	if _, err := finish(t, e, 2); !errors.Is(err, engine.ErrUnknownVersion) {
		t.Errorf("version 2 was dropped: %v", err)
	}
	if err := e.Use(2); !errors.Is(err, engine.ErrUnknownVersion) {
		t.Errorf("use of a version that was dropped: %v", err)
	}
	if err := e.Swap(named(2)); !errors.Is(err, engine.ErrVersion) {
		t.Errorf("version 2 a second time: %v", err)
	}
	must(e.Swap(named(3)))
	must(e.Drop(1))
	want(0, 3)
	if s := e.Stats(); s.Swaps != 3 || s.LongestSwap < s.LastSwap {
		t.Errorf("%d swaps, the last %v, the longest %v", s.Swaps, s.LastSwap, s.LongestSwap)
	}
	for _, v := range runner.Violations() {
		t.Error(v)
	}
}
