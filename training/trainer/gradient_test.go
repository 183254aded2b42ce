package trainer

import (
	"math"
	"slices"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model/modeltest"

	. "github.com/gomlx/gomlx/core/graph"
)

// Gradient and Apply are what Step does in one program, and a Gradient that is freed has changed nothing.
func TestGradientThenApplyIsAStep(t *testing.T) {
	g := readGolden(t)
	onEach(t, func(t *testing.T, d *device.Device) {
		batch := pack(t, 2, 14, g.examples())[0]
		fused := newTrainer(t, d, load(t, d, "testdata/golden/before"), g.Config)
		parted := newTrainer(t, d, load(t, d, "testdata/golden/before"), g.Config)
		before := modeltest.Values(parted.weights)
		for range 2 {
			want := step(t, fused, batch)
			wasted, err := parted.Gradient(5, batch)
			if err != nil {
				t.Fatal(err)
			}
			wasted.Free()
			p, err := parted.Gradient(1/batch.Weight(), batch)
			if err != nil {
				t.Fatal(err)
			}
			if !near(p.Stats.Loss, want.Loss, 1e-6) || !near(p.Stats.GradNorm, want.GradNorm, 1e-5) || p.Stats.Counted != want.Counted {
				t.Errorf("got %+v; want %+v", p.Stats, want)
			}
			if !near(wasted.Stats.Loss, 5*batch.Weight()*want.Loss, 1e-3) {
				t.Errorf("with the norm 5 the loss is %g; want %g", wasted.Stats.Loss, 5*batch.Weight()*want.Loss)
			}
			if parted.Steps() == 0 && !slices.EqualFunc(before, modeltest.Values(parted.weights), slices.Equal[[]float32]) {
				t.Error("a gradient that was not applied changed the weights")
			}
			if err := parted.Apply(p); err != nil {
				t.Fatal(err)
			}
		}
		if diff := largestDifference(fused.weights, parted.weights); diff > 1e-6 {
			t.Errorf("weights differ by up to %g", diff)
		}
	})
}

// counting is a Loss whose stats are known: its column, summed and at its largest.
func counting() Loss {
	return Loss{Name: "counting", Columns: []string{"x"}, Stats: []Stat{{Name: "mean"}, {Name: "most", Max: true}},
		Build: func(t Tokens) (*Node, []*Node) {
			return Mul(Neg(t.Logprob), t.Columns[0]), []*Node{t.Columns[0], t.Columns[0]}
		}}
}

// Stats are over the tokens that have a weight, whatever batch they are in; columns are packed beside their tokens.
func TestLossStats(t *testing.T) {
	g := readGolden(t)
	l := counting()
	d := devicetest.Open(t, device.Go)
	tr, err := l.NewTrainer(d, load(t, d, "testdata/golden/before"), g.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	p, sum, most, counted := l.NewPacker(1, 14), 0.0, 0.0, 0
	var batches []*Batch
	for _, e := range g.examples() {
		x := make([]float32, len(e.Tokens))
		for i := range x {
			x[i] = float32(e.Tokens[i] * 2)
			if i > 0 && e.Weights[i] != 0 {
				sum, most, counted = sum+float64(x[i]), max(most, float64(x[i])), counted+1
			}
		}
		e.Columns = [][]float32{x}
		full, err := p.Add(e)
		if err != nil {
			t.Fatal(err)
		}
		if full != nil {
			batches = append(batches, full)
		}
	}
	batches = append(batches, p.Flush())
	s := step(t, tr, batches...)
	if len(batches) < 2 || s.Counted != counted || !near(s.Values[0], sum/float64(counted), 1e-4) || s.Values[1] != most {
		t.Errorf("%d batches: got %+v; want the mean %g and the largest %g of %d", len(batches), s, sum/float64(counted), most, counted)
	}
}

// A loss that is not a number changes nothing when it is found in time, and ends the trainer when it is not.
func TestLossThatIsNotFinite(t *testing.T) {
	g := readGolden(t)
	l := counting()
	d := devicetest.Open(t, device.Go)
	tr, err := l.NewTrainer(d, load(t, d, "testdata/golden/before"), g.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	bad := l.NewBatch(1, 4)
	copy(bad.Inputs, []int32{1, 2, 3})
	copy(bad.Segments, []int32{1, 1, 1})
	bad.Weights[0], bad.Columns[0][0] = 1, float32(math.NaN())
	before := modeltest.Values(tr.weights)
	if _, err := tr.Step(bad, bad); err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("two batches: got %v", err)
	}
	if !slices.EqualFunc(before, modeltest.Values(tr.weights), slices.Equal[[]float32]) || tr.Steps() != 0 {
		t.Error("the weights changed")
	}
	for range 2 {
		if _, err := tr.Step(bad); err == nil || !strings.Contains(err.Error(), "go on from a checkpoint") {
			t.Errorf("one batch: got %v", err)
		}
	}
	if _, err := tr.Gradient(0, bad); err == nil {
		t.Error("a gradient with the norm 0: no error")
	}
}

// An order is a permutation that depends on the seed and the epoch.
func TestOrder(t *testing.T) {
	a := Order(1, 0, 50)
	if sorted := slices.Sorted(slices.Values(a)); sorted[0] != 0 || sorted[49] != 49 || len(slices.Compact(sorted)) != 50 {
		t.Errorf("got %v; want each of 0 to 49 once", a)
	}
	if slices.Equal(a, Order(1, 1, 50)) || slices.Equal(a, Order(2, 0, 50)) || !slices.Equal(a, Order(1, 0, 50)) {
		t.Error("another epoch or seed must give another order, the same ones the same")
	}
	first := make([]int, 4) // how often each comes first in 400 epochs
	for e := range uint64(400) {
		first[Order(7, e, 4)[0]]++
	}
	for i, n := range first {
		if n < 60 || n > 140 {
			t.Errorf("%d comes first in %d of 400 epochs", i, n)
		}
	}
}
