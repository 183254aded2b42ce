package device

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// programs are a device's compiled programs that are not closed.
type programs struct {
	mu  sync.Mutex
	set map[*Program]bool
}

// ProgramInfo describes a compiled program.
type ProgramInfo struct {
	Name           string
	Kind           Kind
	Devices        int // that it runs on; what follows is of each of them
	Params         []Param
	AliasedBytes   int64 // of the parameters that are updated in place
	InPlaceBytes   int64 // what the executable says of it; on Go the same by definition, and checked at run time
	TemporaryBytes int64 // that a run needs besides arguments and outputs; 0 on Go, which does not say
	Cached         bool  // read from the executable cache
	CompileTime    time.Duration
}

func (s *programs) add(p *Program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		s.set = map[*Program]bool{}
	}
	s.set[p] = true
}

func (s *programs) remove(p *Program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, p)
}

// Info describes the program.
func (p *Program) Info() ProgramInfo {
	info := ProgramInfo{
		Name:           p.name,
		Kind:           p.device.kind,
		Devices:        p.devices,
		Params:         p.params,
		AliasedBytes:   p.AliasedBytes(),
		InPlaceBytes:   p.compiled.Memory.Aliased,
		TemporaryBytes: p.compiled.Memory.Temporary,
		Cached:         p.compiled.Cached,
		CompileTime:    p.took,
	}
	if p.device.kind == Go {
		info.InPlaceBytes = info.AliasedBytes
	}
	return info
}

// Programs lists the device's open programs by name.
func (d *Device) Programs() []ProgramInfo {
	d.programs.mu.Lock()
	all := slices.Collect(maps.Keys(d.programs.set))
	d.programs.mu.Unlock()
	var infos []ProgramInfo
	for _, p := range all {
		infos = append(infos, p.Info())
	}
	slices.SortFunc(infos, func(a, b ProgramInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos
}
