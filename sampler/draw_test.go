package sampler

import (
	"math"
	"testing"
)

// The noise is part of the contract: a seed gives the same tokens in every version of this program.
func TestNoiseIsFixed(t *testing.T) {
	row := func(seed uint64, position int) *Row {
		return &Row{Params: Params{Seed: seed}, Prompt: make([]int32, position)}
	}
	cases := []struct {
		row   *Row
		token int32
		key   key
		want  float32
	}{
		{row(0, 0), 0, key{0x4d197e6f, 0xa706dd2f}, 8586168.0 / (1 << 25)},
		{row(0, 0), 1, key{0x4d197e6f, 0xa706dd2f}, 14186287.0 / (1 << 26)},
		{row(1, 0), 0, key{0xaf37e97f, 0x2a98f501}, 8579078.0 / (1 << 25)},
		{row(0, 1), 0, key{0x7439611e, 0x5e41ab08}, 13392370.0 / (1 << 29)},
		{row(math.MaxUint64, 131071), 128255, key{0xd4cbaa59, 0x91cfcba9}, 10473925.0 / (1 << 24)},
	}
	for _, c := range cases {
		k := c.row.key()
		if u := k.uniform(c.token); k != c.key || u != c.want {
			t.Errorf("seed %d, position %d, token %d: key %#x and number %b; want %#x and %b", c.row.Params.Seed, c.row.Position(), c.token, k, u, c.key, c.want)
		}
	}
}

// The position counts prompt and output alike: a sequence that was preempted and comes back as a longer prompt draws the same.
func TestPositionCountsPromptAndOutput(t *testing.T) {
	a := &Row{Prompt: []int32{1, 2}, Output: []int32{3}}
	b := &Row{Prompt: []int32{1, 2, 3}}
	if a.key() != b.key() {
		t.Errorf("keys %v and %v; want the same", a.key(), b.key())
	}
}

func TestNoiseStaysInItsRange(t *testing.T) {
	for _, h := range []uint32{0, 1, 127, 128, 1 << 24, 1<<31 - 1, 1 << 31, math.MaxUint32 - 128, math.MaxUint32 - 1, math.MaxUint32} {
		u := unit(h)
		e := exponential(u)
		if !(u > 0 && u < 1) || !(e >= u && e < 17) {
			t.Errorf("hash %d gives %g and noise %g; want both positive, the first below 1, the second below 17", h, u, e)
		}
	}
	if unit(1)/unit(0) != 3 {
		t.Errorf("the smallest numbers are %g and %g; want 1 and 3 times 2^-33", unit(0), unit(1))
	}
}

// uniformity is the chi-square statistic of numbers in 64 cells, and z how many of its standard deviations it is off.
func uniformity(numbers []float32) (z float64) {
	const cells = 64
	var counts [cells]float64
	for _, u := range numbers {
		counts[int(u*cells)]++
	}
	want, chi2 := float64(len(numbers))/cells, 0.0
	for _, n := range counts {
		chi2 += (n - want) * (n - want) / want
	}
	return (chi2 - (cells - 1)) / math.Sqrt(2*(cells-1))
}

// correlation of a sequence with itself, shifted by one, in standard deviations.
func correlation(x []float32) float64 {
	sum := 0.0
	for i := range x[1:] {
		sum += (float64(x[i]) - 0.5) * (float64(x[i+1]) - 0.5) * 12
	}
	return sum / math.Sqrt(float64(len(x)-1))
}

// Along each of token, position and seed the numbers are uniform, and neighbours know nothing of each other.
func TestNoiseIsUniformAndIndependent(t *testing.T) {
	const n = 1 << 16
	history := make([]int32, n)
	along := map[string]func(i int) float32{
		"token":             func(i int) float32 { return (&Row{}).key().uniform(int32(i)) },
		"position":          func(i int) float32 { return (&Row{Prompt: history[:i]}).key().uniform(5) },
		"seed":              func(i int) float32 { return (&Row{Params: Params{Seed: uint64(i)}}).key().uniform(5) },
		"high bits of seed": func(i int) float32 { return (&Row{Params: Params{Seed: uint64(i) << 48}}).key().uniform(5) },
		"seed and position": func(i int) float32 {
			return (&Row{Params: Params{Seed: uint64(n - i)}, Prompt: history[:i]}).key().uniform(5)
		},
	}
	for name, at := range along {
		x := make([]float32, n)
		for i := range x {
			x[i] = at(i)
		}
		if z := uniformity(x); math.Abs(z) > 5 {
			t.Errorf("along %s: chi-square is %.1f standard deviations off", name, z)
		}
		if z := correlation(x); math.Abs(z) > 5 {
			t.Errorf("along %s: neighbours correlate by %.1f standard deviations", name, z)
		}
	}
}

// The statistics above see what they should see.
func TestNoiseStatisticsFindFaults(t *testing.T) {
	x := make([]float32, 1<<16)
	for i := range x {
		x[i] = float32(math.Sqrt(float64(unit(mix(uint32(i))))))
	}
	if z := uniformity(x); z < 5 {
		t.Errorf("square roots look uniform: %.1f standard deviations", z)
	}
	for i := range x {
		x[i] = 0.9*unit(mix(uint32(i))) + 0.1*unit(mix(uint32(i-1)))
	}
	if z := correlation(x); z < 5 {
		t.Errorf("numbers that share a part look independent: %.1f standard deviations", z)
	}
}

// In a large vocabulary the winners are the smallest numbers, and those must be fine enough not to be equal.
func TestSmallestNoiseHasNoTies(t *testing.T) {
	const vocab, rounds = 128256, 32
	for seed := range uint64(rounds) {
		k := (&Row{Params: Params{Seed: seed}}).key()
		first, second := float32(1), float32(1)
		for i := range int32(vocab) {
			if u := k.uniform(i); u < first {
				first, second = u, first
			} else if u < second {
				second = u
			}
		}
		if first == second {
			t.Errorf("seed %d: the two smallest of %d numbers are both %g", seed, vocab, first)
		}
	}
}
