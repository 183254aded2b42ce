package device

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"astro/internal/device/stablehlo"
)

// Signature is a library function as a body replaces it: names and types of its parameters and results, in StableHLO.
type Signature = stablehlo.Func

// Reference is a computation in plain graph operations. As a library function it may depend on the shapes of its inputs and on
// nothing else: constants that it takes from Go variables must be part of the function's name.
type Reference func(in []*graph.Node) []*graph.Node

// Implementation is what a library function has besides its reference.
type Implementation struct {
	// Body gives StableHLO statements, ending with a return, to use on a platform in place of the reference; "" = the reference.
	// It must compute the same, within the tolerance that the function states. The library is locked while Body runs: it must not call
	// functions of this package that are about bodies, such as BodyDisabled.
	Body func(kind Kind, f Signature) string

	// Backward is the gradient rule on XLA: from the inputs and then the adjoints of the outputs to the adjoints of the floating
	// inputs, in order. nil = differentiate the reference, which computes it once more. On Go the reference is always differentiated.
	Backward Reference

	// SeesOutputs gives Backward the outputs too, between inputs and adjoints, so that it need not compute them once more.
	SeesOutputs bool
}

// library holds the process's library functions. Names are global, as those of types are.
type library struct {
	mu        sync.Mutex
	impls     map[string]Implementation // by short name
	functions map[string]*function      // by full name
	disabled  map[bodyName]string       // bodies that are not used, and why
}

// function is a library function for one list of input shapes and one kind of device.
type function struct {
	name      string // short
	reference Reference
	capturing sync.Mutex       // held while the reference is traced
	outputs   []shapes.Shape   // known once it was traced
	funcs     []stablehlo.Func // likewise; what is linked into the callers
	bodied    bool             // they are a body
}

var theLibrary = &library{impls: map[string]Implementation{}, functions: map[string]*function{}, disabled: map[bodyName]string{}}

func init() { graph.VJPRegistration[graph.NodeTypeCall] = differentiate }

// NativeCall is a call of a native function where the device has them.
type NativeCall struct {
	Name       string // of the library function; calls with other attributes are other functions
	Target     string // as in DeclareNative
	Attributes map[string]any
	Aliases    map[int]int // result -> operand, as in CustomCall

	Backward    Reference // as in Implementation, and so is SeesOutputs; they may depend on the attributes, too
	SeesOutputs bool
}

// CallNative is Call of a function with a body that is one custom call on devices with native functions. Unlike with Call the reference may
// depend on the attributes.
func CallNative(n NativeCall, reference Reference, in ...*graph.Node) []*graph.Node {
	h := fnv.New64a()
	fmt.Fprint(h, n.Target, ";", attributeText(n.Target, n.Attributes))
	name := fmt.Sprintf("%s_%016x", n.Name, h.Sum64())
	theLibrary.implementOnce(name, Implementation{Backward: n.Backward, SeesOutputs: n.SeesOutputs, Body: func(kind Kind, f Signature) string {
		if Natives(kind) != nil {
			return ""
		}
		return CustomCall(f, n.Target, n.Attributes, n.Aliases)
	}})
	return Call(name, reference, in...)
}

// implementOnce is Implement of what may be there already, the same.
func (l *library) implementOnce(name string, i Implementation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.impls[name]; !there {
		l.impls[name] = i
	}
}

var (
	functionName = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)
	callNode     = regexp.MustCompile(`Call\((` + stablehlo.LibraryPrefix + `\w+),`)
)

// Implement adds platform bodies and a gradient rule to the library function name. It is called once per name, from an init.
func Implement(name string, i Implementation) {
	theLibrary.mu.Lock()
	defer theLibrary.mu.Unlock()
	if _, twice := theLibrary.impls[name]; twice {
		panic(fmt.Sprintf("BUG: library function %q is implemented twice", name))
	}
	theLibrary.impls[name] = i
}

// Call applies the library function name to in, at least one node. On Go that is reference itself. On XLA the reference is traced
// in a graph of its own (so that it shares no caches with its caller, whatever scope that is in), replaced by its platform's body
// if there is one, linked into the program and inlined by the compiler. Name is lower-case words joined by "_".
func Call(name string, reference Reference, in ...*graph.Node) []*graph.Node {
	if !functionName.MatchString(name) {
		panic(fmt.Sprintf("BUG: library function %q; want lower-case words joined by _", name))
	}
	if len(in) == 0 {
		panic(fmt.Sprintf("BUG: library function %q is called without inputs; want at least one", name))
	}
	g := in[0].Graph()
	d := deviceOf(g.Backend())
	if d == nil || d.kind == Go {
		return reference(in)
	}
	full := fullName(name, d.kind, in)
	f := theLibrary.function(full, name, reference)
	f.trace(d, full, in)
	out := f.stub(g, full, in).Call(in...)
	if key := (callOutputs{full}); g.State(key) == nil {
		g.AttachState(key, out)
	}
	return out
}

// callOutputs is where a graph keeps the outputs of its first call of a function.
type callOutputs struct{ full string }

// outputsOf are the outputs of a call. Where layers are computed once more for their gradient, the same call is there twice, and the first
// one is taken, so that the other is not run.
func outputsOf(call *graph.Node, full string) []*graph.Node {
	for _, n := range call.Graph().Nodes() {
		if n.Type() == graph.NodeTypeCall && slices.Equal(n.Inputs(), call.Inputs()) && nameOfCall(n) == full {
			call = n
			break
		}
	}
	out := slices.Clone(call.Graph().State(callOutputs{full}).([]*graph.Node))
	if len(out) == 1 {
		return []*graph.Node{call}
	}
	for i, o := range out {
		out[i] = o.CloneWithInputs(call) // the same output of another call
	}
	return out
}

