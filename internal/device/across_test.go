package device

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// summed is a program across devices: each adds to its own total what all have together.
func summed(n int) Spec {
	return Spec{
		Name:   "summed",
		Params: []Param{{"step", f32(n), -1}, {"total", f32(n), 1}},
		Build: func(in []*graph.Node) []*graph.Node {
			all := in[0].Graph().Distributed().AllReduceOne(in[0], compute.ReduceOpSum)
			return []*graph.Node{all, graph.Add(in[1], all)}
		},
	}
}

// acrossCache names the folder of compiled programs in a child process.
const acrossCache = "ASTRO_TEST_ACROSS_CACHE"

func openXLACPU(t *testing.T) *Device {
	t.Helper()
	d, err := Open(Options{Backend: string(XLACPU), CacheDir: os.Getenv(acrossCache)})
	if err != nil {
		t.Skipf("the XLA CPU plugin is missing: %v", err)
	}
	return d
}

func compileAcross(t *testing.T, d *Device, devices int, s Spec) *Program {
	t.Helper()
	p, err := d.CompileAcross(devices, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Every device has arguments and results of its own, and what is updated in place stays on its device.
func TestRunAcrossDevices(t *testing.T) {
	d := openXLACPU(t)
	for _, devices := range []int{2, 4} {
		p := compileAcross(t, d, devices, summed(1000))
		t.Logf("over %d devices, cached: %v", devices, p.compiled.Cached)
		if info := p.Info(); info.Devices != devices || info.AliasedBytes != 4000 || info.InPlaceBytes != 4000 {
			t.Errorf("over %d devices: %+v; want 4000 bytes in place on each", devices, info)
		}
		totals := make([]*tensors.Tensor, devices)
		for i := range totals {
			totals[i] = tensors.FromScalarAndDimensions(float32(100*i), 1000)
		}
		for range 3 {
			var args []*tensors.Tensor
			for i, total := range totals {
				args = append(args, tensors.FromScalarAndDimensions(float32(i+1), 1000), total)
			}
			out := run(t, p, args...)
			for i := range totals {
				totals[i] = out[2*i+1]
			}
		}
		for i, total := range totals {
			want := float32(100*i + 3*devices*(devices+1)/2)
			if got := tensors.MustCopyFlatData[float32](total); got[0] != want || got[999] != want {
				t.Errorf("device %d of %d has total %v; want %v", i, devices, got[0], want)
			}
			if at, err := total.Device(); err != nil || int(at) != i {
				t.Errorf("total of device %d is on device %d (%v)", i, at, err)
			}
		}
	}
}

// A second process reads executables from the disk; they run across devices as fresh ones do.
func TestCachedExecutableAcrossDevices(t *testing.T) {
	openXLACPU(t)
	cache := t.TempDir()
	for i, want := range []string{"over 4 devices, cached: false", "over 4 devices, cached: true"} {
		child := exec.Command(os.Args[0], "-test.run", "^TestRunAcrossDevices$", "-test.v")
		child.Env = append(os.Environ(), acrossCache+"="+cache)
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("process %d: got %v and\n%s\nwant %q", i+1, err, out, want)
		}
	}
}

func TestRunAcrossDevicesRefusals(t *testing.T) {
	d := openXLACPU(t)
	p := compileAcross(t, d, 2, summed(2))
	fresh := func() *tensors.Tensor { return tensors.FromValue([]float32{1, 2}) }
	one := fresh()
	moved := fresh()
	if _, err := moved.Buffer(d.backend, 1); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]*tensors.Tensor{
		"takes 4 arguments, not 2": {fresh(), fresh()},
		"step of device 1 is also": {one, fresh(), one, fresh()},
		"step of device 0 is on":   {moved, fresh(), fresh(), fresh()},
		"argument total is also":   {fresh(), one, fresh(), one},
	} {
		if _, err := p.Run(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v; want one with %q", err, want)
		}
	}
	if err := one.CheckValid(); err != nil {
		t.Errorf("a refused run donated its argument: %v", err)
	}
	for devices, want := range map[int]string{0: "at least 1", d.Count() + 1: "devices, not"} {
		if _, err := d.CompileAcross(devices, summed(2)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d devices: got error %v; want one with %q", devices, err, want)
		}
	}
	if g, err := Open(Options{Backend: string(Go)}); err != nil {
		t.Fatal(err)
	} else if _, err := g.CompileAcross(2, summed(2)); err == nil || !strings.Contains(err.Error(), "go has one device") {
		t.Errorf("on go: got error %v", err)
	}
}

// Runs from several goroutines do not wait for each other in collective operations.
func TestConcurrentRunsAcrossDevices(t *testing.T) {
	d := openXLACPU(t)
	programs := []*Program{compileAcross(t, d, 4, summed(10)), compileAcross(t, d, 4, summed(20)), compileAcross(t, d, 2, summed(30))}
	var all sync.WaitGroup
	for _, p := range programs {
		all.Go(func() {
			for range 50 {
				var args []*tensors.Tensor
				for range p.devices {
					for _, q := range p.params {
						args = append(args, tensors.FromScalarAndDimensions[float32](1, q.Shape.Dimensions...))
					}
				}
				out, err := p.Run(args...)
				if err != nil {
					t.Error(err)
					return
				}
				if got := tensors.MustCopyFlatData[float32](out[1])[0]; got != float32(p.devices+1) {
					t.Errorf("got %v on %d devices", got, p.devices)
				}
			}
		})
	}
	all.Wait()
}
