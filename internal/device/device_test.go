package device

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

func TestMain(m *testing.M) {
	checkRuns = true
	os.Exit(m.Run())
}

// onEach is devicetest's, which imports this package.
func onEach(t *testing.T, test func(t *testing.T, d *Device)) {
	kinds := []Kind{Go, XLACPU}
	named := os.Getenv("ASTRO_TEST_BACKENDS")
	if named != "" {
		kinds = nil
	}
	for name := range strings.SplitSeq(named, ",") {
		if name != "" {
			kinds = append(kinds, Kind(name))
		}
	}
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			d, err := Open(Options{Backend: string(kind)})
			if err != nil && kind != Go && named == "" {
				t.Skipf("this machine cannot run %s: %v", kind, err)
			}
			if err != nil {
				t.Fatal(err)
			}
			test(t, d)
		})
	}
}

func f32(dims ...int) shapes.Shape { return shapes.Make(dtypes.Float32, dims...) }

// counter is a program with one aliased parameter: total += step, and twice the new total beside it.
func counter(n int) Spec {
	return Spec{
		Name:   "counter",
		Params: []Param{{"step", f32(n), -1}, {"total", f32(n), 1}},
		Build: func(in []*graph.Node) []*graph.Node {
			total := graph.Add(in[1], in[0])
			return []*graph.Node{graph.MulScalar(total, 2), total}
		},
	}
}

func compile(t *testing.T, d *Device, s Spec) *Program {
	t.Helper()
	p, err := d.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func run(t *testing.T, p *Program, args ...*tensors.Tensor) []*tensors.Tensor {
	t.Helper()
	out, err := p.Run(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRunUpdatesAliasedArgumentInPlace(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		p := compile(t, d, counter(3))
		step, total := tensors.FromValue([]float32{1, 2, 3}), tensors.FromValue([]float32{0, 0, 0})
		for range 3 {
			out := run(t, p, step, total)
			if total.CheckValid() == nil {
				t.Fatal("the donated tensor is still valid")
			}
			total = out[1]
			out[0].MustFinalizeAll()
		}
		if got := tensors.MustCopyFlatData[float32](total); got[0] != 3 || got[2] != 9 {
			t.Errorf("got %v; want 3 times the step", got)
		}
		if got := tensors.MustCopyFlatData[float32](step); got[1] != 2 {
			t.Errorf("an argument without alias was changed to %v", got)
		}
	})
}

// A tensor that was an ordinary argument before may share its memory with the host; donating it later must not free that memory
// under the output.
func TestDonateSharedTensor(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		p := compile(t, d, counter(1<<16))
		zeros := make([]float32, 1<<16)
		a, b := tensors.FromValue(zeros), tensors.FromValue(zeros)
		out := run(t, p, a, b)
		out[0].MustFinalizeAll()
		total := run(t, p, out[1], a)[1] // a: ordinary in the first run, donated in the second
		var kept [][]float32
		for range 64 { // would reuse the memory if it were free
			kept = append(kept, tensors.MustCopyFlatData[float32](run(t, p, tensors.FromValue(ones(1<<16)), tensors.FromValue(ones(1<<16)))[1]))
		}
		if got := tensors.MustCopyFlatData[float32](total); got[0] != 0 || got[1<<16-1] != 0 || kept[0][0] != 2 {
			t.Errorf("got %v; want zeros", got[:4])
		}
	})
}

func ones(n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = 1
	}
	return s
}

