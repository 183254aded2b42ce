package device

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

func init() {
	for name, body := range map[string]string{"checked_right": doubled("add"), "checked_wrong": doubled("multiply"), "checked_broken": "    return %nothing\n"} {
		Implement(name, Implementation{Body: func(kind Kind, f Signature) string { return body }})
	}
}

// doubled is a body that applies an operation to a vector of 4 and itself.
func doubled(operation string) string {
	return fmt.Sprintf(`    %%y = "stablehlo.%s"(%%p0, %%p0) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    "stablehlo.return"(%%y) : (tensor<4xf32>) -> ()
`, operation)
}

func double(in []*graph.Node) []*graph.Node { return []*graph.Node{graph.MulScalar(in[0], 2)} }

func checkOf(name string) Check {
	return Check{Kind: XLACPU, Functions: []string{name}, Tolerance: 1e-6, Want: double,
		Inputs: func(random *rand.Rand) []*tensors.Tensor {
			return []*tensors.Tensor{tensors.FromValue([]float32{1, 2, 3, float32(random.NormFloat64())})}
		},
		Build: func(in []*graph.Node) []*graph.Node { return Call(name, double, in...) }}
}

// A body that is wrong, or that does not compile, is not used from then on, and the reason is said; a right one is used.
func TestChecksDisableWrongBodies(t *testing.T) {
	d := withNatives(t)
	d.runChecks([]Check{checkOf("checked_right"), checkOf("checked_wrong"), checkOf("checked_broken")})
	for name, want := range map[string]string{"checked_right": "", "checked_wrong": "result 0 differs from the reference by", "checked_broken": "compile program check_checked_broken"} {
		if got := reasonFor(XLACPU, name); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s is disabled for the reason %q; want %q", name, got, want)
		}
		if reasonFor(XLACUDA, name) != "" {
			t.Errorf("%s is disabled on another kind of device", name)
		}
		if got := doubledBy(t, d, name); got != 10 {
			t.Errorf("%s of 5 is %v afterwards; want 10", name, got)
		}
	}
	if !theLibrary.anyBodied([]string{"checked_right"}) || theLibrary.anyBodied([]string{"checked_wrong", "checked_broken"}) {
		t.Error("want the right body in use, and it alone")
	}
}

func reasonFor(kind Kind, name string) string {
	for _, b := range DisabledBodies(kind) {
		if b.Function == name {
			return b.Reason
		}
	}
	return ""
}

func doubledBy(t *testing.T, d *Device, name string) float32 {
	t.Helper()
	p := compile(t, d, Spec{Name: "doubled", Params: []Param{{"x", f32(4), -1}}, Build: func(in []*graph.Node) []*graph.Node { return Call(name, double, in...) }})
	out, err := p.Run(tensors.FromValue([]float32{5, 5, 5, 5}))
	if err != nil {
		t.Fatal(err)
	}
	return tensors.MustCopyFlatData[float32](out[0])[0]
}

// What the user excludes is not tried.
func TestExcludedBodiesAreNotTried(t *testing.T) {
	d := withNatives(t)
	Implement("checked_excluded", Implementation{Body: func(Kind, Signature) string { t.Error("the body was asked for"); return "" }})
	list := []Check{checkOf("checked_excluded")}
	d.exclude("other,checked_excluded", list)
	d.runChecks(list)
	if got := reasonFor(XLACPU, "checked_excluded"); !strings.Contains(got, disableEnv) {
		t.Errorf("it is disabled for the reason %q; want the variable's name", got)
	}
}

// A gradient that sees outputs gets those of its own call, also where layers are computed once more for it.
func TestBackwardSeesOutputs(t *testing.T) {
	Implement("squared_and_cubed", Implementation{SeesOutputs: true, Backward: func(in []*graph.Node) []*graph.Node {
		x, squared, dSquared, dCubed := in[0], in[1], in[3], in[4] // of x*x and x*x*x
		return []*graph.Node{graph.Add(graph.Mul(graph.MulScalar(x, 2), dSquared), graph.Mul(graph.MulScalar(squared, 3), dCubed))}
	}})
	reference := func(in []*graph.Node) []*graph.Node {
		squared := graph.Mul(in[0], in[0])
		return []*graph.Node{squared, graph.Mul(squared, in[0])}
	}
	onEach(t, func(t *testing.T, d *Device) {
		for _, again := range []bool{false, true} {
			p := compile(t, d, Spec{Name: "gradient", Params: []Param{{"x", f32(1), -1}}, Build: func(in []*graph.Node) []*graph.Node {
				x := in[0]
				if again {
					x = x.Checkpoint()
				}
				for range 2 { // the second call has the first one's result
					out := Call("squared_and_cubed", reference, x)
					x = graph.MulScalar(graph.Add(out[0], out[1]), .5)
				}
				if again {
					x = x.StopCheckpoint()
				}
				return graph.Gradient(graph.ReduceAllSum(x), in[0])
			}})
			out, err := p.Run(tensors.FromValue([]float32{2}))
			if err != nil {
				t.Fatal(err)
			}
			// y = (x^2+x^3)/2 is 6 with slope (2x+3x^2)/2 = 8 at 2; the slope at 6 is 60.
			if got := tensors.MustCopyFlatData[float32](out[0])[0]; got != 480 {
				t.Errorf("computed again: %v: the gradient is %v; want 480", again, got)
			}
		}
	})
}
