package trainer

import (
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
)

// Timing makes the updates that it says, of full rows, and its figures agree with each other.
func TestTimeMeasuresSteps(t *testing.T) {
	d := devicetest.Open(t, device.Go)
	tr := newTrainer(t, d, load(t, d, "testdata/golden/before"), Default(10))
	s, err := tr.Time(3, 8, 4)
	if err != nil {
		t.Fatal(err)
	}
	if tr.Steps() != 5 {
		t.Errorf("%d updates were made; want 4 timed ones and one before", tr.Steps())
	}
	if !(s.BestMillis > 0 && s.BestMillis <= s.MedianMillis) || s.Backend != "go" || s.Rows != 3 || s.RowTokens != 8 || s.Steps != 4 {
		t.Errorf("got %+v; want positive times, the best first, and what was asked for", s)
	}
	if want := 24 / s.BestMillis * 1e3; s.TokensPerSecond != want || s.PeakBytes < 1<<20 {
		t.Errorf("got %+v; want %g tokens/s and some memory", s, want)
	}
	if b := tr.fullBatch(3, 8); b.Counted() != 24 {
		t.Errorf("%d tokens of the batch count; want all 24", b.Counted())
	}
}

func TestTimeRefuses(t *testing.T) {
	d := devicetest.Open(t, device.Go)
	tr := newTrainer(t, d, load(t, d, "testdata/golden/before"), Default(10))
	for _, bad := range [][3]int{{0, 8, 1}, {1, 0, 1}, {1, 8, 0}, {1, tr.Model().MaxPositions + 1, 1}} {
		if _, err := tr.Time(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("%v was timed; want an error", bad)
		}
	}
	if tr.Steps() != 0 {
		t.Errorf("%d updates were made by refused calls", tr.Steps())
	}
}
