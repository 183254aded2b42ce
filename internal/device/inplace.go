package device

import (
	"fmt"
	"reflect"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// sharedWithHost says for each donated argument whether its memory is the host's: XLA copies such memory once instead of taking it
// over.
func (p *Program) sharedWithHost(args []*tensors.Tensor) []bool {
	shared := make([]bool, 0, p.devices*len(p.aliased))
	for i := range p.donatedArgs() {
		shared = append(shared, p.device.kind != Go && args[i].IsShared())
	}
	return shared
}

// addresses are where the donated arguments' data are, if runs are checked; 0 = anywhere.
func (p *Program) addresses(buffers []compute.Buffer, shared []bool) []uintptr {
	if !checkRuns {
		return nil
	}
	at := make([]uintptr, 0, len(shared))
	for i := range p.donatedArgs() {
		was := uintptr(0)
		if !shared[len(at)] {
			was = address(buffers[i])
		}
		at = append(at, was)
	}
	return at
}

// checkInPlace panics if an output that should be in its argument's memory is elsewhere.
func (p *Program) checkInPlace(before []uintptr, results []compute.Buffer) {
	if before == nil {
		return
	}
	k, outputs := 0, len(results)/p.devices
	for i := range p.donatedArgs() {
		q, on, was := p.param(i), int(p.placeOf(i)), before[k]
		if now := address(results[on*outputs+q.Alias]); was != 0 && was != now {
			panic(fmt.Sprintf("BUG: program %s copied %s on device %d: got output %d at %#x; want it in place at %#x", p.name, q.Name, on, q.Alias, now, was))
		}
		k++
	}
}

// address is where a buffer's data are, or 0 where the backend does not say or there are none.
func address(b compute.Buffer) uintptr {
	flat, err := b.Data()
	if err != nil {
		return 0
	}
	v := reflect.ValueOf(flat)
	if v.Len() == 0 {
		return 0
	}
	return v.Pointer()
}

// HostBytes are a tensor's elements where the go backend keeps them. They may be read and changed until the tensor is donated or freed.
func (d *Device) HostBytes(t *tensors.Tensor) ([]byte, error) {
	if d.kind != Go {
		return nil, fmt.Errorf("backend %s keeps tensors out of the host's reach", d.kind)
	}
	b, err := t.Buffer(d.backend, 0)
	if err != nil {
		return nil, err
	}
	flat, err := b.Data()
	if err != nil {
		return nil, err
	}
	return dtypes.UnsafeByteSliceFromAny(flat), nil
}
