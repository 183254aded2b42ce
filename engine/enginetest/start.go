package enginetest

import (
	"testing"

	"astro/engine"
)

// Options are for a small Engine: 8 slots, pages of 4 tokens, a context of 256 tokens, end of sequence = token 0.
func Options(vocab int) engine.Options {
	c := engine.DefaultConfig(vocab, 8, 256)
	c.EOS = []int32{0}
	c.PageTokens, c.Pages = 4, 256
	return engine.Options{Config: c}
}

// Start runs an Engine on a fake Runner until the test ends; set, if not nil, prepares the Runner first. At the end the test
// fails if a Plan broke its contract or pages were not given back.
func Start(t testing.TB, o engine.Options, set func(*Runner)) *engine.Engine {
	t.Helper()
	r := New(o.Config)
	if set != nil {
		set(r)
	}
	e, err := engine.New(r, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Close()
		for _, err := range r.Violations() {
			t.Error(err)
		}
		if held := e.Stats().Pages.Held; held != 0 {
			t.Errorf("%d pages are held after the end", held)
		}
	})
	return e
}
