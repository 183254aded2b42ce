package random

import (
	"slices"
	"testing"
)

// The generator's stream is fixed by (seed, stream, count); these values must never change.
func TestRand(t *testing.T) {
	r := New(1, 2)
	got := []uint64{r.Uint64(), r.Uint64(), r.Uint64()}
	if want := []uint64{0x1ea360835d242d1, 0x9a645d0857fc6ff1, 0xae7f50379d6161d3}; !slices.Equal(got, want) {
		t.Errorf("got %#x; want %#x", got, want)
	}
	counts := make([]int, 7)
	for range 70000 {
		counts[r.Intn(7)]++
	}
	chi2 := 0.0
	for _, n := range counts {
		chi2 += float64((n-10000)*(n-10000)) / 10000
	}
	if chi2 > 22.5 { // 6 degrees of freedom, p = .001
		t.Errorf("chi-square %.1f of %v", chi2, counts)
	}
}

// A named stream is fixed by its name and numbers; these values must never change.
func TestNamed(t *testing.T) {
	s := Named(1, "a", 2, 3)
	if got, want := []uint64{s.Uint64(), s.Uint64()}, []uint64{0x82e06336e9525f68, 0x133542cdf3dcee06}; !slices.Equal(got, want) {
		t.Errorf("got %#x; want %#x", got, want)
	}
}
