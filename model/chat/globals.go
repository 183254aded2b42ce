package chat

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// globals are the functions that a template may call.
var globals = map[string]func(m *machine, a arguments) (value, error){
	"namespace":       namespaceFunction,
	"dict":            dictFunction,
	"range":           rangeFunction,
	"raise_exception": raiseFunction,
	"strftime_now":    strftimeFunction,
}

// entries reads a mapping and named arguments, as dict() and namespace() take them.
func entries(m *machine, a arguments) (*dict, error) {
	d := newDict()
	if len(a.positional) > 1 {
		return nil, fmt.Errorf("got %d arguments without a name; want a mapping at most", len(a.positional))
	}
	if len(a.positional) == 1 {
		from, ok := a.positional[0].(*dict)
		if !ok {
			return nil, fmt.Errorf("got %s; want a mapping", typeName(a.positional[0]))
		}
		if err := m.spend(len(from.keys)); err != nil {
			return nil, err
		}
		for _, key := range from.keys {
			d.set(key, from.values[key.s])
		}
	}
	for _, n := range a.named {
		d.set(literal(n.name), n.v)
	}
	return d, nil
}

func namespaceFunction(m *machine, a arguments) (value, error) {
	d, err := entries(m, a)
	if err != nil {
		return nil, err
	}
	for _, key := range d.keys {
		if strings.HasPrefix(key.s, "_") {
			return nil, errPrivate(key.s)
		}
	}
	return &namespace{*d}, nil
}

// errPrivate is transformers' rule too.
func errPrivate(key string) error {
	return fmt.Errorf("a namespace cannot hold %.60q: its names do not begin with _", key)
}

func dictFunction(m *machine, a arguments) (value, error) {
	d, err := entries(m, a)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// rangeFunction is range(stop), range(start, stop) or range(start, stop, step).
func rangeFunction(m *machine, a arguments) (value, error) {
	if len(a.positional) == 1 {
		a.positional = slices.Insert(slices.Clone(a.positional), 0, value(int64(0)))
	}
	b := a.bind("start", "stop", "step")
	b.value(0)
	b.value(1)
	from, to, step := b.integer(0, 0), b.integer(1, 0), b.integer(2, 1)
	if b.err == nil && step == 0 {
		b.fail(fmt.Errorf("the step is 0"))
	}
	if b.err != nil {
		return nil, b.err
	}
	count := rangeLength(from, to, step)
	if count > maxSteps {
		return nil, errSteps
	}
	if err := m.spend(int(count)); err != nil {
		return nil, err
	}
	items := make([]value, count)
	for i := range items {
		items[i] = from + int64(i)*step
	}
	return &list{items: items}, nil
}

// rangeLength is how many numbers there are from one on, before to. The differences of int64 fit in uint64.
func rangeLength(from, to, step int64) uint64 {
	distance, stride := uint64(to)-uint64(from), uint64(step)
	if step < 0 {
		from, to = to, from
		distance, stride = -distance, -stride
	}
	if from >= to {
		return 0
	}
	return (distance-1)/stride + 1
}

func raiseFunction(_ *machine, a arguments) (value, error) {
	b := a.bind("message")
	message := b.printed(0, text{})
	if b.err != nil {
		return nil, b.err
	}
	return nil, &RefusedError{message.s}
}

// strftimeFunction formats the time of the render, which is the same for all calls.
func strftimeFunction(m *machine, a arguments) (value, error) {
	b := a.bind("format")
	format := b.text(0)
	if b.err != nil {
		return nil, b.err
	}
	if m.now.IsZero() {
		m.now = time.Now()
	}
	s, err := strftime(m, m.now, format.s)
	return format.changed(s), err
}
