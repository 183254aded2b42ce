package chat

import (
	"fmt"
	"slices"
	"strings"
)

// partCost accounts for the parts that a string is cut into.
func (m *machine) partCost(parts int) error {
	if err := m.times(parts, spanBytes); err != nil {
		return err
	}
	return m.spend(parts)
}

// separated reads the arguments of split and rsplit. sep "" = white space.
func separated(a arguments) (sep string, limit int, err error) {
	b := a.bind("sep", "maxsplit")
	sep = b.textOr(0, text{}).s
	if b.err == nil && sep == "" && b.given(0) && b.values[0] != nil {
		b.fail(fmt.Errorf("the separator is empty"))
	}
	return sep, int(min(max(b.integer(1, -1), -1), maxSteps)), b.err
}

func splitMethod(m *machine, t text, a arguments) (value, error) {
	sep, limit, err := separated(a)
	if err != nil {
		return nil, err
	}
	if sep == "" {
		if err := m.partCost(countFields(t.s)); err != nil {
			return nil, err
		}
		return &list{items: values(t.fields(limit))}, nil
	}
	if err := m.partCost(strings.Count(t.s, sep) + 1); err != nil {
		return nil, err
	}
	return &list{items: values(t.split(sep, limit))}, nil
}

func countFields(s string) int {
	n, inField := 0, false
	for _, r := range s {
		space := isSpace(r)
		if !space && !inField {
			n++
		}
		inField = !space
	}
	return n
}

func rsplitMethod(m *machine, t text, a arguments) (value, error) {
	sep, limit, err := separated(a)
	if err != nil {
		return nil, err
	}
	if sep == "" && limit >= 0 {
		return nil, fmt.Errorf("a limit without a separator is not supported")
	}
	if sep == "" || limit < 0 {
		return splitMethod(m, t, a)
	}
	if err := m.partCost(strings.Count(t.s, sep) + 1); err != nil {
		return nil, err
	}
	var parts []value
	to := len(t.s)
	for ; limit > 0; limit-- {
		i := strings.LastIndex(t.s[:to], sep)
		if i < 0 {
			break
		}
		parts = append(parts, t.slice(i+len(sep), to))
		to = i
	}
	parts = append(parts, t.slice(0, to))
	slices.Reverse(parts)
	return &list{items: parts}, nil
}

func splitlinesMethod(m *machine, t text, a arguments) (value, error) {
	b := a.bind("keepends")
	keep := b.flag(0, false)
	if b.err != nil {
		return nil, b.err
	}
	lines, err := m.lines(t, keep)
	return &list{items: values(lines)}, err
}

// lines cuts where Python's splitlines does. There is no line after the last line's end.
func (m *machine) lines(t text, keepEnds bool) ([]text, error) {
	var lines []text
	from := 0
	for from < len(t.s) {
		if err := m.partCost(1); err != nil {
			return nil, err
		}
		to, next := len(t.s), len(t.s)
		if i := strings.IndexFunc(t.s[from:], endsLine); i >= 0 {
			to = from + i
			next = to + lineEndBytes(t.s[to:])
		}
		if keepEnds {
			to = next
		}
		lines = append(lines, t.slice(from, to))
		from = next
	}
	return lines, nil
}

func endsLine(r rune) bool {
	return '\n' <= r && r <= '\r' || 0x1c <= r && r <= 0x1e || r == 0x85 || r == 0x2028 || r == 0x2029
}

func lineEndBytes(s string) int {
	if strings.HasPrefix(s, "\r\n") {
		return 2
	}
	for i := range s {
		if i > 0 {
			return i
		}
	}
	return len(s)
}

func partitionMethod(m *machine, t text, a arguments) (value, error) {
	b := a.bind("sep")
	sep := b.text(0)
	if b.err == nil && sep.s == "" {
		b.fail(fmt.Errorf("the separator is empty"))
	}
	if b.err == nil {
		b.fail(m.partCost(3))
	}
	if b.err != nil {
		return nil, b.err
	}
	parts := t.split(sep.s, 1)
	if len(parts) == 1 {
		return &list{items: []value{t, text{}, text{}}}, nil
	}
	at := len(parts[0].s)
	return &list{items: []value{parts[0], t.slice(at, at+len(sep.s)), parts[1]}}, nil
}
