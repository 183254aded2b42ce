package device

import (
	"fmt"
	"iter"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/distributed"
	"github.com/gomlx/gomlx/core/tensors"
)

// A program across devices is one text that every device runs on its own part of the data ("SPMD"), and what must be the same everywhere is
// made so by collective operations that its graph names. XLA's partitioner, which would divide one whole program by itself, gathers
// whole KV pools for every scatter into one of their heads (docs/LOG.md).

// meshAxis is the one axis along which devices stand.
const meshAxis = "device"

// Count is the number of the backend's devices.
func (d *Device) Count() int { return int(d.backend.NumDevices()) }

// CheckCount says what is wrong with running on so many devices.
func (d *Device) CheckCount(devices int) error {
	switch {
	case devices < 1:
		return fmt.Errorf("%d devices; want at least 1", devices)
	case devices > 1 && d.kind == Go:
		return fmt.Errorf("backend go has one device, not %d; use xla:cuda, or xla:cpu to try it", devices)
	case devices > d.Count():
		return fmt.Errorf("backend %s has %d devices, not %d", d.kind, d.Count(), devices)
	}
	return nil
}

// spread makes the graph one of several devices, before it is built.
func (p *Program) spread() error {
	if p.devices == 1 {
		return nil
	}
	mesh, err := distributed.NewDeviceMesh([]int{p.devices}, []string{meshAxis})
	if err != nil {
		return err
	}
	return p.graph.SetSPMD(mesh)
}

// param is the one that argument i is of.
func (p *Program) param(i int) *Param { return &p.params[i%len(p.params)] }

// placeOf is where argument i is.
func (p *Program) placeOf(i int) compute.DeviceNum { return compute.DeviceNum(i / len(p.params)) }

// donatedArgs are the indices of aliased arguments.
func (p *Program) donatedArgs() iter.Seq[int] {
	return func(yield func(int) bool) {
		for d := range p.devices {
			for _, i := range p.aliased {
				if !yield(d*len(p.params) + i) {
					return
				}
			}
		}
	}
}

// checkPlaces refuses arguments that would have to move from one device to another.
func (p *Program) checkPlaces(args []*tensors.Tensor) error {
	if p.devices == 1 {
		return nil
	}
	onHost := map[*tensors.Tensor]compute.DeviceNum{} // they go to the first device that asks for them
	for i, a := range args {
		want := p.placeOf(i)
		if a.IsOnAnyDevice() {
			if at, err := a.Device(); err != nil || at != want {
				return fmt.Errorf("argument %s of device %d is on device %d", p.param(i).Name, want, at)
			}
			continue
		}
		if other, twice := onHost[a]; twice && other != want {
			return fmt.Errorf("argument %s of device %d is also one of device %d; every device needs its own", p.param(i).Name, want, other)
		}
		onHost[a] = want
	}
	return nil
}

// dispatch executes. Two programs across devices must start in the same order everywhere, for a collective operation waits until all devices
// are at it: one after the other.
func (p *Program) dispatch(buffers []compute.Buffer, donate []bool) ([]compute.Buffer, error) {
	if p.devices > 1 {
		p.device.across.Lock()
		defer p.device.across.Unlock()
	}
	return p.graph.Executable().Execute(buffers, donate, 0)
}
