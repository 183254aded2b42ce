package chat

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf16"
)

// jsonWriter writes values as Python's json.dumps does, within the machine's limits. What it writes is untrusted, all of it:
// where its brackets and commas stand, messages decide.
type jsonWriter struct {
	m             *machine
	out           strings.Builder
	ascii, sorted bool
	lines         bool // each item on a line of its own
	indent        string
	comma, colon  string
}

func (w *jsonWriter) write(s string) error {
	if err := w.m.build(len(s)); err != nil {
		return err
	}
	w.out.WriteString(s)
	return nil
}

func (w *jsonWriter) value(v value, depth int) error {
	if err := w.m.touch(v); err != nil {
		return err
	}
	if depth > maxValueDepth {
		return errDeepValue
	}
	switch v := v.(type) {
	case nil:
		return w.write("null")
	case bool:
		return w.write(map[bool]string{true: "true", false: "false"}[v])
	case float64:
		return w.write(jsonFloat(v))
	case int64:
		t, err := toText(v)
		if err != nil {
			return err
		}
		return w.write(t.s)
	case text:
		return w.quoted(v.s)
	case *list:
		return w.sequence("[", "]", len(v.items), depth, func(i int) error { return w.value(v.items[i], depth+1) })
	case *dict:
		return w.mapping(v, depth)
	}
	return fmt.Errorf("%s cannot be written as JSON", typeName(v))
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return formatFloat(f)
}

func (w *jsonWriter) mapping(d *dict, depth int) error {
	keys := d.keys
	if w.sorted {
		if err := w.m.spend(len(keys)); err != nil {
			return err
		}
		keys = slices.Clone(keys)
		slices.SortFunc(keys, func(a, b text) int { return strings.Compare(a.s, b.s) })
	}
	return w.sequence("{", "}", len(keys), depth, func(i int) error {
		if err := w.quoted(keys[i].s); err != nil {
			return err
		}
		if err := w.write(w.colon); err != nil {
			return err
		}
		return w.value(d.values[keys[i].s], depth+1)
	})
}

// sequence writes n items between brackets.
func (w *jsonWriter) sequence(open, end string, n, depth int, item func(i int) error) error {
	if n == 0 {
		return w.write(open + end)
	}
	if err := w.write(open); err != nil {
		return err
	}
	for i := range n {
		if i > 0 {
			if err := w.write(w.comma); err != nil {
				return err
			}
		}
		if err := w.newLine(depth + 1); err != nil {
			return err
		}
		if err := item(i); err != nil {
			return err
		}
	}
	if err := w.newLine(depth); err != nil {
		return err
	}
	return w.write(end)
}

func (w *jsonWriter) newLine(depth int) error {
	if !w.lines {
		return nil
	}
	if err := w.write("\n"); err != nil {
		return err
	}
	for range depth {
		if err := w.write(w.indent); err != nil {
			return err
		}
	}
	return nil
}

// quoted writes a string with the escapes of json.dumps: no more than JSON needs, or all but ASCII.
func (w *jsonWriter) quoted(s string) error {
	if err := w.write(`"`); err != nil {
		return err
	}
	from := 0
	for i, r := range s {
		escaped := w.escaped(r)
		if escaped == "" {
			continue
		}
		if err := w.m.spend(1); err != nil {
			return err
		}
		if err := w.write(s[from:i] + escaped); err != nil {
			return err
		}
		from = i + len(string(r))
	}
	return w.write(s[from:] + `"`)
}

// escaped is how r is written, or "" for as it is.
func (w *jsonWriter) escaped(r rune) string {
	if r >= 0x20 && r < 0x7f && r != '"' && r != '\\' {
		return ""
	}
	if at := strings.IndexRune("\"\\\n\r\t\b\f", r); at >= 0 {
		return `\` + string(`"\nrtbf`[at])
	}
	switch {
	case r < 0x20 || w.ascii && r >= 0x7f && r <= 0xffff:
		return fmt.Sprintf(`\u%04x`, r)
	case w.ascii && r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}
	return ""
}
