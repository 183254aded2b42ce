package chat

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

type (
	// attribute is of.name.
	attribute struct {
		of   expression
		name string
	}
	// index is of[at].
	index struct{ of, at expression }
	// slice is of[from:to:step]; nil = not given.
	slice struct{ of, from, to, step expression }
)

func (e *attribute) eval(m *machine) (value, error) {
	of, err := m.eval(e.of)
	if err != nil {
		return nil, err
	}
	return m.attribute(of, e.name)
}

// attribute is v.name: a method, or else an entry.
func (m *machine) attribute(v value, name string) (value, error) {
	if u, missing := v.(undefined); missing {
		return nil, fmt.Errorf(".%s of %s", name, typeName(u))
	}
	if f, err := m.method(v, name); f != nil || err != nil {
		return f, err
	}
	found := entry(v, name)
	if _, missing := found.(undefined); missing && strings.HasPrefix(name, "__") {
		return nil, fmt.Errorf("the attribute %.60q is refused: names that begin with __ are the interpreter's own in Jinja", name)
	}
	return found, nil
}

// entry is what v holds under a name.
func entry(v value, name string) value {
	switch v := v.(type) {
	case *dict:
		if item, known := v.values[name]; known {
			return item
		}
	case *namespace:
		if item, known := v.values[name]; known {
			return item
		}
	case *loop:
		if item, known := v.attribute(name); known {
			return item
		}
	}
	return undefined{fmt.Sprintf("%.60q of %s", name, typeName(v))}
}

func (e *index) eval(m *machine) (value, error) {
	of, err := m.eval(e.of)
	if err != nil {
		return nil, err
	}
	at, err := m.eval(e.at)
	if err != nil {
		return nil, err
	}
	return m.item(of, at)
}

// item is v[at].
func (m *machine) item(v, at value) (value, error) {
	if u, missing := v.(undefined); missing {
		return nil, fmt.Errorf("an item of %s", typeName(u))
	}
	if key, ok := at.(text); ok {
		if d, ok := v.(*dict); ok {
			if item, known := d.values[key.s]; known {
				return item, nil
			}
		}
		return m.attribute(v, key.s)
	}
	none := undefined{"an item of " + typeName(v)}
	i, ok := whole(at)
	if !ok {
		return none, nil
	}
	switch v := v.(type) {
	case *list:
		if i = fromEnd(i, len(v.items)); i >= 0 {
			return v.items[i], nil
		}
	case text:
		if err := m.touch(v); err != nil {
			return nil, err
		}
		n := utf8.RuneCountInString(v.s)
		if i = fromEnd(i, n); i >= 0 {
			from := byteOf(v.s, int(i), n)
			_, width := utf8.DecodeRuneInString(v.s[from:])
			return m.made(v.slice(from, from+width))
		}
	}
	return none, nil
}

// fromEnd resolves an index that may count from the end; -1 = out of range.
func fromEnd(i int64, n int) int64 {
	if i < 0 {
		i += int64(n)
	}
	if i < 0 || i >= int64(n) {
		return -1
	}
	return i
}

// byteOf is where character i of n begins; len(s) for i = n.
func byteOf(s string, i, n int) int {
	if len(s) == n {
		return i
	}
	at := 0
	for ; i > 0; i-- {
		_, width := utf8.DecodeRuneInString(s[at:])
		at += width
	}
	return at
}

func (e *slice) eval(m *machine) (value, error) {
	of, err := m.eval(e.of)
	if err != nil {
		return nil, err
	}
	var bounds [3]value
	for i, b := range []expression{e.from, e.to, e.step} {
		if b == nil {
			continue
		}
		if bounds[i], err = m.eval(b); err != nil {
			return nil, err
		}
	}
	if err := m.touch(of); err != nil {
		return nil, err
	}
	switch v := of.(type) {
	case *list:
		r, err := newStride(bounds, len(v.items))
		if err == nil {
			err = m.spend(r.count)
		}
		if err != nil {
			return nil, err
		}
		items := make([]value, 0, r.count)
		r.visit(func(i int) { items = append(items, v.items[i]) })
		return &list{items: items}, nil
	case text:
		return sliceText(m, v, bounds)
	}
	return nil, fmt.Errorf("%s cannot be sliced", typeName(of))
}

func sliceText(m *machine, t text, bounds [3]value) (value, error) {
	n := utf8.RuneCountInString(t.s)
	r, err := newStride(bounds, n)
	if err != nil {
		return nil, err
	}
	if r.step == 1 {
		from := byteOf(t.s, r.from, n)
		return m.made(t.slice(from, from+byteOf(t.s[from:], r.count, n-r.from)))
	}
	if err := m.spend(n); err != nil {
		return nil, err
	}
	runes := t.runes()
	var out textBuilder
	r.visit(func(i int) { out.add(runes[i]) })
	if err := m.build(out.s.Len()); err != nil {
		return nil, err
	}
	return m.made(out.text())
}

// stride is what a slice takes of n items: count of them, from one on.
type stride struct{ from, step, count int }

// newStride resolves a slice's bounds as Python does.
func newStride(bounds [3]value, n int) (stride, error) {
	var given [3]bool
	var at [3]int64
	for i, b := range bounds {
		if b == nil {
			continue
		}
		if at[i], given[i] = whole(b); !given[i] {
			return stride{}, fmt.Errorf("a slice's bound is %s; want an integer", typeName(b))
		}
	}
	step, size := int64(1), int64(n)
	if given[2] {
		step = min(max(at[2], -size-1), size+1) // larger steps take the same
	}
	if step == 0 {
		return stride{}, fmt.Errorf("a slice's step is 0")
	}
	low, high := int64(0), size // where from and to may lie
	from, to := low, high
	if step < 0 {
		low, high = -1, size-1
		from, to = high, low
	}
	if given[0] {
		from = clampIndex(at[0], size, low, high)
	}
	if given[1] {
		to = clampIndex(at[1], size, low, high)
	}
	count := (to - from + step - sign(step)) / step
	return stride{int(from), int(step), int(max(count, 0))}, nil
}

func clampIndex(i, size, low, high int64) int64 {
	if i < 0 {
		i = max(i, -size-1) + size
	}
	return min(max(i, low), high)
}

func sign(n int64) int64 {
	if n < 0 {
		return -1
	}
	return 1
}

func (r stride) visit(do func(i int)) {
	for i := range r.count {
		do(r.from + i*r.step)
	}
}
