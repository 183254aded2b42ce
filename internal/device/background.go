package device

import (
	"fmt"
	"runtime"

	"github.com/gomlx/go-xla/compute/xla"
)

// OpenBackground gives a device of the same kind for work that must not disturb what runs on d: training beside serving.
//
// On xla:cpu it is a second client whose threads run when nothing else wants a processor (SCHED_IDLE): the kernel takes them away
// within a fraction of a millisecond. Its tensors cannot meet those of d in a graph. On other backends it is d itself: a GPU orders
// work by its streams, and Go's scheduler knows no priorities.
func (d *Device) OpenBackground() (*Device, error) {
	if d.kind != XLACPU {
		return d, nil
	}
	opened.Lock()
	defer opened.Unlock()
	if b := opened.background[d]; b != nil {
		return b, nil
	}
	b := &Device{kind: d.kind, plugin: d.plugin, cache: d.cache}
	made := make(chan error)
	go func() { // the client's threads inherit the priority of the one that makes it, which ends with this function
		runtime.LockOSThread()
		err := runIdle()
		if err == nil {
			b.backend, err = xla.New(clientName(d.kind))
		}
		made <- err
	}()
	if err := <-made; err != nil {
		return nil, fmt.Errorf("open a background client of %s: %w", d.kind, err)
	}
	opened.background[d] = b
	return b, nil
}

// InBackground runs f on a thread that only runs when nothing else wants a processor, as the threads of a background device do. f
// should spend its time in programs of the device: Go code that is not scheduled holds up the garbage collector.
func (d *Device) InBackground(f func() error) error {
	if !d.isBackground() {
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the function
		if err := runIdle(); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

func (d *Device) isBackground() bool {
	opened.Lock()
	defer opened.Unlock()
	for _, b := range opened.background {
		if b == d {
			return true
		}
	}
	return false
}