// nameOfCall is the full name of the library function of a call, or "". GoMLX does not tell it in any other way.
func nameOfCall(n *graph.Node) string {
	if m := callNode.FindStringSubmatch(n.String()); m != nil {
		return m[1]
	}
	return ""
}

// fullName is the symbol of name for these inputs: a body is made for their shapes and for one platform.
func fullName(name string, kind Kind, in []*graph.Node) string {
	h := fnv.New64a()
	fmt.Fprint(h, kind)
	for _, n := range in {
		fmt.Fprint(h, ";", n.Shape())
	}
	return fmt.Sprintf("%s%s_%016x", stablehlo.LibraryPrefix, name, h.Sum64())
}

func (l *library) function(full, name string, reference Reference) *function {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.functions[full]
	if f == nil {
		f = &function{name: name, reference: reference}
		l.functions[full] = f
	}
	return f
}

// trace builds the reference in a graph of its own and has the interposer keep its text. It panics like any graph function.
func (f *function) trace(d *Device, full string, in []*graph.Node) {
	f.capturing.Lock()
	defer f.capturing.Unlock()
	if f.outputs != nil {
		return
	}
	r := &request{library: full}
	g := graph.NewGraph(d.backend, r.graphName(f.name))
	defer r.done()
	defer g.Finalize()
	results := f.reference(parametersLike(g, in))
	err := g.Compile(results...)
	if !r.captured {
		panic(fmt.Errorf("library function %s: %w", f.name, err))
	}
	for _, o := range results {
		f.outputs = append(f.outputs, o.Shape())
	}
}

// stub declares the function in the caller's graph, once: its type is right, its body is dropped when the program is linked.
func (f *function) stub(g *graph.Graph, full string, in []*graph.Node) *graph.Function {
	type key struct{ full string }
	if s, ok := g.State(key{full}).(*graph.Function); ok {
		return s
	}
	s := graph.NewFunction(g, full, func(g *graph.Graph) []*graph.Node {
		parametersLike(g, in)
		results := make([]*graph.Node, len(f.outputs))
		for i, s := range f.outputs {
			zero := graph.ConstTensor(g, tensors.FromShape(shapes.Make(s.DType))) // not graph.Zeros: the caller's scalars are cached
			results[i] = graph.BroadcastToDims(zero, s.Dimensions...)
		}
		return results
	})
	g.AttachState(key{full}, s)
	return s
}

func parametersLike(g *graph.Graph, in []*graph.Node) []*graph.Node {
	params := make([]*graph.Node, len(in))
	for i, n := range in {
		params[i] = graph.Parameter(g, fmt.Sprintf("p%d", i), n.Shape())
	}
	return params
}

// capture keeps the text of a traced function, with the platform's body if there is one.
func (l *library) capture(kind Kind, full string, m *stablehlo.Module) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.functions[full]
	if body := l.impls[f.name].Body; body != nil && l.disabled[bodyName{kind, f.name}] == "" {
		main := m.Func("main")
		if text := body(kind, *main); text != "" {
			if !strings.Contains(text, "return") {
				return fmt.Errorf("body of library function %s on %s does not return", f.name, kind)
			}
			main.Body, f.bodied = strings.Trim(text, "\n")+"\n", true
		}
	}
	var err error
	f.funcs, err = m.Library(full)
	return err
}

// body gives the functions to link for a full name.
func (l *library) body(full string) ([]stablehlo.Func, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.functions[full]
	if f == nil || f.funcs == nil {
		return nil, false
	}
	return f.funcs, true
}

// differentiate is the gradient of a library call: another library call.
func differentiate(node *graph.Node, adjoints []*graph.Node, _ shapes.Shape) []*graph.Node {
	full := nameOfCall(node)
	if full == "" {
		panic(fmt.Errorf("no gradient for %s: it is no library function", node))
	}
	theLibrary.mu.Lock()
	f := theLibrary.functions[full]
	impl := theLibrary.impls[f.name]
	theLibrary.mu.Unlock()
	in, backward := node.Inputs(), impl.Backward
	if backward == nil {
		backward = f.recompute(len(in))
	}
	args := append([]*graph.Node{}, in...)
	if impl.SeesOutputs {
		args = append(args, outputsOf(node, full)...)
	}
	for i, a := range adjoints {
		if a == nil {
			a = graph.Zeros(node.Graph(), f.outputs[i])
		}
		args = append(args, a)
	}
	found := Call(f.name+"_backward", backward, args...)
	gradients := make([]*graph.Node, len(in))
	for i, n := range in {
		if n.DType().IsFloat() {
			gradients[i], found = found[0], found[1:]
		}
	}
	return gradients
}

// recompute differentiates the reference: the gradient of the sum of outputs times adjoints.
func (f *function) recompute(inputs int) Reference {
	return func(args []*graph.Node) []*graph.Node {
		in, adjoints := args[:inputs], args[inputs:]
		var loss *graph.Node
		for i, out := range f.reference(in) {
			if !out.DType().IsFloat() {
				continue
			}
			term := graph.ReduceAllSum(graph.Mul(out, graph.StopGradient(adjoints[i])))
			if loss == nil {
				loss = term
			} else {
				loss = graph.Add(loss, term)
			}
		}
		var floats []*graph.Node
		for _, n := range in {
			if n.DType().IsFloat() {
				floats = append(floats, n)
			}
		}
		return graph.Gradient(loss, floats...)
	}
}
