package main

import (
	"strings"
	"testing"

	"astro/internal/device"
)

// The go backend always works; a backend that does not says what to do about it, on one line. Another test may have opened xla:cpu, which stays open.
func TestDoctor(t *testing.T) {
	var out strings.Builder
	if err := diagnose(&out, device.Options{PluginDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{"machine: ", "go        works: ", "xla:cpu   ", "xla:cuda  does not work here: ", "--backend auto takes "} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%swant a line with %q", text, want)
		}
	}
	if strings.Contains(text, "WITHOUT vector kernels") {
		t.Errorf("the tests run without GOEXPERIMENT=simd: use make\n%s", text)
	}
}

// A kernel that failed its check is named with the reason, for its kind of device.
func TestDoctorNamesDisabledKernels(t *testing.T) {
	device.DisableBody(device.XLACUDA, "doctor_example", "result 0 differs")
	for kind, want := range map[device.Kind]string{device.XLACUDA: "kernel not used: doctor_example: result 0 differs\n", device.Go: ""} {
		var out strings.Builder
		sayDisabled(&out, kind)
		if got := strings.TrimLeft(out.String(), " "); got != want {
			t.Errorf("%s: got %q; want %q", kind, got, want)
		}
	}
}
