package engine_test

import (
	"sync/atomic"
	"testing"
	"time"

	"astro/engine/enginetest"
)

// A Request that waits for the only slot says when it was submitted and when it left the queue.
func TestTimes(t *testing.T) {
	var ticks atomic.Int64
	o := enginetest.Options(vocab)
	o.Config.MaxSlots = 1
	o.Clock = func() time.Time { return time.Unix(ticks.Add(1), 0) }
	e := enginetest.Start(t, o, nil)
	first, err := e.Submit(t.Context(), request(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	second, err := e.Submit(t.Context(), request(2, 1))
	if err != nil {
		t.Fatal(err)
	}
	read(t, first)
	read(t, second)
	a, b := first.Times(), second.Times()
	for _, pair := range [][2]time.Time{{a.Submitted, a.Admitted}, {b.Submitted, b.Admitted}, {a.Admitted, b.Admitted}, {a.Submitted, b.Submitted}} {
		if !pair[0].Before(pair[1]) || pair[0].IsZero() {
			t.Errorf("%v is not before %v", pair[0], pair[1])
		}
	}
}
