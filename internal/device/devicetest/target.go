package devicetest

import (
	"os"
	"testing"

	"astro/internal/device"
	"astro/internal/device/hlo"
)

// Full says that tests are to compile whole models and every Bucket, not cuts of them (`make cuda-aot-full`).
func Full() bool { return os.Getenv("ASTRO_TEST_CUDA_AOT") == "full" }

// H200 gives a device that compiles for an H200. The test is skipped unless ASTRO_TEST_CUDA_AOT is set, which `make test-cuda-aot` does: it takes
// minutes and needs a compiler that `make test` does not fetch.
func H200(t testing.TB) *device.Device {
	t.Helper()
	if os.Getenv("ASTRO_TEST_CUDA_AOT") == "" {
		t.Skip("make test-cuda-aot compiles programs for a GPU")
	}
	d, err := device.OpenTarget(device.TargetH200)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Bounds are what a compiled program may do.
type Bounds struct {
	TemporaryBytes int64 // besides arguments and results, at most
	CopyBytes      int64 // a single copy of an array is smaller than this; 0 = of any size
	Devices        int   // that run it; 0 = 1
}

// Compiled is a program as a target's compiler left it.
type Compiled struct {
	Info   device.ProgramInfo
	Module *hlo.Module
}

// Check compiles a program for a target, holds it to its bounds, and returns it. That all aliases are kept is checked by
// the compilation itself.
func Check(t testing.TB, d *device.Device, s device.Spec, b Bounds) Compiled {
	t.Helper()
	p, err := d.CompileAcross(max(1, b.Devices), s)
	if err != nil {
		t.Errorf("%v", err)
		return Compiled{Module: &hlo.Module{}}
	}
	defer p.Close()
	info := p.Info()
	t.Logf("%-28s %7.1f MiB in place, %8.1f MiB temporary of %8.1f planned, compiled in %.1f s", s.Name, mib(info.InPlaceBytes),
		mib(info.TemporaryBytes), mib(b.TemporaryBytes), info.CompileTime.Seconds())
	if info.TemporaryBytes > b.TemporaryBytes {
		t.Errorf("%s needs %.1f MiB of temporary memory; the plan has %.1f", s.Name, mib(info.TemporaryBytes), mib(b.TemporaryBytes))
	}
	m, err := p.Optimized()
	if err != nil {
		t.Fatal(err)
	}
	checkCopies(t, m, s.Name, b.CopyBytes)
	return Compiled{info, m}
}

func checkCopies(t testing.TB, m *hlo.Module, name string, bytes int64) {
	t.Helper()
	for _, i := range m.Instructions {
		if i.InMemory && i.Opcode == "copy" && bytes > 0 && i.Shape.Bytes() >= bytes {
			t.Errorf("%s copies %.1f MiB: %s in %s", name, mib(i.Shape.Bytes()), i.Name, i.Computation)
		}
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
