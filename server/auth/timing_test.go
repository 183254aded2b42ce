package auth

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// timingSamples of each of two secrets, timingRepeats look-ups in each, so that a sample is longer than the clock's grain.
const timingSamples, timingRepeats = 100_000, 16

// The time to refuse a secret does not tell how much of it was right: Welch's t between secrets that are wrong from their first digit
// on and secrets that are wrong in the last one alone stays below 4.5, for a key of the file and for a plain one. A comparison that
// stops at the first wrong byte stands beside them and must be found, or the test sees nothing.
func TestSec_R02TimingTellsNothing(t *testing.T) {
	if os.Getenv("ASTRO_TIMING") == "" {
		t.Skip("ASTRO_TIMING is not set: times are measured on a machine that is quiet, by `make test-timing`")
	}
	var keys []Key
	for range 100 {
		k, _ := made(t, Key{Tenant: "a", Scopes: Inference})
		keys = append(keys, k)
	}
	k, secret := made(t, Key{Tenant: "a", Scopes: Inference})
	plain := "a-secret-that-an-operator-made-up-for-this"
	ring := NewRing(append(keys, k), []Key{Plain("env-1", plain, Inference)})
	refuse := func(s string) {
		if _, err := ring.Find(s, epoch); err == nil {
			t.Fatal("a wrong secret was taken")
		}
	}
	at := len(prefix) + 2*idBytes + 1
	for _, c := range []struct {
		name        string
		early, late string
		do          func(string)
		leaks       bool
	}{
		{"a key of the file", wrongAt(secret, at), wrongAt(secret, len(secret)-1), refuse, false},
		{"a plain key", wrongAt(plain, 0), wrongAt(plain, len(plain)-1), refuse, false},
		{"a comparison that stops", wrongAt(secret, at), wrongAt(secret, len(secret)-1), func(s string) { sink += stopping(s, secret) }, true},
	} {
		got := welch(sampled(c.early, c.late, c.do))
		t.Logf("%s: t = %.2f", c.name, got)
		if (math.Abs(got) >= 4.5) != c.leaks {
			t.Errorf("%s: |t| = %.2f; want it below 4.5: %t", c.name, math.Abs(got), !c.leaks)
		}
	}
}

// sink keeps the compiler from leaving work out.
var sink int

// stopping compares as == may: the more is right, the longer it takes.
func stopping(a, b string) int {
	for i := range len(a) {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// wrongAt changes one digit.
func wrongAt(secret string, i int) string {
	b := []byte(secret)
	b[i] = map[bool]byte{true: '1', false: '0'}[b[i] == '0']
	return string(b)
}

// sampled times both secrets in random order, and leaves out what took longer than most: interrupts, not comparisons.
func sampled(early, late string, do func(string)) (times [2][]float64) {
	rng := rand.New(rand.NewPCG(1, 1))
	var all []float64
	for len(times[0]) < timingSamples || len(times[1]) < timingSamples {
		which := rng.IntN(2)
		secret := strings.Clone([]string{early, late}[which]) // at an address of its own, as on the wire: where a text lies takes time, too
		start := time.Now()
		for range timingRepeats {
			do(secret)
		}
		took := float64(time.Since(start))
		times[which], all = append(times[which], took), append(all, took)
	}
	slices.Sort(all)
	limit := all[len(all)*9/10]
	for i := range times {
		times[i] = slices.DeleteFunc(times[i], func(t float64) bool { return t > limit })
	}
	return times
}

// welch is the t of two samples whose variances may differ.
func welch(times [2][]float64) float64 {
	var mean, square [2]float64 // of the samples; variance of the mean
	for i, list := range times {
		for _, t := range list {
			mean[i] += t / float64(len(list))
		}
		for _, t := range list {
			square[i] += (t - mean[i]) * (t - mean[i]) / float64(len(list)-1) / float64(len(list))
		}
	}
	return (mean[0] - mean[1]) / math.Sqrt(square[0]+square[1])
}
