package device

import (
	"fmt"
	"runtime"
	"strings"
)

// Checkup is what Diagnose finds out about one backend.
type Checkup struct {
	Kind   Kind
	Works  bool
	Plugin string // file of the plugin that was opened; "" for Go
	Detail string // what it is, or why it does not work and the one command that would change that
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

// Diagnose opens every backend, the best first, and says which work. What it opened stays open.
func Diagnose(o Options) []Checkup {
	var all []Checkup
	for _, kind := range bestFirst {
		o.Backend = string(kind)
		d, err := Open(o)
		if err != nil {
			all = append(all, Checkup{Kind: kind, Detail: err.Error()})
			continue
		}
		all = append(all, Checkup{Kind: kind, Works: true, Plugin: d.plugin, Detail: d.describe()})
	}
	return all
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
