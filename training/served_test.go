package training

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"astro/feedback"
)

// shared makes one update of rated completions, at most ten, and gives how many it learned from and the counters.
func (h *house) shared(keyShare, raterShare float64) (served, dropped int, c Counters) {
	h.t.Helper()
	config := lessons()
	config.Served = Served{Learn: true, Completions: 10, MaxStaleness: 2, MaxKeyShare: keyShare, MaxRaterShare: raterShare}
	l, err := NewLoop(config, h.policies, h.device)
	if err == nil {
		err = l.Make(context.Background(), 1, func(_ int64, n Numbers) { served, dropped = n.Served, n.Dropped })
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return served, dropped, l.Status().Counters
}

// One rater has at most its share of an update; what is beyond it waits for the next one, and is counted. Raters of the same name under
// different keys are two.
func TestRaterShare(t *testing.T) {
	h := build(t)
	ann, bob, other := feedback.Rater{Key: "k", Name: "ann"}, feedback.Rater{Key: "k", Name: "bob"}, feedback.Rater{Key: "j", Name: "ann"}
	seed := uint64(0)
	rate := func(n int, raters ...feedback.Rater) {
		for range n {
			h.rateAs(1+int32(seed%numQuestions), seed, raters...)
			seed++
		}
	}
	rate(6, ann)
	rate(1, ann, bob)
	rate(1, bob)
	rate(1, other)
	if served, _, c := h.shared(0, .2); served != 4 || c.RaterCapped != 5 || c.KeyCapped != 0 {
		t.Errorf("learned from %d, capped %d and %d; want two of ann, one of bob and one of the other ann, and five that wait, one of them bob's too", served, c.RaterCapped, c.KeyCapped)
	}
	if served, _, c := h.shared(0, .3); served != 3 || c.RaterCapped != 2 {
		t.Errorf("then from %d, capped %d; want 3 and 2", served, c.RaterCapped)
	}
	if served, _, c := h.shared(0, 0); served != 2 || c.RaterCapped != 0 {
		t.Errorf("then without a share from %d, capped %d; want 2 and 0", served, c.RaterCapped)
	}
	rate(1, ann, bob)
	rate(4, ann)
	if served, _, _ := h.shared(0, .01); served != 1 {
		t.Errorf("with the smallest share from %d; want 1", served)
	}
}

// One key has at most its share, however many raters it names, and whoever asked for the completion.
func TestKeyShare(t *testing.T) {
	h := build(t)
	for i := range 8 {
		h.rateAs(1+int32(i%numQuestions), uint64(i), feedback.Rater{Key: "mill", Name: fmt.Sprint("r", i)}, feedback.Rater{Key: "mill", Name: "again"})
	}
	h.rateAs(1, 50, feedback.Rater{Key: "k", Name: "r1"})
	if served, _, c := h.shared(.3, .9); served != 4 || c.KeyCapped != 5 || c.RaterCapped != 0 {
		t.Errorf("learned from %d, capped %d and %d; want 3 of one key and 1 of the other, and 5 that wait", served, c.KeyCapped, c.RaterCapped)
	}
}

// What is too old uses up no share.
func TestSharesAreOfWhatIsLearnedFrom(t *testing.T) {
	h := build(t)
	for i := range 5 {
		h.rate(1+int32(i%numQuestions), uint64(i))
	}
	h.learn(lessons(), 4)
	for i := range 5 {
		h.rate(1+int32(i%numQuestions), uint64(100+i))
	}
	if served, dropped, c := h.shared(.3, .2); served != 2 || dropped != 5 || c.RaterCapped != 3 {
		t.Errorf("learned from %d, dropped %d, capped %d; want 2, 5 and 3", served, dropped, c.RaterCapped)
	}
}

// A share that is none is refused.
func TestSharesAreChecked(t *testing.T) {
	h := build(t)
	zero := 0.0
	for _, bad := range []float64{-.1, 1.5, zero / zero} {
		for _, s := range []Served{{Learn: true, MaxKeyShare: bad}, {Learn: true, MaxRaterShare: bad}} {
			c := lessons()
			c.Served = s
			if _, err := NewLoop(c, h.policies, h.device); err == nil || !strings.Contains(err.Error(), "want 0 to 1") {
				t.Errorf("%+v: %v; want a refusal", s, err)
			}
		}
	}
}
