package chat

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strings"
)

var (
	errOverflow = errors.New("the result is beyond 64 bits")
	errZero     = errors.New("division by zero")
)

// whole is an integer, or a boolean as 0 or 1.
func whole(v value) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// arithmetic is a op b.
func arithmetic(m *machine, op string, a, b value) (value, error) {
	if op == "~" {
		return joined(m, a, b)
	}
	if v, known, err := composed(m, op, a, b); known {
		return v, err
	}
	if i, ok := whole(a); ok {
		if j, ok := whole(b); ok {
			v, err := wholes(op, i, j)
			return v, described(err, op)
		}
	}
	x, left := number(a)
	y, right := number(b)
	if !left || !right {
		return nil, fmt.Errorf("%s %s %s is not possible", typeName(a), op, typeName(b))
	}
	v, err := floats(op, x, y)
	return v, described(err, op)
}

func described(err error, op string) error {
	if err != nil {
		return fmt.Errorf("operator %s: %w", op, err)
	}
	return nil
}

// joined is a ~ b: both as an output would print them.
func joined(m *machine, a, b value) (value, error) {
	left, err := toText(a)
	if err != nil {
		return nil, err
	}
	right, err := toText(b)
	if err != nil {
		return nil, err
	}
	return m.concat(left, right)
}

// composed are + and * of strings and lists. known is false for all else.
func composed(m *machine, op string, a, b value) (v value, known bool, err error) {
	a, b = spelled(a, b), spelled(b, a)
	switch x := a.(type) {
	case text:
		if y, ok := b.(text); ok && op == "+" {
			v, err = m.concat(x, y)
			return v, true, err
		}
		if n, ok := whole(b); ok && op == "*" {
			v, err = repeatText(m, x, n)
			return v, true, err
		}
	case *list:
		if y, ok := b.(*list); ok && op == "+" {
			err = m.spend(len(x.items) + len(y.items))
			if err == nil {
				v = &list{items: append(append(make([]value, 0, len(x.items)+len(y.items)), x.items...), y.items...)}
			}
			return v, true, err
		}
		if n, ok := whole(b); ok && op == "*" {
			v, err = repeatList(m, x, n)
			return v, true, err
		}
	case int64, bool:
		switch b.(type) {
		case text, *list:
			if op == "*" {
				return composed(m, op, b, a)
			}
		}
	}
	return nil, false, nil
}

func repeatText(m *machine, t text, n int64) (value, error) {
	n = max(n, 0)
	if n > maxBuiltBytes {
		return nil, errBuilt
	}
	bytes := len(t.s)
	if len(t.spans) > 1 {
		bytes += spanBytes * len(t.spans)
	}
	if err := m.times(int(n), bytes); err != nil {
		return nil, err
	}
	if len(t.spans) == 1 {
		return newText(strings.Repeat(t.s, int(n)), t.trusted()), nil
	}
	var out textBuilder
	for i := int64(0); i < n && t.s != ""; i++ {
		out.add(t)
	}
	return out.text(), nil
}

func repeatList(m *machine, l *list, n int64) (value, error) {
	n = max(n, 0)
	if len(l.items) > 0 && n > maxSteps {
		return nil, errSteps
	}
	if err := m.spend(len(l.items) * int(n)); err != nil {
		return nil, err
	}
	var items []value
	for i := int64(0); i < n && len(l.items) > 0; i++ {
		items = append(items, l.items...)
	}
	return &list{items: items}, nil
}

func wholes(op string, a, b int64) (value, error) {
	switch op {
	case "+":
		sum := a + b
		return checked(sum, (a^sum)&(b^sum) < 0)
	case "-":
		difference := a - b
		return checked(difference, (a^b)&(a^difference) < 0)
	case "*":
		product := a * b
		return checked(product, a != 0 && (product/a != b || a == -1 && b == math.MinInt64))
	case "/":
		return floats(op, float64(a), float64(b))
	}
	switch {
	case b == 0:
		return nil, errZero
	case b == -1: // MinInt64 / -1 has no int64
		if op == "%" {
			return int64(0), nil
		}
		return checked(-a, a == math.MinInt64)
	}
	quotient, rest := a/b, a%b
	if rest != 0 && (rest < 0) != (b < 0) {
		quotient, rest = quotient-1, rest+b
	}
	if op == "%" {
		return rest, nil
	}
	return quotient, nil
}

func checked(n int64, overflow bool) (value, error) {
	if overflow {
		return nil, errOverflow
	}
	return n, nil
}

func floats(op string, a, b float64) (value, error) {
	switch op {
	case "+":
		return a + b, nil
	case "-":
		return a - b, nil
	case "*":
		return a * b, nil
	}
	if b == 0 {
		return nil, errZero
	}
	switch op {
	case "/":
		return a / b, nil
	case "//":
		return math.Floor(a / b), nil
	}
	rest := math.Mod(a, b)
	if rest != 0 && (rest < 0) != (b < 0) {
		rest += b
	}
	return rest, nil
}

// compare is a op b for a comparison operator.
func compare(m *machine, op string, a, b value) (bool, error) {
	switch op {
	case "==":
		return equal(m, a, b, 0)
	case "!=":
		same, err := equal(m, a, b, 0)
		return !same, err
	case "in", "not in":
		if err := m.touch(a, b); err != nil {
			return false, err
		}
		found, err := contains(m, b, a)
		return found == (op == "in"), err
	}
	o, err := order(m, a, b, 0)
	if err != nil {
		return false, err
	}
	switch op {
	case "<":
		return o < 0, nil
	case "<=":
		return o <= 0, nil
	case ">":
		return o > 0, nil
	}
	return o >= 0, nil
}

// order is -1, 0 or 1 as a comes before, with or after b. depth bounds lists within lists.
func order(m *machine, a, b value, depth int) (int, error) {
	if err := m.touch(a, b); err != nil {
		return 0, err
	}
	if depth > maxValueDepth {
		return 0, errDeepValue
	}
	switch x := a.(type) {
	case text:
		if y, ok := b.(text); ok {
			return strings.Compare(x.s, y.s), nil
		}
	case *list:
		if y, ok := b.(*list); ok {
			return orderLists(m, x, y, depth+1)
		}
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y), nil
		}
	}
	x, left := number(a)
	y, right := number(b)
	if !left || !right {
		return 0, fmt.Errorf("%s and %s have no order", typeName(a), typeName(b))
	}
	return cmp.Compare(x, y), nil
}

func orderLists(m *machine, a, b *list, depth int) (int, error) {
	for i := range min(len(a.items), len(b.items)) {
		same, err := equal(m, a.items[i], b.items[i], depth)
		if err != nil {
			return 0, err
		}
		if !same {
			return order(m, a.items[i], b.items[i], depth)
		}
	}
	return cmp.Compare(len(a.items), len(b.items)), nil
}
