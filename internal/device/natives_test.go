package device

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"astro/internal/device/ffitest"
)

const accumulateTarget = "astro_test_accumulate_v1"

func init() {
	DeclareNative(XLACPU, accumulateTarget, ffitest.Accumulate())
	for name, fail := range map[string]int64{"accumulate": 0, "accumulate_fails": 7} {
		Implement(name, Implementation{Body: func(kind Kind, f Signature) string {
			if Natives(kind) != nil {
				return ""
			}
			return CustomCall(f, accumulateTarget, map[string]any{"factor": int32(-3), "bias": float32(0.1), "fail": fail}, map[int]int{1: 1})
		}})
	}
}

// accumulateReference says that nothing was in place, which the native function contradicts: tests see which of the two ran.
func accumulateReference(in []*graph.Node) []*graph.Node {
	g := in[0].Graph()
	return []*graph.Node{graph.Zeros(g, shapes.Make(dtypes.Int32, 2)), graph.AddScalar(graph.Add(in[1], graph.MulScalar(in[0], -3)), float32(0.1))}
}

// accumulator is a program with one aliased parameter, updated by the named library function.
func accumulator(name string, n int) Spec {
	return Spec{Name: name, Params: []Param{{"step", f32(n), -1}, {"total", f32(n), 1}},
		Build: func(in []*graph.Node) []*graph.Node { return Call(name, accumulateReference, in...) }}
}

// accumulatorLoop calls it 8 times in a While whose state is the aliased parameter.
func accumulatorLoop(n int) Spec {
	return Spec{Name: "loop", Params: []Param{{"step", f32(n), -1}, {"total", f32(n), 1}},
		Build: func(in []*graph.Node) []*graph.Node {
			g := in[0].Graph()
			more := graph.NewClosure(g, func(g *graph.Graph) []*graph.Node {
				i, _, _, _ := loopState(g, n)
				return []*graph.Node{graph.LessThan(i, graph.Const(g, int32(8)))}
			})
			body := graph.NewClosure(g, func(g *graph.Graph) []*graph.Node {
				i, told, step, total := loopState(g, n)
				out := Call("accumulate", accumulateReference, step, total)
				return []*graph.Node{graph.AddScalar(i, 1), graph.Add(told, out[0]), step, out[1]}
			})
			out := graph.While(more, body, graph.Const(g, int32(0)), graph.Zeros(g, shapes.Make(dtypes.Int32, 2)), in[0], in[1])
			return []*graph.Node{out[1], out[3]}
		}}
}

func loopState(g *graph.Graph, n int) (i, told, step, total *graph.Node) {
	return graph.Parameter(g, "", shapes.Make(dtypes.Int32)), graph.Parameter(g, "", shapes.Make(dtypes.Int32, 2)),
		graph.Parameter(g, "", f32(n)), graph.Parameter(g, "", f32(n))
}

// withNatives opens a device whose programs can call native functions.
func withNatives(t *testing.T) *Device {
	t.Helper()
	if _, err := FindPlugin(XLACPU, ""); err != nil {
		t.Skipf("the XLA CPU plugin is missing: %v", err)
	}
	d, err := Open(Options{Backend: string(XLACPU), CacheDir: os.Getenv("ASTRO_TEST_NATIVES_CACHE")})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Natives(); err != nil {
		t.Skipf("the XLA CPU plugin calls no native functions: %v", err)
	}
	return d
}

// accumulate runs p with a step of ones on a total of zeros, and checks that its calls native calls were in place and right.
func accumulate(p *Program, n, runs, calls int) error {
	total := tensors.FromValue(make([]float32, n))
	var want float32
	for i := range runs {
		out, err := p.Run(tensors.FromValue(ones(n)), total)
		if err != nil {
			return err
		}
		told := tensors.MustCopyFlatData[int32](out[0])
		if total = out[1]; told[0] != int32(calls) || told[1] != 0 {
			return fmt.Errorf("run %d: %d calls were in place, with the bits %#x in their addresses; want %d and 0", i, told[0], told[1], calls)
		}
		for range calls {
			want += -3
			want += float32(0.1)
		}
	}
	if got := tensors.MustCopyFlatData[float32](total); got[0] != want || got[n-1] != want {
		return fmt.Errorf("got %v and %v; want %v", got[0], got[n-1], want)
	}
	return nil
}

