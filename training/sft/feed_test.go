package sft

import (
	"slices"
	"strings"
	"testing"
)

// story is an example that counts up from a token of its own, so that it is known again in a batch.
func story(first int32, n int) Example {
	e := Example{Tokens: make([]int32, n), Weights: make([]float32, n)}
	for i := range n {
		e.Tokens[i], e.Weights[i] = first, 1
	}
	return e
}

func stories() (all []Example) {
	for i := range 9 {
		all = append(all, story(int32(i+1), 3+i%3))
	}
	return all
}

// seen lists the examples in the order in which a run gets them.
func seen(c Config, examples []Example) (order []int) {
	f := newFeed(c, examples)
	for batches := f.update(); len(batches) > 0; batches = f.update() {
		for _, b := range batches {
			for i, s := range b.Segments {
				if s != 0 && b.Positions[i] == 0 {
					order = append(order, int(b.Inputs[i]))
				}
			}
		}
	}
	return order
}

func small() Config {
	c := Default()
	c.Epochs, c.Rows, c.RowTokens, c.Batches = 3, 1, 8, 2
	return c
}

// In each epoch every example comes once, in an order of that epoch and seed.
func TestEpochs(t *testing.T) {
	c, n := small(), 9
	order := seen(c, stories())
	if len(order) != 3*n {
		t.Fatalf("got %d examples; want %d", len(order), 3*n)
	}
	var epochs [][]int
	for e := range 3 {
		epoch := order[e*n : (e+1)*n]
		epochs = append(epochs, epoch)
		if got := slices.Sorted(slices.Values(epoch)); !slices.Equal(got, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}) {
			t.Errorf("epoch %d has the examples %v", e, got)
		}
	}
	if slices.Equal(epochs[0], epochs[1]) || slices.Equal(epochs[1], epochs[2]) {
		t.Errorf("two epochs have one order: %v", epochs)
	}
	if !slices.Equal(order, seen(c, stories())) {
		t.Error("the same seed gives another order")
	}
	if c.Seed++; slices.Equal(order, seen(c, stories())) {
		t.Error("another seed gives the same order")
	}
}

func TestStepsCountsUpdates(t *testing.T) {
	c, n := small(), 0
	for f := newFeed(c, stories()); len(f.update()) > 0; n++ {
	}
	if got := c.Steps(stories()); got != n || n < 3 {
		t.Errorf("got %d steps; the feed makes %d", got, n)
	}
}

const lines = `{"tokens": [1, 5, 6, 2], "prompt_tokens": 2, "weights": [0, 0, 0.5, 1], "id": "a"}

{"tokens": [1, 7, 2], "prompt_tokens": 1, "weights": [0, 1, 0]}
`

func TestReadWeighs(t *testing.T) {
	for mode, want := range map[Mode][][]float32{
		All:        {{1, 1, 1, 1}, {1, 1, 1}},
		Completion: {{0, 0, 1, 1}, {0, 1, 1}},
		Weights:    {{0, 0, .5, 1}, {0, 1, 0}},
	} {
		examples, err := Read(strings.NewReader(lines), mode, 10)
		if err != nil || len(examples) != 2 {
			t.Fatalf("%s: got %d examples, %v", mode, len(examples), err)
		}
		for i, e := range examples {
			if !slices.Equal(e.Weights, want[i]) {
				t.Errorf("%s: example %d has weights %v; want %v", mode, i, e.Weights, want[i])
			}
		}
	}
}

// A line that is wrong is named, and what to do about it.
func TestReadRefuses(t *testing.T) {
	for _, c := range []struct {
		line string
		mode Mode
		want string
	}{
		{`{"tokens": [1, 2`, All, "line 2: it is no JSON"},
		{`{"text": "a"}`, All, "line 2: it has 0 tokens"},
		{`{"tokens": [1, 99]}`, All, "the model's vocabulary has 10"},
		{`{"tokens": [1, -1]}`, All, "the model's vocabulary has 10"},
		{`{"tokens": [1, 2]}`, Completion, `needs "prompt_tokens"`},
		{`{"tokens": [1, 2], "prompt_tokens": 3}`, Completion, `needs "prompt_tokens"`},
		{`{"tokens": [1, 2], "weights": [1]}`, Weights, "there are 1 for 2 tokens"},
		{`{"tokens": [1, 2], "weights": [1, -1]}`, Weights, "the weight of token 1 is -1"},
	} {
		_, err := Read(strings.NewReader(`{"tokens": [1, 2], "prompt_tokens": 1, "weights": [1, 1]}`+"\n"+c.line), c.mode, 10)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want an error with %q", c.line, err, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Epochs = 0 }, func(c *Config) { c.Rows = 0 }, func(c *Config) { c.Batches = 0 },
		func(c *Config) { c.RowTokens = MaxRowTokens + 1 }, func(c *Config) { c.Warmup = 2 }, func(c *Config) { c.Optimizer.PeakLR = 0 },
	} {
		c := Default()
		if change(&c); c.Validate() == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	long := []Example{story(1, 10)}
	if err := small().checkExamples(long, 20, 64); err == nil || !strings.Contains(err.Error(), "at most 9 fit") {
		t.Errorf("an example that is too long: got %v", err)
	}
	silent := []Example{{Tokens: []int32{1, 2, 3}, Weights: make([]float32, 3)}}
	if err := small().checkExamples(silent, 20, 64); err == nil || !strings.Contains(err.Error(), "--loss") {
		t.Errorf("examples without a weight: got %v", err)
	}
}
