package chat

import "fmt"

// without are the arguments after the first n.
func (a arguments) without(n int) arguments {
	return arguments{a.positional[min(n, len(a.positional)):], a.named}
}

// some are the items of on; of what is false there are none, even if it is no list. That is Jinja's way in these filters only.
func (m *machine) some(on value) ([]value, error) {
	if !truth(on) {
		return nil, nil
	}
	return iterate(m, on)
}

// mapFilter is map('filter', arguments...) or map(attribute='name', default=...).
func mapFilter(m *machine, on value, a arguments) (value, error) {
	change, err := mapper(m, a)
	if err != nil {
		return nil, err
	}
	items, err := m.some(on)
	if err != nil {
		return nil, err
	}
	mapped := make([]value, len(items))
	for i, item := range items {
		if mapped[i], err = change(item); err != nil {
			return nil, err
		}
	}
	return &list{items: mapped}, nil
}

func mapper(m *machine, a arguments) (func(value) (value, error), error) {
	if len(a.positional) == 0 {
		b := a.bind("attribute", "default")
		attribute := b.value(0)
		return func(v value) (value, error) {
			found, err := m.path(v, attribute)
			if isA[undefined](found) && b.given(1) {
				return b.values[1], err
			}
			return found, err
		}, b.err
	}
	name, ok := a.positional[0].(text)
	if !ok || m.filters[name.s] == nil {
		return nil, fmt.Errorf("there is no such filter to map with")
	}
	rest := a.without(1)
	return func(v value) (value, error) { return m.filter(name.s, v, rest) }, nil
}

// selectFilter keeps the items that pass a test, or are true if none is named; keep = false is reject.
func selectFilter(keep bool) filter {
	return func(m *machine, on value, a arguments) (value, error) {
		return m.chosen(on, a, keep, func(v value) (value, error) { return v, nil })
	}
}

// selectattrFilter is selectFilter by an attribute of the items, its first argument.
func selectattrFilter(keep bool) filter {
	return func(m *machine, on value, a arguments) (value, error) {
		if len(a.positional) == 0 {
			return nil, fmt.Errorf("the attribute's name is missing")
		}
		attribute := a.positional[0]
		return m.chosen(on, a.without(1), keep, func(v value) (value, error) { return m.path(v, attribute) })
	}
}

func (m *machine) chosen(on value, a arguments, keep bool, key func(value) (value, error)) (value, error) {
	holds, err := condition(m, a)
	if err != nil {
		return nil, err
	}
	items, err := m.some(on)
	if err != nil {
		return nil, err
	}
	var chosen []value
	for _, item := range items {
		k, err := key(item)
		if err != nil {
			return nil, err
		}
		is, err := holds(k)
		if err != nil {
			return nil, err
		}
		if is == keep {
			chosen = append(chosen, item)
		}
	}
	return &list{items: chosen}, nil
}

// condition is the test that is named first in a, with the arguments after it.
func condition(m *machine, a arguments) (func(value) (bool, error), error) {
	if len(a.positional) == 0 {
		return func(v value) (bool, error) { return truth(v), nil }, a.bind().err
	}
	name, ok := a.positional[0].(text)
	if !ok || tests[name.s] == nil {
		return nil, fmt.Errorf("there is no such test to choose with")
	}
	rest := a.without(1)
	return func(v value) (bool, error) { return m.test(name.s, v, rest) }, nil
}

// attrFilter is v.name, without the entries that v[name] would find.
func attrFilter(m *machine, on value, a arguments) (value, error) {
	b := a.bind("name")
	name := b.text(0)
	if b.err != nil {
		return nil, b.err
	}
	if isA[*dict](on) {
		return undefined{fmt.Sprintf("attribute %.60q of a mapping", name.s)}, nil
	}
	return m.attribute(on, name.s)
}
