package device

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"astro/internal/device/interposer"
)

// Param is an argument of a Program.
type Param struct {
	Name  string // unique in its Spec
	Shape shapes.Shape
	Alias int // index of the output that is written into this argument's memory, of the same shape; -1 = none
}

// Spec is a Program to compile.
type Spec struct {
	Name   string
	Params []Param
	// Build makes the outputs from the parameters' nodes, in order. It panics as graph functions do.
	// For an aliased parameter to be updated in place, nothing may read it after the operation that updates it.
	Build func(in []*graph.Node) []*graph.Node
}

// Program is a compiled graph. It may be run from several goroutines at once.
type Program struct {
	device   *Device
	name     string
	devices  int // that it runs on, from the first one on
	params   []Param
	aliased  []int // indices of the params with an Alias
	graph    *graph.Graph
	compiled interposer.Compiled // zero on Go
	took     time.Duration

	running sync.RWMutex // read by Run, written by Close
	closed  bool
}

// Compile builds and compiles a graph; several goroutines may compile at once. Whatever Build does wrong is an error that names
// the program, and so is an aliased parameter that the compiler would copy.
func (d *Device) Compile(s Spec) (*Program, error) { return d.CompileAcross(1, s) }

// CompileAcross is Compile for the first so many devices of the backend, each of which runs the program on its own part of the data.
// Params and outputs are of the shapes that one device has; what crosses from device to device does so in kernels.AllReduce and
// kernels.AllGather.
func (d *Device) CompileAcross(devices int, s Spec) (*Program, error) {
	start := time.Now()
	p := &Program{device: d, name: s.Name, devices: devices, params: s.Params}
	err := d.CheckCount(devices)
	if err == nil {
		err = p.check()
	}
	if err == nil {
		err = p.build(s)
	}
	if err == nil {
		err = p.checkAliasedBytes()
	}
	if err != nil {
		if p.graph != nil {
			p.graph.Finalize()
		}
		return nil, fmt.Errorf("compile program %s for %s: %w", s.Name, d.kind, err)
	}
	p.took = time.Since(start)
	d.programs.add(p)
	return p, nil
}

// check looks at the parameters alone and lists the aliased ones.
func (p *Program) check() error {
	names := map[string]bool{}
	taken := map[int]string{}
	for i, q := range p.params {
		if q.Name == "" || names[q.Name] {
			return fmt.Errorf("parameter %d has the name %q; want one of its own", i, q.Name)
		}
		names[q.Name] = true
		if q.Alias < 0 {
			continue
		}
		if other := taken[q.Alias]; other != "" {
			return fmt.Errorf("parameters %s and %s are both updated by output %d", other, q.Name, q.Alias)
		}
		taken[q.Alias] = q.Name
		p.aliased = append(p.aliased, i)
	}
	return nil
}

// build traces and compiles the graph. This is the border at which panics of graph functions become errors.
func (p *Program) build(s Spec) (err error) {
	r := &request{aliases: map[int]int{}, devices: p.devices}
	for _, i := range p.aliased {
		r.aliases[i] = p.params[i].Alias
	}
	p.graph = graph.NewGraph(p.device.backend, r.graphName(s.Name))
	defer r.done()
	defer func() {
		if v := recover(); v != nil {
			err = panicError(v)
		}
	}()
	if err := p.spread(); err != nil {
		return err
	}
	in := make([]*graph.Node, len(s.Params))
	for i, q := range s.Params {
		in[i] = graph.Parameter(p.graph, q.Name, q.Shape)
	}
	out := s.Build(in)
	if err := p.checkOutputs(out); err != nil {
		return err
	}
	err = p.graph.Compile(out...)
	if p.compiled = r.compiled; p.device.target != "" && r.compiled.Optimized != nil {
		return nil // go-xla got no executable
	}
	return err
}

// panicError keeps GoMLX's own errors as they are; anything else is a defect and brings its stack.
func panicError(v any) error {
	if err, ok := v.(error); ok {
		if _, isRuntime := v.(interface{ RuntimeError() }); !isRuntime {
			return err
		}
	}
	return fmt.Errorf("%v\n%s", v, debug.Stack())
}

func (p *Program) checkOutputs(out []*graph.Node) error {
	if len(out) == 0 {
		return fmt.Errorf("it has no outputs")
	}
	for _, i := range p.aliased {
		q := p.params[i]
		if q.Alias >= len(out) {
			return fmt.Errorf("parameter %s is updated by output %d of %d", q.Name, q.Alias, len(out))
		}
		if got := out[q.Alias].Shape(); !got.Equal(q.Shape) {
			return fmt.Errorf("parameter %s is %s but output %d, which updates it, is %s", q.Name, q.Shape, q.Alias, got)
		}
	}
	return nil
}