func TestNativeFunctionUpdatesInPlace(t *testing.T) {
	d := withNatives(t)
	if err := accumulate(compile(t, d, accumulator("accumulate", 1<<16)), 1<<16, 5, 1); err != nil {
		t.Error(err)
	}
	if err := accumulate(compile(t, d, accumulatorLoop(1<<16)), 1<<16, 5, 8); err != nil {
		t.Errorf("in a loop: %v", err)
	}
}

// An error of a native function is that of the run, and only of that run.
func TestNativeFunctionFails(t *testing.T) {
	d := withNatives(t)
	fails, works := compile(t, d, accumulator("accumulate_fails", 8)), compile(t, d, accumulator("accumulate", 8))
	for range 3 {
		_, err := fails.Run(tensors.FromValue(ones(8)), tensors.FromValue(ones(8)))
		if err == nil || !strings.Contains(err.Error(), "accumulate: told to fail by 7") || !strings.Contains(err.Error(), "run program accumulate_fails") {
			t.Errorf("got error %v; want the handler's", err)
		}
		if err := accumulate(works, 8, 2, 1); err != nil {
			t.Errorf("the next run: %v", err)
		}
	}
}

func TestNativeFunctionRunsManyAtOnce(t *testing.T) {
	p := compile(t, withNatives(t), accumulator("accumulate", 1000))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := accumulate(p, 1000, 200, 1); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// The second process reads the executable from the disk; the native function that it calls is the one of that process.
func TestNativeFunctionOfCachedExecutable(t *testing.T) {
	withNatives(t)
	cache := t.TempDir()
	for i, want := range []string{"cached: false", "cached: true"} {
		child := exec.Command(os.Args[0], "-test.run", "^TestNativeFunctionChild$", "-test.v")
		child.Env = append(os.Environ(), "ASTRO_TEST_NATIVES_CACHE="+cache)
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("process %d: got %v and\n%s\nwant %q", i+1, err, out, want)
		}
	}
}

func TestNativeFunctionChild(t *testing.T) {
	if os.Getenv("ASTRO_TEST_NATIVES_CACHE") == "" {
		t.Skip("no cache is named: it is the child of TestNativeFunctionOfCachedExecutable")
	}
	p := compile(t, withNatives(t), accumulator("accumulate", 64))
	if err := accumulate(p, 64, 3, 1); err != nil {
		t.Error(err)
	}
	t.Logf("cached: %v", p.compiled.Cached)
}

func TestNativesOnlyOnXLACPU(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		if err := d.Natives(); d.kind == Go && (err == nil || !strings.Contains(err.Error(), "want xla:cpu")) {
			t.Errorf("got %v of the backend go; want an error that names xla:cpu", err)
		}
	})
}

func TestDeclareNativeRefuses(t *testing.T) {
	n := &theNatives
	defer func(closed bool) { n.closed = closed }(n.closed)
	for want, c := range map[string]struct {
		kind   Kind
		target string
		closed bool
	}{"declared twice": {XLACPU, accumulateTarget, false}, "after a plugin was loaded": {XLACPU, "other", true}, "lower-case words": {XLACPU, "a b", false},
		"want xla:cpu or xla:cuda": {Go, "other", false}} {
		n.closed = c.closed
		panics(t, want, func() { DeclareNative(c.kind, c.target, ffitest.Accumulate()) })
	}
	panics(t, "is NULL", func() { DeclareNative(XLACPU, "other", nil) })
}

// A function of one kind is told to that kind's plugin and is not there for others.
func TestNativesAreOfOneKind(t *testing.T) {
	n := natives{handlers: map[native]unsafe.Pointer{{XLACPU, "a"}: ffitest.Accumulate(), {XLACUDA, "b"}: ffitest.Accumulate()}}
	if cpu, cuda := n.close(XLACPU), n.close(XLACUDA); len(cpu) != 1 || cpu["a"] == nil || len(cuda) != 1 || cuda["b"] == nil {
		t.Errorf("got %v on xla:cpu and %v on xla:cuda; want a and b", cpu, cuda)
	}
	if err := HasNative(XLACUDA, accumulateTarget); err == nil || !strings.Contains(err.Error(), "has no native function") {
		t.Errorf("got %v for a function of another kind; want an error", err)
	}
	if d := withNatives(t); HasNative(d.kind, accumulateTarget) != nil {
		t.Errorf("got %v; want none", HasNative(d.kind, accumulateTarget))
	}
}

func panics(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "BUG: ") || !strings.Contains(got, want) {
			t.Errorf("got panic %q; want a BUG with %q", got, want)
		}
	}()
	f()
}
