package chat

import "fmt"

// argumentList is what stands between the brackets of a call, filter or test.
type argumentList struct {
	positional []expression
	named      []namedExpression
}

type namedExpression struct {
	name string
	of   expression
}

// arguments are evaluated ones.
type arguments struct {
	positional []value
	named      []namedValue
}

type namedValue struct {
	name string
	v    value
}

func (l argumentList) eval(m *machine) (a arguments, err error) {
	if a.positional, err = m.evalAll(l.positional); err != nil {
		return a, err
	}
	for _, n := range l.named {
		v, err := m.eval(n.of)
		if err != nil {
			return a, err
		}
		a.named = append(a.named, namedValue{n.name, v})
	}
	for _, n := range a.named {
		if err := m.touch(n.v); err != nil {
			return a, err
		}
	}
	return a, m.touch(a.positional...)
}

func (m *machine) evalAll(all []expression) ([]value, error) {
	values := make([]value, 0, len(all))
	for _, e := range all {
		v, err := m.eval(e)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// bound are arguments in the order of a function's parameters. The first error stays in err, so that a function reads all its
// arguments and then looks once.
type bound struct {
	names  []string
	values []value // undefined{} where none was given
	err    error
}

// bind matches arguments with parameters.
func (a arguments) bind(names ...string) *bound {
	b := &bound{names: names, values: make([]value, len(names))}
	for i := range b.values {
		b.values[i] = undefined{}
	}
	if len(a.positional) > len(names) {
		b.err = fmt.Errorf("got %d arguments; want at most %d", len(a.positional), len(names))
		return b
	}
	copy(b.values, a.positional)
	for _, n := range a.named {
		b.put(n, len(a.positional))
	}
	return b
}

func (b *bound) put(n namedValue, positional int) {
	for i, name := range b.names {
		if name != n.name {
			continue
		}
		if i < positional || b.given(i) {
			b.fail(fmt.Errorf("got two values for argument %s", n.name))
		}
		b.values[i] = n.v
		return
	}
	b.fail(fmt.Errorf("there is no argument %s", n.name))
}

func (b *bound) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// given says whether there is an argument i, other than an undefined one.
func (b *bound) given(i int) bool {
	_, missing := b.values[i].(undefined)
	return !missing
}

func (b *bound) wrong(i int, want string) {
	if !b.given(i) && b.values[i] == (undefined{}) {
		b.fail(fmt.Errorf("argument %s is missing; want %s", b.names[i], want))
		return
	}
	b.fail(fmt.Errorf("argument %s is %s; want %s", b.names[i], typeName(b.values[i]), want))
}

// value is a required argument of any type.
func (b *bound) value(i int) value {
	if b.values[i] == (undefined{}) {
		b.wrong(i, "a value")
	}
	return b.values[i]
}

// text is a required string.
func (b *bound) text(i int) text {
	t, ok := b.values[i].(text)
	if !ok {
		b.wrong(i, "a string")
	}
	return t
}

// printed is an argument as an output would print it; without one it is otherwise.
func (b *bound) printed(i int, otherwise text) text {
	if !b.given(i) {
		return otherwise
	}
	t, err := toText(b.values[i])
	if err != nil {
		b.fail(err)
	}
	return t
}

// textOr is an optional string; none stands for an absent one.
func (b *bound) textOr(i int, otherwise text) text {
	if !b.given(i) || b.values[i] == nil {
		return otherwise
	}
	return b.text(i)
}

// integer is an optional integer; none stands for an absent one.
func (b *bound) integer(i int, otherwise int64) int64 {
	if !b.given(i) || b.values[i] == nil {
		return otherwise
	}
	n, ok := whole(b.values[i])
	if !ok {
		b.wrong(i, "an integer")
	}
	return n
}

// flag is an optional boolean; as in Python, any value counts as one.
func (b *bound) flag(i int, otherwise bool) bool {
	if !b.given(i) {
		return otherwise
	}
	return truth(b.values[i])
}
