// Package devicetest says on which backends tests run: go and, where its plugin is found, xla:cpu, or those of ASTRO_TEST_BACKENDS; and looks
// at programs that were compiled for a GPU that is not here.
package devicetest

import (
	"os"
	"strings"
	"testing"

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
	if err != nil && kind != device.Go && os.Getenv(backendsEnv) == "" {
		t.Skipf("this machine cannot run %s: %v", kind, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}
