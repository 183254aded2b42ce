package sampler

import (
	"fmt"
	"sync"

	"astro/internal/device"
)

// form is a variant, a scoring or a rowCopy: what a program is compiled for. It is comparable.
type form interface {
	fmt.Stringer
	spec(vocab int) device.Spec
}

// programs are compiled when first wanted and kept.
type programs struct {
	device *device.Device
	vocab  int

	mu     sync.Mutex
	made   map[form]*making
	closed bool
}

// making is one form's program, or its compilation in progress.
type making struct {
	done    chan struct{} // closed when the rest is there
	program *device.Program
	err     error
}

// get compiles a form, or waits for the goroutine that does so already. A failure is forgotten, so that the next one tries again.
func (p *programs) get(f form) (*device.Program, error) {
	m, mine, err := p.claim(f)
	if err != nil {
		return nil, err
	}
	if mine {
		p.compile(f, m)
	}
	<-m.done
	return m.program, m.err
}

// ready says whether a form's program is there. If it is not, a goroutine compiles it.
func (p *programs) ready(f form) bool {
	m, mine, err := p.claim(f)
	if err != nil {
		return true // get says why
	}
	if mine {
		go p.compile(f, m)
		return false
	}
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// compile fills in an entry that was claimed.
func (p *programs) compile(f form, m *making) {
	m.program, m.err = p.device.Compile(f.spec(p.vocab))
	close(m.done)
	if m.err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.made, f)
	}
}

// claim finds a form's entry; mine says that it is new, and the caller must compile.
func (p *programs) claim(f form) (m *making, mine bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, fmt.Errorf("program %s: the sampler is closed", f)
	}
	if m = p.made[f]; m == nil {
		m, mine = &making{done: make(chan struct{})}, true
		p.made[f] = m
	}
	return m, mine, nil
}

// count is how many programs are there, and how many are being compiled.
func (p *programs) count() (ready, pending int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.made {
		select {
		case <-m.done:
			ready++
		default:
			pending++
		}
	}
	return ready, pending
}

// close frees the programs, those in the making once they are there.
func (p *programs) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, m := range p.made {
		<-m.done
		if m.program != nil {
			m.program.Close()
		}
	}
	clear(p.made)
}
