package eval

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Difference compares two systems on the same problems.
type Difference struct {
	Mean     float64  `json:"mean"`     // of b - a
	SE       float64  `json:"se"`       // standard deviation of the resampled means
	Interval Interval `json:"interval"` // percentile interval that holds 95 % of the resampled means
	P        float64  `json:"p"`        // two-sided: how often a resampled mean lies on the other side of zero, times two
	N        int      `json:"n"`        // problems
}

// Bounds of PairedBootstrap.
const (
	MinResamples     = 100
	MaxResamples     = 1_000_000
	DefaultResamples = 10_000
)

// PairedBootstrap draws problems with replacement, resamples times, and compares b with a on each draw; a[i] and b[i] are the
// scores of problem i. The same arguments give the same result. P is never below 1/resamples, which is as fine as it can tell;
// a resampled mean of exactly zero counts half for each side, so that equal systems have P = 1.
func PairedBootstrap(a, b []float64, resamples int, seed uint64) Difference {
	if len(a) != len(b) || resamples < MinResamples || resamples > MaxResamples {
		panic(fmt.Sprintf("BUG: got %d and %d scores, %d resamples; want pairs and %d to %d", len(a), len(b), resamples, MinResamples, MaxResamples))
	}
	deltas := make([]float64, len(a))
	for i := range a {
		deltas[i] = b[i] - a[i]
	}
	d := Difference{Mean: Mean(deltas).Mean, N: len(deltas), P: 1}
	if d.N < 2 {
		d.Interval = Interval{d.Mean, d.Mean}
		return d
	}
	means := resample(deltas, resamples, seed)
	d.SE = Mean(means).SE * math.Sqrt(float64(resamples))
	d.Interval = Interval{Quantile(means, .025), Quantile(means, .975)}
	d.P = twoSided(means)
	return d
}

// resample returns the sorted means of draws with replacement.
func resample(values []float64, resamples int, seed uint64) []float64 {
	random := rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))
	means := make([]float64, resamples)
	for r := range means {
		sum := 0.0
		for range values {
			sum += values[random.IntN(len(values))]
		}
		means[r] = sum / float64(len(values))
	}
	slices.Sort(means)
	return means
}

// Quantile is the value at q in [0, 1] of at least one sorted value, between neighbours by their distance (as numpy has it).
func Quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

func twoSided(means []float64) float64 {
	below, zero := 0, 0
	for _, m := range means {
		switch {
		case m < 0:
			below++
		case m == 0:
			zero++
		}
	}
	n := float64(len(means))
	left := (float64(below) + float64(zero)/2) / n
	return min(1, max(2*min(left, 1-left), 1/n))
}
