package chat

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// test is what follows `is`.
type test func(m *machine, on value, a arguments) (bool, error)

// tests are Jinja's, by all their names.
var tests = map[string]test{
	"defined":     kindTest(func(v value) bool { return !isA[undefined](v) }),
	"undefined":   kindTest(isA[undefined]),
	"none":        kindTest(func(v value) bool { return v == nil }),
	"boolean":     kindTest(isA[bool]),
	"true":        kindTest(func(v value) bool { return v == true }),
	"false":       kindTest(func(v value) bool { return v == false }),
	"integer":     kindTest(isA[int64]),
	"float":       kindTest(isA[float64]),
	"number":      kindTest(func(v value) bool { _, ok := number(v); return ok }),
	"string":      kindTest(isA[text]),
	"mapping":     kindTest(isA[*dict]),
	"sequence":    kindTest(func(v value) bool { return isA[text](v) || isA[*list](v) || isA[*dict](v) || isA[undefined](v) }),
	"iterable":    kindTest(func(v value) bool { return isA[text](v) || isA[*list](v) || isA[*dict](v) || isA[undefined](v) }),
	"callable":    kindTest(isA[*function]),
	"upper":       caseTest(unicode.IsUpper, unicode.IsLower),
	"lower":       caseTest(unicode.IsLower, unicode.IsUpper),
	"odd":         restTest(2, 1),
	"even":        restTest(2, 0),
	"divisibleby": divisibleTest,
	"sameas":      sameTest,
	"in":          inTest,
	"eq":          comparisonTest("=="), "equalto": comparisonTest("=="), "==": comparisonTest("=="),
	"ne": comparisonTest("!="), "!=": comparisonTest("!="),
	"lt": comparisonTest("<"), "lessthan": comparisonTest("<"), "<": comparisonTest("<"),
	"le": comparisonTest("<="), "<=": comparisonTest("<="),
	"gt": comparisonTest(">"), "greaterthan": comparisonTest(">"), ">": comparisonTest(">"),
	"ge": comparisonTest(">="), ">=": comparisonTest(">="),
}

func isA[T any](v value) bool {
	_, ok := v.(T)
	return ok
}

func kindTest(is func(value) bool) test {
	return func(_ *machine, on value, a arguments) (bool, error) { return is(on), a.bind().err }
}

// caseTest is true if no character is of the other case, and some are of this one.
func caseTest(is, other func(rune) bool) test {
	return func(_ *machine, on value, a arguments) (bool, error) {
		t, err := toText(on)
		if err != nil {
			return false, err
		}
		return strings.IndexFunc(t.s, is) >= 0 && strings.IndexFunc(t.s, other) < 0, a.bind().err
	}
}

func comparisonTest(op string) test {
	return func(m *machine, on value, a arguments) (bool, error) {
		b := a.bind("other")
		other := b.value(0)
		if b.err != nil {
			return false, b.err
		}
		return compare(m, op, on, other)
	}
}

func inTest(m *machine, on value, a arguments) (bool, error) {
	b := a.bind("items")
	items := b.value(0)
	if b.err != nil {
		return false, b.err
	}
	return contains(m, items, on)
}

// sameTest is Python's `is` for what a template can tell apart: the same type and value.
func sameTest(m *machine, on value, a arguments) (bool, error) {
	b := a.bind("other")
	other := b.value(0)
	if b.err != nil || reflect.TypeOf(on) != reflect.TypeOf(other) {
		return false, b.err
	}
	switch on.(type) {
	case text, float64:
		return false, fmt.Errorf("whether two strings or floats are the same object is undefined; use ==")
	case *list, *dict:
		return on == other, nil
	}
	return equal(m, on, other, 0)
}

func restTest(by, want int64) test {
	return func(m *machine, on value, a arguments) (bool, error) {
		rest, err := arithmetic(m, "%", on, by)
		if err != nil {
			return false, err
		}
		is, err := equal(m, rest, want, 0)
		if err == nil {
			err = a.bind().err
		}
		return is, err
	}
}

func divisibleTest(m *machine, on value, a arguments) (bool, error) {
	b := a.bind("num")
	by := b.value(0)
	if b.err != nil {
		return false, b.err
	}
	rest, err := arithmetic(m, "%", on, by)
	if err != nil {
		return false, err
	}
	return equal(m, rest, int64(0), 0)
}
