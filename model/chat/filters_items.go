package chat

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func lengthFilter(_ *machine, on value, a arguments) (value, error) {
	n, err := length(on)
	if err != nil {
		return nil, err
	}
	return int64(n), a.bind().err
}

func firstFilter(m *machine, on value, a arguments) (value, error) { return m.end(on, a, 0) }

func lastFilter(m *machine, on value, a arguments) (value, error) { return m.end(on, a, -1) }

// end is the item at the beginning (0) or end (-1).
func (m *machine) end(on value, a arguments, at int64) (value, error) {
	if err := a.bind().err; err != nil {
		return nil, err
	}
	switch v := on.(type) {
	case undefined:
		return v, nil
	case *dict:
		on = &list{items: values(v.keys)}
	case *list, text:
	default:
		return nil, fmt.Errorf("%s has no items", typeName(on))
	}
	return m.item(on, at)
}

func reverseFilter(m *machine, on value, a arguments) (value, error) {
	items, err := iterate(m, on)
	if err == nil {
		err = a.bind().err
	}
	if err != nil {
		return nil, err
	}
	items = slices.Clone(items)
	slices.Reverse(items)
	if isA[text](on) {
		return joinAll(m, items, text{})
	}
	return &list{items: items}, nil
}

func listFilter(m *machine, on value, a arguments) (value, error) {
	items, err := iterate(m, on)
	if err != nil {
		return nil, err
	}
	return &list{items: items}, a.bind().err
}

func itemsFilter(m *machine, on value, a arguments) (value, error) {
	if err := a.bind().err; err != nil {
		return nil, err
	}
	switch v := on.(type) {
	case undefined:
		return &list{}, nil
	case *dict:
		return m.pairs(v)
	}
	return nil, fmt.Errorf("%s has no items; want a mapping", typeName(on))
}

func joinFilter(m *machine, on value, a arguments) (value, error) {
	b := a.bind("d", "attribute")
	separator := b.printed(0, text{})
	items, err := m.keys(on, b, b.values[1])
	if err != nil {
		return nil, err
	}
	return joinAll(m, items, separator)
}

