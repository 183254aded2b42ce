package device

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// bodyName is a library function's body on a kind of device.
type bodyName struct {
	kind Kind
	name string
}

// DisabledBody is a library function whose reference runs in place of its body, and why.
type DisabledBody struct {
	Function, Reason string
}

// String is both on one line.
func (b DisabledBody) String() string { return b.Function + ": " + b.Reason }

// DisableBody lets programs that are compiled from now on, on devices of this kind, use the reference of a library function and not its
// body. The first reason stays.
func DisableBody(kind Kind, name, reason string) {
	l := theLibrary
	l.mu.Lock()
	defer l.mu.Unlock()
	if key := (bodyName{kind, name}); l.disabled[key] == "" {
		l.disabled[key] = reason
	}
	maps.DeleteFunc(l.functions, func(_ string, f *function) bool { return f.name == name }) // what was traced has the body
}

// BodyDisabled says that DisableBody was called for it.
func BodyDisabled(kind Kind, name string) bool {
	theLibrary.mu.Lock()
	defer theLibrary.mu.Unlock()
	return theLibrary.disabled[bodyName{kind, name}] != ""
}

// DisabledBodies are those of a kind of device, by name.
func DisabledBodies(kind Kind) (list []DisabledBody) {
	theLibrary.mu.Lock()
	defer theLibrary.mu.Unlock()
	for key, reason := range theLibrary.disabled {
		if key.kind == kind {
			list = append(list, DisabledBody{key.name, reason})
		}
	}
	slices.SortFunc(list, func(a, b DisabledBody) int { return strings.Compare(a.Function, b.Function) })
	return list
}

// Check compares bodies of library functions with plain graph operations, on the device that they are for.
type Check struct {
	Kind      Kind                                      // of device, which has the bodies
	Functions []string                                  // whose bodies Build runs; all of them are disabled where the check fails
	Inputs    func(random *rand.Rand) []*tensors.Tensor // small, and of order 1
	Build     func(in []*graph.Node) []*graph.Node      // calls the functions
	Want      func(in []*graph.Node) []*graph.Node      // gives the same without them
	Tolerance float64                                   // the largest difference, of elements or relative to larger ones than 1
}

// theChecks are run when a device is opened.
var theChecks struct {
	sync.Mutex
	list []Check
}

// AddCheck adds a Check to those that are run when a device of its kind is first opened. It is called from an init.
func AddCheck(c Check) {
	theChecks.Lock()
	defer theChecks.Unlock()
	theChecks.list = append(theChecks.list, c)
}

// disableEnv names library functions, with commas between them, whose bodies are not to be used; allBodies = all that have a Check.
const (
	disableEnv = "ASTRO_DISABLE_BODIES"
	allBodies  = "all"
)

// checkBodies runs the checks for a device, once. A body that the user excluded is not tried.
func (d *Device) checkBodies() {
	d.checked.Do(func() {
		theChecks.Lock()
		list := slices.Clone(theChecks.list)
		theChecks.Unlock()
		d.exclude(os.Getenv(disableEnv), list)
		d.runChecks(list)
	})
}

func (d *Device) exclude(names string, list []Check) {
	excluded := strings.Split(names, ",")
	for _, c := range list {
		for _, f := range c.Functions {
			if c.Kind == d.kind && (slices.Contains(excluded, f) || names == allBodies) {
				DisableBody(d.kind, f, "excluded by "+disableEnv)
			}
		}
	}
}

// runChecks runs each Check of the device's kind and disables the bodies of those that do not compile, do not run, or whose results are wrong. One
// of a function that is disabled already is not run.
func (d *Device) runChecks(list []Check) {
	for _, c := range list {
		if c.Kind != d.kind || slices.ContainsFunc(c.Functions, func(f string) bool { return BodyDisabled(d.kind, f) }) {
			continue
		}
		if err := d.check(c); err != nil {
			for _, f := range c.Functions {
				DisableBody(d.kind, f, err.Error())
			}
		}
	}
}

// check runs both programs on the same inputs.
func (d *Device) check(c Check) error {
	in := c.Inputs(rand.New(rand.NewPCG(1, 2)))
	defer finalize(in)
	got, err := d.runOnce("check_"+c.Functions[0], c.Build, in)
	if err != nil || !theLibrary.anyBodied(c.Functions) {
		return err
	}
	want, err := d.runOnce("check_"+c.Functions[0]+"_reference", c.Want, in)
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		panic(fmt.Sprintf("BUG: the check of %s got %d results and %d to compare them with; want as many", c.Functions[0], len(got), len(want)))
	}
	for i := range want {
		if diff := largestDifference(got[i], want[i]); !(diff <= c.Tolerance) {
			return fmt.Errorf("result %d differs from the reference by %.3g; want at most %.3g", i, diff, c.Tolerance)
		}
	}
	return nil
}

// anyBodied says that one of the functions was compiled with a body.
func (l *library) anyBodied(functions []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.functions {
		if f.bodied && slices.Contains(functions, f.name) {
			return true
		}
	}
	return false
}

// runOnce gives a program's results as f32.
func (d *Device) runOnce(name string, build func(in []*graph.Node) []*graph.Node, in []*tensors.Tensor) (results [][]float32, err error) {
	s := Spec{Name: name, Build: func(in []*graph.Node) []*graph.Node {
		out := build(in)
		for i, o := range out {
			out[i] = graph.ConvertDType(o, dtypes.Float32)
		}
		return out
	}}
	for i, t := range in {
		s.Params = append(s.Params, Param{Name: fmt.Sprintf("in%d", i), Shape: t.Shape(), Alias: -1})
	}
	p, err := d.Compile(s)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	out, err := p.Run(in...)
	if err != nil {
		return nil, err
	}
	defer finalize(out)
	for _, t := range out {
		values, err := tensors.CopyFlatData[float32](t)
		if err != nil {
			return nil, err
		}
		results = append(results, values)
	}
	return results, nil
}

// finalize frees tensors; one that cannot be freed is left to the garbage collector.
func finalize(all []*tensors.Tensor) {
	for _, t := range all {
		_ = t.FinalizeAll()
	}
}

// largestDifference is relative for values above 1; what is no number in either is infinitely far away.
func largestDifference(got, want []float32) (most float64) {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	for i := range want {
		d := math.Abs(float64(got[i])-float64(want[i])) / max(1, math.Abs(float64(want[i])))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		most = max(most, d)
	}
	return most
}
