package chat

import (
	"errors"
	"fmt"
)

// expression is what yields a value.
type expression interface {
	eval(m *machine) (value, error)
}

type (
	constant struct{ v value }
	variable struct{ name string }
	// ternary is `then if test else other`.
	ternary struct{ test, then, other expression }
	// logic is `a or b`, `a and b`: the operand that decides.
	logic struct {
		a, b expression
		or   bool
	}
	not struct{ of expression }
	// comparison is first ops[0] rest[0] ops[1] rest[1] ...: true if each neighbouring pair compares so.
	comparison struct {
		first expression
		ops   []string
		rest  []expression
	}
	// binary is an arithmetic operator, or ~.
	binary struct {
		op   string
		a, b expression
	}
	negative struct{ of expression }
	call     struct {
		on        expression
		arguments argumentList
	}
	filtered struct {
		on        expression
		name      string
		arguments argumentList
	}
	tested struct {
		on        expression
		name      string
		negated   bool
		arguments argumentList
	}
	listOf    struct{ items []expression }
	mappingOf struct{ keys, values []expression }
	// failing is a constant that cannot be.
	failing struct{ err error }
)

func (e constant) eval(*machine) (value, error) { return e.v, nil }

func (e *failing) eval(*machine) (value, error) { return nil, e.err }

func (e *variable) eval(m *machine) (value, error) { return m.lookup(e.name) }

func (e *ternary) eval(m *machine) (value, error) {
	test, err := m.eval(e.test)
	if err != nil {
		return nil, err
	}
	if truth(test) {
		return m.eval(e.then)
	}
	return m.eval(e.other)
}

func (e *logic) eval(m *machine) (value, error) {
	a, err := m.eval(e.a)
	if err != nil || truth(a) == e.or {
		return a, err
	}
	return m.eval(e.b)
}

func (e *not) eval(m *machine) (value, error) {
	v, err := m.eval(e.of)
	return !truth(v), err
}

func (e *comparison) eval(m *machine) (value, error) {
	left, err := m.eval(e.first)
	if err != nil {
		return nil, err
	}
	for i, op := range e.ops {
		right, err := m.eval(e.rest[i])
		if err != nil {
			return nil, err
		}
		if holds, err := compare(m, op, left, right); err != nil || !holds {
			return false, err
		}
		left = right
	}
	return true, nil
}

func (e *binary) eval(m *machine) (value, error) {
	a, err := m.eval(e.a)
	if err != nil {
		return nil, err
	}
	b, err := m.eval(e.b)
	if err != nil {
		return nil, err
	}
	return arithmetic(m, e.op, a, b)
}

func (e *negative) eval(m *machine) (value, error) {
	v, err := m.eval(e.of)
	if err != nil {
		return nil, err
	}
	if f, ok := v.(float64); ok {
		return -f, nil
	}
	return arithmetic(m, "-", int64(0), v)
}

func (e *listOf) eval(m *machine) (value, error) {
	items, err := m.evalAll(e.items)
	return &list{items: items}, err
}

func (e *mappingOf) eval(m *machine) (value, error) {
	d := newDict()
	for i := range e.keys {
		key, err := m.eval(e.keys[i])
		if err != nil {
			return nil, err
		}
		k, ok := key.(text)
		if !ok {
			return nil, fmt.Errorf("a mapping has %s as a key; only strings are supported", typeName(key))
		}
		v, err := m.eval(e.values[i])
		if err != nil {
			return nil, err
		}
		d.set(k, v)
	}
	return d, nil
}

func (e *call) eval(m *machine) (value, error) {
	on, err := m.eval(e.on)
	if err != nil {
		return nil, err
	}
	f, ok := on.(*function)
	if !ok {
		return nil, fmt.Errorf("%s is not a function", typeName(on))
	}
	a, err := e.arguments.eval(m)
	if err != nil {
		return nil, err
	}
	v, err := f.call(m, a)
	if refused := (*RefusedError)(nil); err == nil || errors.As(err, &refused) {
		return v, err
	}
	return nil, fmt.Errorf("%s(): %w", f.name, err)
}

func (e *filtered) eval(m *machine) (value, error) {
	on, err := m.eval(e.on)
	if err != nil {
		return nil, err
	}
	a, err := e.arguments.eval(m)
	if err != nil {
		return nil, err
	}
	return m.filter(e.name, on, a)
}

// filter runs a filter. One that does not exist was read within an if, where Jinja lets it stand too: it may never run.
func (m *machine) filter(name string, on value, a arguments) (value, error) {
	if err := m.touch(on); err != nil {
		return nil, err
	}
	run := m.filters[name]
	if run == nil {
		return nil, fmt.Errorf("unknown filter %s", name)
	}
	v, err := run(m, on, a)
	if err != nil {
		return nil, fmt.Errorf("filter %s: %w", name, err)
	}
	return v, nil
}

func (e *tested) eval(m *machine) (value, error) {
	on, err := m.eval(e.on)
	if err != nil {
		return nil, err
	}
	a, err := e.arguments.eval(m)
	if err != nil {
		return nil, err
	}
	holds, err := m.test(e.name, on, a)
	return holds != e.negated, err
}

// test runs a test; as for filters, one within an if may not exist.
func (m *machine) test(name string, on value, a arguments) (bool, error) {
	if err := m.touch(on); err != nil {
		return false, err
	}
	run := tests[name]
	if run == nil {
		return false, fmt.Errorf("unknown test %s", name)
	}
	holds, err := run(m, on, a)
	if err != nil {
		return false, fmt.Errorf("test %s: %w", name, err)
	}
	return holds, nil
}