// checkAliasedBytes asks the executable itself whether the updates are in place: a lost alias gives right results, slowly.
func (p *Program) checkAliasedBytes() error {
	if p.device.kind == Go {
		return nil // decided at run time; see notInPlace
	}
	if got, want := p.compiled.Memory.Aliased, p.AliasedBytes(); got < want {
		return fmt.Errorf("its executable updates %d bytes in place; want %d", got, want)
	}
	return nil
}

// AliasedBytes is the size of all parameters that are updated in place, on each device.
func (p *Program) AliasedBytes() (n int64) {
	for _, i := range p.aliased {
		n += int64(p.params[i].Shape.ByteSize())
	}
	return n
}

// Run executes the program and returns its outputs, which the caller owns (FinalizeAll frees one at once, the garbage collector
// much later). Arguments with an Alias are donated: their tensors are invalid afterwards, even if the execution fails, because
// their memory is an output's now. Other arguments stay the caller's. Wrong arguments are an error before anything is donated.
//
// A program across devices takes all arguments of the first device, then all of the second, and so on, and gives outputs likewise.
// Every device has tensors of its own, also of what is the same on all.
func (p *Program) Run(args ...*tensors.Tensor) ([]*tensors.Tensor, error) {
	p.running.RLock()
	defer p.running.RUnlock()
	if err := p.checkArgs(args); err != nil {
		return nil, fmt.Errorf("run program %s: %w", p.name, err)
	}
	out, err := p.execute(args)
	if err != nil {
		return nil, fmt.Errorf("run program %s: %w", p.name, err)
	}
	return out, nil
}

func (p *Program) checkArgs(args []*tensors.Tensor) error {
	if p.closed {
		return fmt.Errorf("it is closed")
	}
	if p.device.target != "" {
		return fmt.Errorf("%w: %s", ErrNotHere, p.device.target)
	}
	if want := p.devices * len(p.params); len(args) != want {
		return fmt.Errorf("it takes %d arguments, not %d", want, len(args))
	}
	for i, a := range args {
		if a == nil || a.CheckValid() != nil {
			return fmt.Errorf("argument %s is no valid tensor; was it donated or freed?", p.param(i).Name)
		}
		if want := p.param(i).Shape; !a.Shape().Equal(want) {
			return fmt.Errorf("argument %s is %s; want %s", p.param(i).Name, a.Shape(), want)
		}
	}
	for i := range p.donatedArgs() {
		for j, a := range args {
			if a == args[i] && j != i {
				return fmt.Errorf("argument %s is also argument %s; an aliased argument must be given once", p.param(i).Name, p.param(j).Name)
			}
		}
	}
	return p.checkPlaces(args)
}

func (p *Program) execute(args []*tensors.Tensor) ([]*tensors.Tensor, error) {
	buffers := make([]compute.Buffer, len(args))
	donate := make([]bool, len(args))
	shared := p.sharedWithHost(args)
	for i, a := range args {
		if p.param(i).Alias >= 0 {
			continue // donated only once nothing else can fail
		}
		var err error
		if buffers[i], err = a.Buffer(p.device.backend, p.placeOf(i)); err != nil {
			return nil, fmt.Errorf("argument %s: %w", p.param(i).Name, err)
		}
	}
	for i := range p.donatedArgs() {
		var err error
		if buffers[i], err = p.donated(args[i], p.placeOf(i)); err != nil {
			return nil, fmt.Errorf("argument %s: %w", p.param(i).Name, err)
		}
		donate[i] = true
	}
	before := p.addresses(buffers, shared)
	results, err := p.dispatch(buffers, donate)
	if err != nil {
		return nil, err
	}
	p.checkInPlace(before, results)
	return tensorsOf(results)
}

// donated takes the tensor's memory on a device away from it.
func (p *Program) donated(t *tensors.Tensor, on compute.DeviceNum) (compute.Buffer, error) {
	b, err := t.DonateBuffer(p.device.backend, on)
	if err != nil {
		return nil, err
	}
	return b, t.FinalizeAll() // a copy on the host would be out of date
}

// tensorsOf wraps buffers; if one cannot be, none is kept.
func tensorsOf(buffers []compute.Buffer) ([]*tensors.Tensor, error) {
	out := make([]*tensors.Tensor, len(buffers))
	for i, b := range buffers {
		t, err := tensors.FromBuffer(b)
		if err != nil {
			for _, b := range buffers {
				b.Finalize()
			}
			return nil, err
		}
		out[i] = t
	}
	return out, nil
}

// Close frees the executable once no Run uses it. Further Runs are errors; closing twice does nothing.
func (p *Program) Close() {
	p.running.Lock()
	defer p.running.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	p.graph.Finalize()
	p.device.programs.remove(p)
}
