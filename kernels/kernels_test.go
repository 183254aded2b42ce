package kernels_test

import (
	"testing"

	"astro/internal/device"
	"astro/kernels/kerneltest"
)

func TestKernels(t *testing.T) {
	for _, kind := range []device.Kind{device.Go, device.XLACPU, device.XLACUDA} {
		t.Run(string(kind), func(t *testing.T) {
			d, err := device.Open(device.Options{Backend: string(kind)})
			if err != nil && kind != device.Go {
				t.Skipf("XLA does not work on this kind of device here: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			kerneltest.Run(t, d)
		})
	}
}
