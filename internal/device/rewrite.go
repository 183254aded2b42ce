package device

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"

	"astro/internal/device/interposer"
	"astro/internal/device/stablehlo"
)

// A request is what Compile, or the capture of a library function, wants from the interposer for one graph. Its number travels in
// the graph's name, which go-xla prints as the module's name, and is taken out again before the text is hashed or compiled.
type request struct {
	number  int64
	aliases map[int]int // parameter -> output
	devices int         // that run the program
	library string      // name under which the module's functions are kept instead of being compiled; "" = compile

	captured bool
	compiled interposer.Compiled
}

var (
	requests    sync.Map // number -> *request, while its graph compiles
	lastRequest atomic.Int64
	numbered    = regexp.MustCompile(`^astro(\d+)_(.+)$`)
)

// errCaptured is how the compilation of a captured function ends: nothing is compiled. Nobody compares it; request.captured says it.
var errCaptured = errors.New("captured as a library function")

// graphName announces the request and returns the graph's name that carries it. The caller ends it with done.
func (r *request) graphName(name string) string {
	r.number = lastRequest.Add(1)
	requests.Store(r.number, r)
	return fmt.Sprintf("astro%d_%s", r.number, name)
}

func (r *request) done() { requests.Delete(r.number) }

// requestOf takes the request's number out of the module's name; nil for a graph that was built without us.
func requestOf(m *stablehlo.Module) *request {
	parts := numbered.FindStringSubmatch(m.Name)
	if parts == nil {
		return nil
	}
	number, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return nil
	}
	r, ok := requests.Load(number)
	if !ok {
		return nil
	}
	m.Name = parts[2]
	return r.(*request)
}

// rewrite is what happens to every program on its way to an XLA compiler.
func rewrite(kind Kind, text string) (interposer.Rewritten, error) {
	var none interposer.Rewritten
	m, err := stablehlo.Parse(text)
	if err != nil {
		return none, err
	}
	r := requestOf(m)
	if r != nil && r.library != "" {
		if err := theLibrary.capture(kind, r.library, m); err != nil {
			return none, err
		}
		r.captured = true
		return none, errCaptured
	}
	if err := m.Link(theLibrary.body); err != nil {
		return none, err
	}
	if r == nil {
		return interposer.Rewritten{Text: m.String()}, nil
	}
	for param, output := range r.aliases {
		if err := m.Alias(param, output); err != nil {
			return none, err
		}
	}
	return interposer.Rewritten{Text: m.String(), Devices: r.devices, Done: func(c interposer.Compiled) { r.compiled = c }}, nil
}
