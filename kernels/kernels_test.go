package kernels_test

import (
	"testing"

	"astro/internal/device/devicetest"
	"astro/kernels/kerneltest"
)

func TestKernels(t *testing.T) { devicetest.OnEach(t, kerneltest.Run) }
