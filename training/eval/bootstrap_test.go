package eval

import (
	"math"
	"testing"
)

func TestPairedBootstrap(t *testing.T) {
	a := []float64{0.2, 0.4, 0.5, 0.1, 0.9, 0.3, 0.0, 0.6}
	better := make([]float64, len(a))
	for i := range a {
		better[i] = a[i] + 0.1
	}
	d := PairedBootstrap(a, better, 1000, 7)
	near(t, "a constant gain: mean", d.Mean, 0.1)
	if math.Abs(d.Interval.Low-0.1) > 1e-9 || math.Abs(d.Interval.High-0.1) > 1e-9 || d.SE > 1e-9 {
		t.Errorf("a constant gain: got %+v; want no spread", d)
	}
	near(t, "a constant gain: p is as small as 1000 draws can tell", d.P, 0.001)
	same := PairedBootstrap(a, a, 1000, 7)
	near(t, "equal systems: p", same.P, 1)
	if PairedBootstrap(a, better, 1000, 7) != d {
		t.Error("the same seed gave another result")
	}
	if one := PairedBootstrap([]float64{0}, []float64{1}, 100, 1); one.P != 1 || one.Interval != (Interval{1, 1}) || one.N != 1 {
		t.Errorf("one problem: got %+v; want p = 1", one)
	}
}

// Two problems with differences 0 and 1: resampled means are 0, 1/2, 1 with chances 1/4, 1/2, 1/4. So the standard deviation is
// sqrt(1/8), the middle 95 % reach from 0 to 1, and the left side has 1/4 at zero, of which half counts: p = 2 * 1/8.
func TestPairedBootstrapOfTwo(t *testing.T) {
	d := PairedBootstrap([]float64{0, 0}, []float64{0, 1}, 200_000, 3)
	if math.Abs(d.SE-math.Sqrt(1.0/8)) > 0.002 || d.Interval != (Interval{0, 1}) || math.Abs(d.P-0.25) > 0.005 || d.Mean != 0.5 {
		t.Errorf("got %+v; want mean 0.5, SE 0.354, [0, 1], p 0.25", d)
	}
	other := PairedBootstrap([]float64{0, 0}, []float64{0, 1}, 200_000, 4)
	if other.SE == d.SE {
		t.Error("two seeds gave the same draws")
	}
}

func TestQuantile(t *testing.T) {
	values := []float64{1, 2, 4, 8}
	for q, want := range map[float64]float64{0: 1, 1: 8, 0.5: 3, 0.25: 1.75} {
		near(t, "quantile", Quantile(values, q), want)
	}
}
