package device

import (
	"cmp"
	"fmt"
	"runtime"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Checkup is what Diagnose finds out about one backend.
type Checkup struct {
	Kind   Kind
	Works  bool
	Plugin string   // file of the plugin that was opened; "" for Go
	Detail string   // what it is, or why it does not work and the one command that would change that
	Notes  []string // more to know of one that works, a line each: its GPUs, driver, libraries
}

// Machine describes the computer in words, for people.
type Machine struct {
	Processor      string
	Cores          int      // that this process may use
	Vectors        []string // instruction sets for vectors
	TotalBytes     int64    // of memory; 0 = not known
	AvailableBytes int64    // of it now
}

// Describe looks at the computer.
func Describe() Machine {
	h := hostCPU()
	total, available := memoryBytes()
	return Machine{Processor: h.model, Cores: runtime.GOMAXPROCS(0), Vectors: h.simdFeatures(), TotalBytes: total, AvailableBytes: available}
}

// Diagnose opens every backend, the best first, has those of XLA compile and run a small program, and says which work. What it
// opened stays open; of a GPU's memory it takes what it needs.
func Diagnose(o Options) []Checkup {
	o.LeaveGPUMemory = true
	var all []Checkup
	for _, kind := range bestFirst {
		o.Backend = string(kind)
		d, err := Open(o)
		if err == nil {
			err = d.try()
		}
		if err != nil {
			all = append(all, Checkup{Kind: kind, Detail: err.Error()})
			continue
		}
		all = append(all, Checkup{Kind: kind, Works: true, Plugin: d.plugin, Detail: d.describe(), Notes: d.notes()})
	}
	return all
}

// try has an XLA backend compile and run what needs most of it: a product (NVIDIA's libraries) and an exponential (its tools).
func (d *Device) try() error {
	if d.kind == Go {
		return nil
	}
	const n = 64
	square := shapes.Make(dtypes.Float32, n, n)
	p, err := d.Compile(Spec{Name: "doctor", Params: []Param{{"x", square, -1}}, Build: func(in []*graph.Node) []*graph.Node {
		return []*graph.Node{graph.ReduceAllSum(graph.Exp(graph.MatMul(in[0], in[0])))}
	}})
	if err != nil {
		return err
	}
	defer p.Close()
	zeros := tensors.FromShape(square)
	defer zeros.FinalizeAll()
	out, err := p.Run(zeros)
	if err != nil {
		return err
	}
	defer out[0].FinalizeAll()
	got, err := tensors.CopyFlatData[float32](out[0])
	if err == nil && got[0] != n*n {
		err = fmt.Errorf("a small program computed %v; want %d: do not use this backend, and report it", got[0], n*n)
	}
	return err
}

// notes are what an operator wants to know of a GPU.
func (d *Device) notes() (lines []string) {
	if d.cuda == nil {
		return nil
	}
	chips, err := d.Chips()
	if err != nil {
		lines = append(lines, err.Error())
	}
	for i, c := range chips {
		lines = append(lines, fmt.Sprintf("GPU %d: %s, compute capability %s, %.1f GiB for one process, as --gpu-memory-utilization says",
			i, c.Model, cmp.Or(c.Capability, "unknown"), float64(c.LimitBytes)/(1<<30)))
	}
	return append(lines, d.cuda.notes()...)
}

func (c *cudaParts) notes() []string {
	lines := []string{
		"driver " + cmp.Or(c.driver, "of an unknown version"),
		"plugin " + judgePlugin(c.version),
		"tools in " + c.data,
	}
	if len(c.missing) > 0 {
		lines = append(lines, "without "+strings.Join(c.missing, ", ")+", which few programs need")
	}
	return lines
}

// describe is the backend in its own words.
func (d *Device) describe() string {
	if d.kind == Go && !builtWithSIMD {
		return "compiled in, but WITHOUT vector kernels: build with `make`, which sets GOEXPERIMENT=simd; products are 5 to 40 times slower like this"
	}
	detail := strings.TrimSpace(d.backend.Description())
	if d.kind == Go {
		return detail + ", compiled in, with vector kernels"
	}
	return fmt.Sprintf("%s, %d devices", detail, d.backend.NumDevices())
}
