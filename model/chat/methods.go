package chat

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// textMethod is a method of strings.
type textMethod func(m *machine, t text, a arguments) (value, error)

// textMethods are Python's, where chat templates use them.
var textMethods = map[string]textMethod{
	"strip":        stripMethod(true, true),
	"lstrip":       stripMethod(true, false),
	"rstrip":       stripMethod(false, true),
	"split":        splitMethod,
	"rsplit":       rsplitMethod,
	"splitlines":   splitlinesMethod,
	"partition":    partitionMethod,
	"startswith":   affixMethod(strings.HasPrefix),
	"endswith":     affixMethod(strings.HasSuffix),
	"removeprefix": removeMethod(func(s, affix string) (int, int) { return len(s) - len(strings.TrimPrefix(s, affix)), len(s) }),
	"removesuffix": removeMethod(func(s, affix string) (int, int) { return 0, len(strings.TrimSuffix(s, affix)) }),
	"upper":        changingMethod(strings.ToUpper),
	"lower":        changingMethod(strings.ToLower),
	"title":        changingMethod(titleCase),
	"capitalize":   changingMethod(capitalize),
	"swapcase":     changingMethod(swapCase),
	"replace":      replaceMethod,
	"join":         joinMethod,
	"find":         findMethod(strings.Index, false),
	"rfind":        findMethod(strings.LastIndex, false),
	"index":        findMethod(strings.Index, true),
	"count":        countMethod,
	"isdigit":      askingMethod(unicode.IsDigit),
	"isalpha":      askingMethod(unicode.IsLetter),
	"isalnum":      askingMethod(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }),
	"isspace":      askingMethod(isSpace),
	"isupper":      casedMethod(unicode.IsUpper, unicode.IsLower),
	"islower":      casedMethod(unicode.IsLower, unicode.IsUpper),
}

// method is v.name where that is a method of v's type, or nil.
func (m *machine) method(v value, name string) (value, error) {
	switch v := v.(type) {
	case text:
		if method := textMethods[name]; method != nil {
			call := func(m *machine, a arguments) (value, error) {
				if err := m.touch(v); err != nil {
					return nil, err
				}
				return method(m, v, a)
			}
			return &function{name, call}, nil
		}
	case *dict:
		if method := dictMethods[name]; method != nil {
			return &function{name, func(m *machine, a arguments) (value, error) { return method(m, v, a) }}, nil
		}
	case *list:
		if method := listMethods[name]; method != nil {
			return &function{name, func(m *machine, a arguments) (value, error) { return method(m, v, a) }}, nil
		}
		if v.spelled != nil {
			return m.method(*v.spelled, name)
		}
	}
	return nil, nil
}

func stripMethod(left, right bool) textMethod {
	return func(m *machine, t text, a arguments) (value, error) {
		b := a.bind("chars")
		drop := dropped(b, 0)
		if b.err != nil {
			return nil, b.err
		}
		return m.trimmed(t, left, right, drop)
	}
}

// trimmed is t.trim within the limits.
func (m *machine) trimmed(t text, left, right bool, drop func(rune) bool) (value, error) {
	rest := t.trim(left, right, drop)
	if err := m.spend((len(t.s) - len(rest.s)) / runeBytesPerStep); err != nil {
		return nil, err
	}
	return m.made(rest)
}

// dropped says which characters a strip removes: those of an optional argument, or white space.
func dropped(b *bound, i int) func(rune) bool {
	if !b.given(i) || b.values[i] == nil {
		return isSpace
	}
	set := map[rune]bool{}
	for _, r := range b.text(i).s {
		set[r] = true
	}
	return func(r rune) bool { return set[r] }
}

func changingMethod(change func(string) string) textMethod {
	return func(m *machine, t text, a arguments) (value, error) {
		if err := a.bind().err; err != nil {
			return nil, err
		}
		return m.changed(t, change)
	}
}

// changed is change(t) within the limits. No change makes a text more than thrice as long.
func (m *machine) changed(t text, change func(string) string) (value, error) {
	if err := m.build(3 * len(t.s)); err != nil {
		return nil, err
	}
	if err := m.spend(len(t.s) / runeBytesPerStep); err != nil {
		return nil, err
	}
	return t.changed(change(t.s)), nil
}

// titleCase is Python's str.title: a letter after anything but a letter is upper case.
func titleCase(s string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		first := !inWord
		inWord = unicode.IsLetter(r)
		if first {
			return unicode.ToTitle(r)
		}
		return unicode.ToLower(r)
	}, s)
}

