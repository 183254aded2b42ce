package learning

import (
	"errors"
	"path/filepath"
	"testing"

	"astro/training/grpo"
)

// Points come every few steps; towards the end of a budget as the tokens so far say, and never past the last step.
func TestNextPoint(t *testing.T) {
	for _, test := range []struct{ step, budget, tokens, want int }{
		{0, 0, 0, 5}, {5, 0, 100, 10}, {10, 0, 0, 12}, {12, 0, 0, 12},
		{0, 90, 0, 5}, {5, 90, 10, 9}, {5, 1000, 10, 10}, {5, 55, 10, 6}, {5, 50, 10, 5}, {5, 40, 10, 5},
	} {
		l := Learning{Config: Config{Config: grpo.Config{Steps: 12}, CurveSteps: 5}, Budget: test.budget}
		for i := range test.step {
			l.journal.Steps = append(l.journal.Steps, Step{Step: i + 1, Tokens: test.tokens})
		}
		if got := l.next(test.step); got != test.want {
			t.Errorf("after step %d with %d tokens each, budget %d: got %d; want %d", test.step, test.tokens, test.budget, got, test.want)
		}
	}
}

// Steps that are made again after a kill take the place of what the journal knows of them.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.json")
	var j journal
	if err := j.open(path); err != nil {
		t.Fatal(err)
	}
	for _, s := range []Step{{Step: 1, Tokens: 10}, {Step: 2, Tokens: 20}, {Step: 3, Tokens: 30}, {Step: 2, Tokens: 25}} {
		j.add(s)
	}
	j.Curve = append(j.Curve, Point{Step: 2})
	var again journal
	if err := errors.Join(j.save(), again.open(path)); err != nil {
		t.Fatal(err)
	}
	if again.tokens(2) != 35 || again.tokens(9) != 35 || again.last() != 2 {
		t.Errorf("got %+v", again)
	}
}

// The longest problem with its answer fits into a row, and as many rows as a micro-batch has tokens for.
func TestFit(t *testing.T) {
	c := Config{Config: grpo.Default(), CurveSteps: 1, BatchTokens: 100}
	c.MaxTokens = 20
	fitted := c.fit([]grpo.Problem{{Prompt: make([]int32, 5)}, {Prompt: make([]int32, 12)}})
	if fitted.RowTokens != 32 || fitted.Rows != 3 {
		t.Errorf("got %d rows of %d", fitted.Rows, fitted.RowTokens)
	}
	slots := c
	slots.Slots = -1
	if c.BatchTokens = 0; c.Validate() == nil || slots.Validate() == nil {
		t.Error("a batch of no tokens, or less than no slots, was found valid")
	}
}
