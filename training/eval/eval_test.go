package eval

import (
	"math"
	"testing"
)

// near compares with a hand-computed value.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12 || math.IsNaN(got) {
		t.Errorf("%s: got %.17g; want %.17g", what, got, want)
	}
}

// Shares 3/4, 1/4, 1/2, 1: mean 5/8; squared deviations (1/8)^2 (3/8)^2 (1/8)^2 (3/8)^2 sum to 20/64, over 3, over 4: 5/192.
func TestAvgAtK(t *testing.T) {
	y, n := true, false
	e := AvgAtK([][]bool{{y, y, y, n}, {n, n, y, n}, {y, n, y, n}, {y, y, y, y}, {}})
	near(t, "mean", e.Mean, 0.625)
	near(t, "standard error", e.SE, math.Sqrt(5.0/192))
	if e.N != 4 {
		t.Errorf("got N %d; want 4: a problem without samples is left out", e.N)
	}
	for _, few := range [][][]bool{nil, {{y}}} {
		if e := AvgAtK(few); e.SE != 0 || e.N != len(few) {
			t.Errorf("of %d problems: got %+v; want no standard error", len(few), e)
		}
	}
}

func TestClustered(t *testing.T) {
	equal := Clustered([][]float64{{1, 1, 1, 0}, {0, 0, 1, 0}, {1, 0, 1, 0}, {1, 1, 1, 1}})
	near(t, "clusters of one size: mean", equal.Mean, 0.625)
	near(t, "clusters of one size: as over the clusters' means", equal.SE, math.Sqrt(5.0/192))
	// Values 1 1 1 | 0 | 0 1: mean 2/3; residuals 1, -2/3, -1/3; squares 1 + 4/9 + 1/9 = 14/9, times 3/2: 7/3; root over 6.
	ragged := Clustered([][]float64{{1, 1, 1}, {0}, {}, {0, 1}})
	near(t, "ragged mean", ragged.Mean, 2.0/3)
	near(t, "ragged standard error", ragged.SE, math.Sqrt(7.0/3)/6)
	if ragged.N != 3 || Clustered(nil) != (Estimate{}) || Clustered([][]float64{{1, 0}}).SE != 0 {
		t.Errorf("got N %d; want 3, and no standard error of fewer than two clusters", ragged.N)
	}
}

func TestIntervals(t *testing.T) {
	i := Estimate{Mean: 0.5, SE: 0.1}.Normal(2)
	near(t, "normal low", i.Low, 0.3)
	near(t, "normal high", i.High, 0.7)
	// 5 of 10 at z = 2: scale 1.4, center (0.5 + 0.2) / 1.4 = 1/2, half 2/1.4 * sqrt(0.025 + 0.01).
	w := Wilson(5, 10, 2)
	near(t, "Wilson low", w.Low, 0.5-2/1.4*math.Sqrt(0.035))
	near(t, "Wilson high", w.High, 0.5+2/1.4*math.Sqrt(0.035))
	// 0 of 10 at z = 2: center 0.2/1.4, half the same: [0, 2/7].
	zero := Wilson(0, 10, 2)
	near(t, "Wilson of none, low", zero.Low, 0)
	near(t, "Wilson of none, high", zero.High, 2.0/7)
	if Wilson(0, 0, 2) != (Interval{0, 1}) {
		t.Errorf("no trials: got %v; want [0, 1]", Wilson(0, 0, 2))
	}
}

func TestPassAtK(t *testing.T) {
	for _, c := range []struct {
		n, c, k int
		want    float64
	}{
		{4, 1, 1, 0.25},
		{4, 1, 2, 0.5},         // 1 - C(3,2)/C(4,2) = 1 - 3/6
		{5, 2, 3, 0.9},         // 1 - C(3,3)/C(5,3) = 1 - 1/10
		{10, 3, 4, 5.0 / 6},    // 1 - C(7,4)/C(10,4) = 1 - 35/210
		{16, 0, 16, 0},         // nothing is right
		{16, 16, 1, 1},         // everything is
		{16, 1, 16, 1},         // all samples hold the one
		{16, 14, 3, 1},         // two wrong ones cannot fill three places
		{1000, 1, 500, 0.5},    // no overflow
		{100000, 1, 1, 1.0e-5}, // nor loss
	} {
		if got := PassAtK(c.n, c.c, c.k); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("PassAtK(%d, %d, %d) = %.15g; want %.15g", c.n, c.c, c.k, got, c.want)
		}
	}
}

func TestPearson(t *testing.T) {
	// x 1 2 3 4 (mean 2.5), y 1 3 2 4 (mean 2.5): sums 5, 5 and 2.25 - 0.25 - 0.25 + 2.25 = 4.
	c := Pearson([]float64{1, 2, 3, 4}, []float64{1, 3, 2, 4})
	near(t, "r", c.R, 0.8)
	if c.N != 4 || !c.Defined || c.String() != "+0.800 (n = 4)" {
		t.Errorf("got %+v, %s", c, c)
	}
	near(t, "opposite", Pearson([]float64{0, 1}, []float64{5, 2}).R, -1)
	for _, constant := range [][]float64{{}, {1}, {0.1, 0.1, 0.1}} {
		ramp := make([]float64, len(constant))
		for i := range ramp {
			ramp[i] = float64(i)
		}
		if c := Pearson(constant, ramp); c.Defined || c.R != 0 || c.N != len(constant) {
			t.Errorf("%v against %v: got %+v; want undefined", constant, ramp, c)
		}
	}
}
