package chat

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// value is what an expression yields: undefined, nil, bool, int64, float64, text, *list, *dict, *namespace, *loop or *function.
type value any

// undefined is what a name or key that does not exist yields. It prints as nothing and counts as false.
type undefined struct{ name string }

type list struct {
	items   []value
	spelled *text // what stands for the list where a string is wanted; not nil only for a message's content in parts
}

// dict is a mapping with text keys in order of insertion.
type dict struct {
	keys   []text
	values map[string]value
}

func newDict() *dict { return &dict{values: map[string]value{}} }

func (d *dict) set(key text, v value) {
	if _, known := d.values[key.s]; !known {
		d.keys = append(d.keys, key)
	}
	d.values[key.s] = v
}

// namespace is the one thing that a template can change: `set ns.x = ...`.
type namespace struct{ dict }

// function is a builtin or a bound method.
type function struct {
	name string
	call func(m *machine, a arguments) (value, error)
}

// typeName is the name of a value's type in error messages.
func typeName(v value) string {
	switch v := v.(type) {
	case undefined:
		return "undefined " + v.name
	case nil:
		return "none"
	case bool:
		return "a boolean"
	case int64, float64:
		return "a number"
	case text:
		return "a string"
	case *list:
		return "a list"
	case *dict:
		return "a mapping"
	case *namespace:
		return "a namespace"
	case *loop:
		return "loop"
	case *function:
		return v.name + "()"
	}
	panic(fmt.Sprintf("BUG: got a value of type %T; want one of package chat", v))
}

func truth(v value) bool {
	switch v := v.(type) {
	case undefined, nil:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case text:
		return v.s != ""
	case *list:
		return len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	}
	return true
}

// toText is what an output prints. Numbers and booleans are untrusted: they may have come from a message.
func toText(v value) (text, error) {
	switch v := v.(type) {
	case undefined:
		return text{}, nil
	case nil:
		return untrusted("None"), nil
	case bool:
		return untrusted(map[bool]string{true: "True", false: "False"}[v]), nil
	case int64:
		return untrusted(strconv.FormatInt(v, 10)), nil
	case float64:
		return untrusted(formatFloat(v)), nil
	case text:
		return v, nil
	case *list:
		if v.spelled != nil {
			return *v.spelled, nil
		}
	}
	return text{}, fmt.Errorf("%s cannot be printed; tojson or join make text of it", typeName(v))
}

// formatFloat is Python's repr of a float.
func formatFloat(f float64) string {
	switch {
	case math.IsInf(f, 0) || math.IsNaN(f):
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	case f != 0 && (math.Abs(f) < 1e-4 || math.Abs(f) >= 1e16):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// length is Python's len.
func length(v value) (int, error) {
	switch v := v.(type) {
	case undefined:
		return 0, nil
	case text:
		return utf8.RuneCountInString(v.s), nil
	case *list:
		return len(v.items), nil
	case *dict:
		return len(v.keys), nil
	}
	return 0, fmt.Errorf("%s has no length", typeName(v))
}

// iterate lists what a loop over v visits, and spends a step for each.
func iterate(m *machine, v value) ([]value, error) {
	if n, err := length(v); err == nil {
		if err := m.spend(n); err != nil {
			return nil, err
		}
	}
	switch v := v.(type) {
	case undefined:
		return nil, nil
	case *list:
		return v.items, nil
	case *dict:
		return values(v.keys), nil
	case text:
		return values(v.runes()), nil
	}
	return nil, fmt.Errorf("%s cannot be looped over", typeName(v))
}

func values(texts []text) []value {
	all := make([]value, len(texts))
	for i, t := range texts {
		all[i] = t
	}
	return all
}

// number is v as a float, for comparison; booleans count as 0 and 1, as in Python.
func number(v value) (float64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// equal is Python's ==. depth bounds lists within lists.
func equal(m *machine, a, b value, depth int) (bool, error) {
	if err := m.touch(a); err != nil {
		return false, err
	}
	if depth > maxValueDepth {
		return false, errDeepValue
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return x == y, nil
		}
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y, nil
	}
	switch a := a.(type) {
	case undefined:
		_, same := b.(undefined)
		return same, nil
	case nil:
		return b == nil, nil
	case text:
		b, same := b.(text)
		return same && a.s == b.s, nil
	case *list:
		b, same := b.(*list)
		if !same || len(a.items) != len(b.items) {
			return false, nil
		}
		for i := range a.items {
			if eq, err := equal(m, a.items[i], b.items[i], depth+1); !eq || err != nil {
				return false, err
			}
		}
		return true, nil
	case *dict:
		b, same := b.(*dict)
		if !same || len(a.keys) != len(b.keys) {
			return false, nil
		}
		for _, k := range a.keys {
			other, known := b.values[k.s]
			if eq, err := equal(m, a.values[k.s], other, depth+1); !known || !eq || err != nil {
				return false, err
			}
		}
		return true, nil
	}
	return a == b, nil
}

// spelled is v, or its text if it is a message's content in parts and stands beside a string.
func spelled(v, beside value) value {
	l, ok := v.(*list)
	if _, wanted := beside.(text); ok && wanted && l.spelled != nil {
		return *l.spelled
	}
	return v
}

// contains is Python's `item in v`.
func contains(m *machine, v, item value) (bool, error) {
	v = spelled(v, item)
	if t, ok := v.(text); ok {
		part, ok := item.(text)
		if !ok {
			return false, fmt.Errorf("%s cannot be in a string", typeName(item))
		}
		return strings.Contains(t.s, part.s), nil
	}
	if d, ok := v.(*dict); ok {
		key, ok := item.(text)
		_, known := d.values[key.s]
		return ok && known, nil
	}
	items, err := iterate(m, v)
	for _, other := range items {
		if eq, err := equal(m, item, other, 0); eq || err != nil {
			return eq, err
		}
	}
	return false, err
}
