package trainer

import (
	"slices"
	"testing"
)

func countUp(n int) Example {
	e := Example{Tokens: make([]int32, n), Weights: make([]float32, n)}
	for i := range n {
		e.Tokens[i], e.Weights[i] = int32(i+10), 1
	}
	e.Weights[1] = 0 // the second token is still prompt
	return e
}

// Three texts in rows of 6: the first row takes 3+2 inputs, the second 4; positions start anew with each.
func TestPacker(t *testing.T) {
	p := NewPacker(2, 6)
	for _, n := range []int{4, 5, 3} {
		if full, err := p.Add(countUp(n)); full != nil || err != nil {
			t.Fatalf("got %v, %v", full, err)
		}
	}
	full, err := p.Add(countUp(7))
	if err != nil || full == nil {
		t.Fatalf("a text without room: got %v, %v; want the full batch", full, err)
	}
	want := &Batch{Rows: 2, Tokens: 6,
		Inputs:    []int32{10, 11, 12, 10, 11, 0 /**/, 10, 11, 12, 13, 0, 0},
		Targets:   []int32{11, 12, 13, 11, 12, 0 /**/, 11, 12, 13, 14, 0, 0},
		Positions: []int32{0, 1, 2, 0, 1, 0 /**/, 0, 1, 2, 3, 0, 0},
		Segments:  []int32{1, 1, 1, 2, 2, 0 /**/, 1, 1, 1, 1, 0, 0},
		Weights:   []float32{0, 1, 1, 0, 1, 0 /**/, 0, 1, 1, 1, 0, 0}}
	if !equal(full, want) {
		t.Errorf("got  %+v\nwant %+v", full, want)
	}
	if full.Weight() != 6 {
		t.Errorf("got weight %g; want 6", full.Weight())
	}
	if err := p.check(); err != nil {
		t.Error(err)
	}
	p.open.Positions[1]++
	if p.check() == nil {
		t.Error("a wrong position is not found")
	}
	p.open.Positions[1]--
	rest := p.Flush()
	if rest == nil || rest.Segments[5] != 1 || rest.Segments[6] != 0 || p.Flush() != nil {
		t.Errorf("got rest %+v; want the text that came last, once", rest)
	}
	if _, err := p.Add(countUp(8)); err == nil {
		t.Error("a text longer than a row is packed")
	}
}

func equal(a, b *Batch) bool {
	return a.Rows == b.Rows && a.Tokens == b.Tokens && slices.Equal(a.Inputs, b.Inputs) && slices.Equal(a.Targets, b.Targets) &&
		slices.Equal(a.Positions, b.Positions) && slices.Equal(a.Segments, b.Segments) && slices.Equal(a.Weights, b.Weights)
}

// The schedule: up to the peak over the warm-up, half a cosine down, flat after its end.
func TestLR(t *testing.T) {
	c := Default(100)
	c.PeakLR, c.FinalLR, c.WarmupSteps = 1, .1, 10
	f := func(step int, want float64) {
		t.Helper()
		if got := c.LR(step); !near(got, want, 1e-9) {
			t.Errorf("step %d: got %g; want %g", step, got, want)
		}
	}
	f(0, .1)
	f(9, 1)
	f(10, 1)
	f(55, .55)
	f(100, .1)
	f(1000, .1)
}

func TestConfigValidate(t *testing.T) {
	if err := Default(1).Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.PeakLR = 0 }, func(c *Config) { c.FinalLR = 2 }, func(c *Config) { c.WarmupSteps = 99 },
		func(c *Config) { c.Beta2 = 1 }, func(c *Config) { c.Eps = 0 }, func(c *Config) { c.ClipNorm = -1 },
	} {
		c := Default(10)
		if change(&c); c.Validate() == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}