// keys are the items of on, or what an attribute (none or undefined = no attribute) is in each.
func (m *machine) keys(on value, b *bound, attribute value) ([]value, error) {
	if b.err != nil {
		return nil, b.err
	}
	items, err := iterate(m, on)
	if err != nil || attribute == nil || isA[undefined](attribute) {
		return items, err
	}
	keys := make([]value, len(items))
	for j, item := range items {
		if keys[j], err = m.path(item, attribute); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// path follows an attribute such as "function.name" or 0.
func (m *machine) path(v value, attribute value) (value, error) {
	names, ok := attribute.(text)
	if !ok {
		if _, ok := whole(attribute); !ok {
			return nil, fmt.Errorf("the attribute is %s; want a string or an integer", typeName(attribute))
		}
		return m.item(v, attribute)
	}
	for _, name := range strings.Split(names.s, ".") {
		if err := m.spend(1); err != nil {
			return nil, err
		}
		var at value = untrusted(name)
		if n, err := strconv.ParseInt(name, 10, 64); err == nil && n >= 0 {
			at = n
		}
		var err error
		if v, err = m.item(v, at); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// folded is what is compared: strings without regard to case, unless it matters.
func (m *machine) folded(v value, caseMatters bool) (value, error) {
	t, ok := v.(text)
	if !ok || caseMatters {
		return v, nil
	}
	return m.changed(t, strings.ToLower)
}

func (m *machine) foldAll(keys []value, caseMatters bool) ([]value, error) {
	folded := make([]value, len(keys))
	var err error
	for i, key := range keys {
		if folded[i], err = m.folded(key, caseMatters); err != nil {
			return nil, err
		}
	}
	return folded, nil
}

// foldedKeys are the items of on and what they are compared by: an attribute, several with commas between them, or themselves.
func (m *machine) foldedKeys(on value, b *bound, attribute value, caseMatters bool) (items, keys []value, err error) {
	if items, err = m.keys(on, b, nil); err != nil {
		return nil, nil, err
	}
	names := []value{attribute}
	if t, ok := attribute.(text); ok {
		names = values(t.split(",", -1))
	}
	all := make([][]value, len(names))
	for i, name := range names {
		if all[i], err = m.keys(on, b, name); err == nil {
			all[i], err = m.foldAll(all[i], caseMatters)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if len(all) == 1 {
		return items, all[0], nil
	}
	keys = make([]value, len(items))
	for i := range items {
		key := &list{}
		for _, column := range all {
			key.items = append(key.items, column[i])
		}
		keys[i] = key
	}
	return items, keys, nil
}

// sorted are items in the order of their keys; equal ones stay in order, backwards too.
func (m *machine) sorted(items, keys []value, backwards bool) ([]value, error) {
	at := make([]int, len(items))
	for i := range at {
		at[i] = i
	}
	var failed error
	slices.SortStableFunc(at, func(i, j int) int {
		if failed != nil {
			return 0
		}
		o, err := order(m, keys[i], keys[j], 0)
		failed = err
		if backwards {
			return -o
		}
		return o
	})
	out := make([]value, len(items))
	for i, j := range at {
		out[i] = items[j]
	}
	return out, failed
}

func sortFilter(m *machine, on value, a arguments) (value, error) {
	b := a.bind("reverse", "case_sensitive", "attribute")
	items, keys, err := m.foldedKeys(on, b, b.values[2], b.flag(1, false))
	if err != nil {
		return nil, err
	}
	items, err = m.sorted(items, keys, b.flag(0, false))
	return &list{items: items}, err
}

func dictsortFilter(m *machine, on value, a arguments) (value, error) {
	b := a.bind("case_sensitive", "by", "reverse")
	by := b.textOr(1, literal("key")).s
	d, ok := on.(*dict)
	switch {
	case b.err != nil:
		return nil, b.err
	case !ok:
		return nil, fmt.Errorf("%s cannot be sorted by keys; want a mapping", typeName(on))
	case by != "key" && by != "value":
		return nil, fmt.Errorf("by is %.30q; want key or value", by)
	}
	pairs, err := m.pairs(d)
	if err != nil {
		return nil, err
	}
	keys := values(d.keys)
	if by == "value" {
		for i, key := range d.keys {
			keys[i] = d.values[key.s]
		}
	}
	if keys, err = m.foldAll(keys, b.flag(0, false)); err != nil {
		return nil, err
	}
	items, err := m.sorted(pairs.(*list).items, keys, b.flag(2, false))
	return &list{items: items}, err
}

// uniqueFilter keeps the first of equal items.
func uniqueFilter(m *machine, on value, a arguments) (value, error) {
	b := a.bind("case_sensitive", "attribute")
	items, keys, err := m.foldedKeys(on, b, b.values[1], b.flag(0, false))
	if err != nil {
		return nil, err
	}
	var unique []value
	seen := map[any]bool{}
	for i, key := range keys {
		id, err := identity(key)
		if err != nil {
			return nil, err
		}
		if !seen[id] {
			seen[id] = true
			unique = append(unique, items[i])
		}
	}
	return &list{items: unique}, nil
}

// identity is equal for equal values.
func identity(v value) (any, error) {
	if n, ok := number(v); ok {
		return n, nil
	}
	switch v := v.(type) {
	case text:
		return v.s, nil
	case nil, undefined:
		return typeName(v), nil
	}
	return nil, fmt.Errorf("%s cannot be looked for among others", typeName(v))
}

// extremeFilter is min (-1) or max (1): the first of the items that no other exceeds.
func extremeFilter(want int) filter {
	return func(m *machine, on value, a arguments) (value, error) {
		b := a.bind("case_sensitive", "attribute")
		items, keys, err := m.foldedKeys(on, b, b.values[1], b.flag(0, false))
		if err != nil || len(keys) == 0 {
			return undefined{"the extreme of no items"}, err
		}
		best := 0
		for i := range keys {
			o, err := order(m, keys[i], keys[best], 0)
			if err != nil {
				return nil, err
			}
			if o == want {
				best = i
			}
		}
		return items[best], nil
	}
}

func sumFilter(m *machine, on value, a arguments) (value, error) {
	b := a.bind("attribute", "start")
	keys, err := m.keys(on, b, b.values[0])
	if err != nil {
		return nil, err
	}
	var sum value = int64(0)
	if b.given(1) {
		sum = b.values[1]
	}
	for _, key := range keys {
		if isA[text](key) {
			return nil, fmt.Errorf("an item is a string; use join")
		}
		if sum, err = arithmetic(m, "+", sum, key); err != nil {
			return nil, err
		}
	}
	return sum, nil
}
