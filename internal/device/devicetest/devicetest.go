// Package devicetest says on which backends tests run: go and, where its plugin is found, xla:cpu, or those of ASTRO_TEST_BACKENDS; and looks
// at programs that were compiled for a GPU that is not here.
package devicetest

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"astro/internal/device"
)

// backendsEnv names the backends to test, such as "xla:cuda", with commas between. One that is named there and cannot be opened fails
// the test that wants it.
const backendsEnv = "ASTRO_TEST_BACKENDS"

// Kinds are the backends that a test of all of them runs on.
func Kinds() []device.Kind {
	var kinds []device.Kind
	for _, name := range strings.FieldsFunc(os.Getenv(backendsEnv), func(r rune) bool { return r == ',' }) {
		kinds = append(kinds, device.Kind(name))
	}
	if len(kinds) == 0 {
		return []device.Kind{device.Go, device.XLACPU}
	}
	return kinds
}

// OnEach runs test on each of Kinds.
func OnEach(t *testing.T, test func(t *testing.T, d *device.Device)) {
	t.Helper()
	for _, kind := range Kinds() {
		t.Run(string(kind), func(t *testing.T) { test(t, Open(t, kind)) })
	}
}

// Open opens a backend. One of XLA that cannot be had skips the test, which says why, unless the environment asks for it.
func Open(t testing.TB, kind device.Kind) *device.Device {
	t.Helper()
	d, err := device.Open(device.Options{Backend: string(kind)})
	if asked := os.Getenv(backendsEnv) != "" && slices.Contains(Kinds(), kind); err != nil && kind != device.Go && !asked {
		t.Skipf("this machine cannot run %s: %v", kind, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Native opens xla:cpu where programs can call native functions there; else the test is skipped.
func Native(t testing.TB) *device.Device {
	t.Helper()
	d := Open(t, device.XLACPU)
	if err := d.Natives(); err != nil {
		t.Skipf("no native functions: %v", err)
	}
	return d
}

// InTurns runs steps in turns, as long as the benchmark goes on, and reports the best time of each, and of two the first's as a part of the second's.
func InTurns(b *testing.B, names []string, steps ...func()) {
	best := slices.Repeat([]time.Duration{math.MaxInt64}, len(steps))
	for b.Loop() {
		for i, step := range steps {
			start := time.Now()
			step()
			best[i] = min(best[i], time.Since(start))
		}
	}
	for i, name := range names {
		b.ReportMetric(float64(best[i].Microseconds()), "us/"+name)
	}
	if len(best) == 2 {
		b.ReportMetric(float64(best[0])/float64(best[1]), "ratio")
	}
}
