package kernels_test

import (
	"testing"

	"astro/internal/device"
	"astro/kernels/kerneltest"
)

func TestKernels(t *testing.T) {
	for _, kind := range []device.Kind{device.Go, device.XLACPU} {
		t.Run(string(kind), func(t *testing.T) {
			d, err := device.Open(device.Options{Backend: string(kind)})
			if err != nil && kind == device.XLACPU {
				t.Skipf("the XLA CPU plugin is missing: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			kerneltest.Run(t, d)
		})
	}
}