func TestProgramsTellAliasedBytes(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		compile(t, d, counter(1000))
		for _, info := range d.Programs() {
			if info.InPlaceBytes != info.AliasedBytes || info.AliasedBytes != 4000 {
				t.Errorf("program %s updates %d of %d bytes in place; want 4000", info.Name, info.InPlaceBytes, info.AliasedBytes)
			}
		}
	})
	for _, d := range opened.byKind {
		if left := d.Programs(); len(left) != 0 {
			t.Errorf("closed programs are still listed: %v", left)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	same := func(in []*graph.Node) []*graph.Node { return in }
	cases := map[string]struct {
		spec Spec
		want string
	}{
		"graph function panics": {Spec{"p", []Param{{"a", f32(2), -1}, {"b", f32(3), -1}},
			func(in []*graph.Node) []*graph.Node { return []*graph.Node{graph.Add(in[0], in[1])} }}, "compile program p"},
		"build has a defect": {Spec{"p", []Param{{"a", f32(2), -1}},
			func(in []*graph.Node) []*graph.Node { return []*graph.Node{in[7]} }}, "index out of range"},
		"no outputs":         {Spec{"p", []Param{{"a", f32(2), -1}}, func([]*graph.Node) []*graph.Node { return nil }}, "no outputs"},
		"name twice":         {Spec{"p", []Param{{"a", f32(2), -1}, {"a", f32(2), -1}}, same}, "one of its own"},
		"alias past outputs": {Spec{"p", []Param{{"a", f32(2), 1}}, same}, "output 1 of 1"},
		"output twice":       {Spec{"p", []Param{{"a", f32(2), 0}, {"b", f32(2), 0}}, same}, "both updated"},
		"alias of another shape": {Spec{"p", []Param{{"a", f32(2), 0}},
			func(in []*graph.Node) []*graph.Node { return []*graph.Node{graph.ReduceAllSum(in[0])} }}, "which updates it"},
	}
	onEach(t, func(t *testing.T, d *Device) {
		for name, c := range cases {
			if _, err := d.Compile(c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got error %v; want one with %q", name, err, c.want)
			}
		}
	})
}

func TestRunErrors(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		p, err := d.Compile(counter(2))
		if err != nil {
			t.Fatal(err)
		}
		two, three := tensors.FromValue([]float32{1, 2}), tensors.FromValue([]float32{1, 2, 3})
		freed := tensors.FromValue([]float32{1, 2})
		freed.MustFinalizeAll()
		for want, args := range map[string][]*tensors.Tensor{
			"takes 2 arguments":  {two},
			"argument total is":  {two, three},
			"no valid tensor":    {freed, two},
			"must be given once": {two, two},
		} {
			if _, err := p.Run(args...); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v; want one with %q", err, want)
			}
		}
		if err := two.CheckValid(); err != nil {
			t.Errorf("a refused run donated its argument: %v", err)
		}
		p.Close()
		p.Close()
		if _, err := p.Run(two, tensors.FromValue([]float32{1, 2})); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("got error %v of a closed program", err)
		}
	})
}

func TestOpenGivesOneDevicePerKind(t *testing.T) {
	a, err := Open(Options{Backend: "go"})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := Open(Options{Backend: "go", CacheDir: t.TempDir()}); b != a || err != nil {
		t.Errorf("got another device, or error %v", err)
	}
	if _, err := Open(Options{Backend: "tpu"}); err == nil || !strings.Contains(err.Error(), "use auto, go, xla:cpu or xla:cuda") {
		t.Errorf("got error %v of an unknown backend", err)
	}
	best, err := Open(Options{Backend: Auto})
	if err != nil {
		t.Fatal(err)
	}
	if best.Kind() == Go && len(best.Skipped()) != 2 {
		t.Errorf("got %v as reasons for go; want one for xla:cuda and one for xla:cpu", best.Skipped())
	}
}

func TestConcurrentCompileAndRun(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				p, err := d.Compile(counter(100 + i%3))
				if err != nil {
					t.Error(err)
					return
				}
				defer p.Close()
				n := p.params[0].Shape.Dimensions[0]
				total := tensors.FromValue(make([]float32, n))
				for range 20 {
					out, err := p.Run(tensors.FromValue(ones(n)), total)
					if err != nil {
						t.Error(err)
						return
					}
					total = out[1]
				}
				if got := tensors.MustCopyFlatData[float32](total)[n-1]; got != 20 {
					t.Errorf("got %v after 20 runs", got)
				}
			})
		}
		all.Wait()
	})
}

func TestParseMeminfo(t *testing.T) {
	if total, available := parseMeminfo("MemTotal:  100 kB\nMemAvailable:   7 kB\n"); total != 100<<10 || available != 7<<10 {
		t.Errorf("got %d and %d; want 100 and 7 KiB", total, available)
	}
	if _, available := parseMeminfo("MemTotal: 100 kB\n"); available != 0 {
		t.Errorf("got %d; want 0 where MemAvailable is missing", available)
	}
}

// TestHostBytes: on go a result's memory can be read and changed, and later runs see that; elsewhere it is an error.
func TestHostBytes(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		p := compile(t, d, counter(4))
		state := run(t, p, tensors.FromValue([]float32{1, 1, 1, 1}), tensors.FromShape(f32(4)))[1]
		bytes, err := d.HostBytes(state)
		if d.kind != Go {
			if err == nil {
				t.Error("a tensor of XLA was given to the host")
			}
			return
		}
		if err != nil || len(bytes) != 16 {
			t.Fatalf("%d bytes of 4 f32 (%v); want 16", len(bytes), err)
		}
		clear(bytes)
		if got := tensors.MustCopyFlatData[float32](state); got[0] != 0 {
			t.Errorf("cleared tensor reads %v; want zeros", got)
		}
	})
}