func capitalize(s string) string {
	r, width := utf8.DecodeRuneInString(s)
	if width == 0 {
		return s
	}
	return string(unicode.ToTitle(r)) + strings.ToLower(s[width:])
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

func replaceMethod(m *machine, t text, a arguments) (value, error) {
	b := a.bind("old", "new", "count")
	from, to, limit := b.text(0), b.text(1), b.integer(2, -1)
	if b.err != nil {
		return nil, b.err
	}
	return m.replaced(t, from.s, to, limit)
}

// replaced is t.replace within the limits.
func (m *machine) replaced(t text, from string, to text, limit int64) (value, error) {
	if from == "" {
		return nil, fmt.Errorf("the text to replace is empty")
	}
	n := strings.Count(t.s, from)
	if limit >= 0 {
		n = int(min(limit, int64(n)))
	}
	if err := m.times(n, len(to.s)+spanBytes*(2+len(to.spans))); err != nil {
		return nil, err
	}
	if err := m.spend(n); err != nil {
		return nil, err
	}
	if err := m.build(len(t.s)); err != nil {
		return nil, err
	}
	return m.made(t.replace(from, to, n))
}

func joinMethod(m *machine, t text, a arguments) (value, error) {
	b := a.bind("items")
	of := b.value(0)
	if b.err != nil {
		return nil, b.err
	}
	items, err := iterate(m, of)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if _, ok := item.(text); !ok {
			return nil, fmt.Errorf("an item is %s; want strings", typeName(item))
		}
	}
	return joinAll(m, items, t)
}

// joinAll is what outputs of the items would write, with a separator between them.
func joinAll(m *machine, items []value, separator text) (value, error) {
	var out textBuilder
	for i, item := range items {
		t, err := toText(item)
		if err != nil {
			return nil, err
		}
		bytes := len(t.s) + len(separator.s) + spanBytes*(len(t.spans)+len(separator.spans))
		if err := m.build(bytes); err != nil {
			return nil, err
		}
		if i > 0 {
			out.add(separator)
		}
		out.add(t)
	}
	return out.text(), nil
}

func countMethod(_ *machine, t text, a arguments) (value, error) {
	b := a.bind("sub")
	part := b.text(0)
	return int64(strings.Count(t.s, part.s)), b.err
}

// findMethod counts in characters, as Python does.
func findMethod(find func(s, part string) int, must bool) textMethod {
	return func(_ *machine, t text, a arguments) (value, error) {
		b := a.bind("sub")
		part := b.text(0)
		at := find(t.s, part.s)
		if b.err == nil && at < 0 && must {
			b.fail(fmt.Errorf("%.60q is not in the string", part.s))
		}
		return int64(utf8.RuneCountInString(t.s[:max(at, 0)])) + int64(min(at, 0)), b.err
	}
}

// affixMethod takes a string or a list of which one must match.
func affixMethod(has func(s, affix string) bool) textMethod {
	return func(m *machine, t text, a arguments) (value, error) {
		b := a.bind("affix")
		all, isList := b.values[0].(*list)
		if !isList {
			return has(t.s, b.text(0).s), b.err
		}
		if err := m.spend(len(all.items)); err != nil {
			return nil, err
		}
		for _, item := range all.items {
			affix, ok := item.(text)
			if !ok {
				return nil, fmt.Errorf("an item is %s; want strings", typeName(item))
			}
			if has(t.s, affix.s) {
				return true, b.err
			}
		}
		return false, b.err
	}
}

func removeMethod(rest func(s, affix string) (from, to int)) textMethod {
	return func(m *machine, t text, a arguments) (value, error) {
		b := a.bind("affix")
		from, to := rest(t.s, b.text(0).s)
		if b.err != nil {
			return nil, b.err
		}
		return m.made(t.slice(from, to))
	}
}

// askingMethod is true if all characters are of a kind, and there are some.
func askingMethod(is func(rune) bool) textMethod {
	return func(_ *machine, t text, a arguments) (value, error) {
		other := strings.IndexFunc(t.s, func(r rune) bool { return !is(r) })
		return t.s != "" && other < 0, a.bind().err
	}
}

// casedMethod is true if no character is of the other case, and some are of this one.
func casedMethod(is, other func(rune) bool) textMethod {
	return func(_ *machine, t text, a arguments) (value, error) {
		return strings.IndexFunc(t.s, is) >= 0 && strings.IndexFunc(t.s, other) < 0, a.bind().err
	}
}
