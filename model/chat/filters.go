package chat

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// filter is what follows |.
type filter func(m *machine, on value, a arguments) (value, error)

// filters are Jinja's, where chat templates use them. What is lazy there is a list here.
var filters = map[string]filter{
	"trim": trimFilter, "upper": changingFilter(strings.ToUpper), "lower": changingFilter(strings.ToLower),
	"title": changingFilter(titleWords), "capitalize": changingFilter(capitalize), "replace": replaceFilter,
	"string": stringFilter, "indent": indentFilter, "safe": safeFilter, "escape": escapeFilter, "e": escapeFilter,
	"wordcount": wordcountFilter,

	"length": lengthFilter, "count": lengthFilter, "first": firstFilter, "last": lastFilter, "reverse": reverseFilter,
	"list": listFilter, "items": itemsFilter, "join": joinFilter, "sort": sortFilter, "dictsort": dictsortFilter,
	"unique": uniqueFilter, "min": extremeFilter(-1), "max": extremeFilter(1), "sum": sumFilter,

	"map": mapFilter, "select": selectFilter(true), "reject": selectFilter(false),
	"selectattr": selectattrFilter(true), "rejectattr": selectattrFilter(false), "attr": attrFilter,

	"default": defaultFilter, "d": defaultFilter, "tojson": tojsonFilter,
	"int": intFilter, "float": floatFilter, "abs": absFilter, "round": roundFilter,
}

func trimFilter(m *machine, on value, a arguments) (value, error) {
	b := a.bind("chars")
	drop := dropped(b, 0)
	t, err := toText(on)
	b.fail(err)
	if b.err != nil {
		return nil, b.err
	}
	return m.trimmed(t, true, true, drop)
}

func changingFilter(change func(string) string) filter {
	return func(m *machine, on value, a arguments) (value, error) {
		b := a.bind()
		t, err := toText(on)
		b.fail(err)
		if b.err != nil {
			return nil, b.err
		}
		return m.changed(t, change)
	}
}

// wordStart is where Jinja's title filter begins a word.
var wordStart = regexp.MustCompile(`[-\s({\[<]+`)

func titleWords(s string) string {
	var b strings.Builder
	from := 0
	for _, at := range wordStart.FindAllStringIndex(s, -1) {
		b.WriteString(capitalize(s[from:at[0]]))
		b.WriteString(s[at[0]:at[1]])
		from = at[1]
	}
	b.WriteString(capitalize(s[from:]))
	return b.String()
}

func replaceFilter(m *machine, on value, a arguments) (value, error) {
	b := a.bind("old", "new", "count")
	from, to, limit := b.printed(0, text{}), b.printed(1, text{}), b.integer(2, -1)
	t, err := toText(on)
	b.fail(err)
	if b.err != nil {
		return nil, b.err
	}
	return m.replaced(t, from.s, to, limit)
}

func stringFilter(_ *machine, on value, a arguments) (value, error) {
	t, err := toText(on)
	if err != nil {
		return nil, err
	}
	return t, a.bind().err
}

// safeFilter changes nothing: no output is escaped.
func safeFilter(_ *machine, on value, a arguments) (value, error) { return on, a.bind().err }

var entities = strings.NewReplacer("&", "&amp;", ">", "&gt;", "<", "&lt;", "'", "&#39;", `"`, "&#34;")

func escapeFilter(m *machine, on value, a arguments) (value, error) {
	t, err := toText(on)
	if err == nil {
		err = a.bind().err
	}
	if err == nil {
		err = m.build(5 * len(t.s))
	}
	if err != nil {
		return nil, err
	}
	return t.changed(entities.Replace(t.s)), nil
}

func wordcountFilter(m *machine, on value, a arguments) (value, error) {
	t, err := toText(on)
	if err == nil {
		err = a.bind().err
	}
	n, inWord := int64(0), false
	for _, r := range t.s {
		word := r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r)
		if word && !inWord {
			n++
		}
		inWord = word
	}
	return n, err
}

// indentFilter puts spaces, or a given text, before each line but the first and empty ones.
func indentFilter(m *machine, on value, a arguments) (value, error) {
	b := a.bind("width", "first", "blank")
	first, blank := b.flag(1, false), b.flag(2, false)
	t, ok := on.(text)
	if !ok {
		b.fail(fmt.Errorf("got %s; want a string", typeName(on)))
	}
	by, ok := b.values[0].(text)
	if !ok {
		width := b.integer(0, 4)
		if width > maxTemplateBytes {
			b.fail(fmt.Errorf("width is %d; at most %d is accepted", width, maxTemplateBytes))
		}
		if b.err == nil {
			by = literal(strings.Repeat(" ", int(max(width, 0))))
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	if !t.trusted() { // as in replace: a message chooses where its lines end
		by = untrusted(by.s)
	}
	return m.indented(t, by, first, blank)
}

func (m *machine) indented(t, by text, first, blank bool) (value, error) {
	lines, err := m.lines(concat(t, t.changed("\n")), false)
	if err != nil {
		return nil, err
	}
	if err := m.times(len(lines), len(by.s)+1+2*spanBytes); err != nil {
		return nil, err
	}
	if err := m.build(len(t.s)); err != nil {
		return nil, err
	}
	var out textBuilder
	for i, line := range lines {
		if i > 0 {
			out.add(t.changed("\n"))
		}
		if i == 0 && first || i > 0 && (blank || line.s != "") {
			out.add(by)
		}
		out.add(line)
	}
	return m.made(out.text())
}

// defaultFilter replaces what is undefined; with its second argument, also what is false or empty.
func defaultFilter(_ *machine, on value, a arguments) (value, error) {
	b := a.bind("default_value", "boolean")
	if !isA[undefined](on) && !(b.flag(1, false) && !truth(on)) {
		return on, b.err
	}
	if b.values[0] == (undefined{}) {
		return text{}, b.err
	}
	return b.values[0], b.err
}

func tojsonFilter(m *machine, on value, a arguments) (value, error) {
	b := a.bind("ensure_ascii", "indent", "separators", "sort_keys")
	w := &jsonWriter{m: m, ascii: b.flag(0, false), sorted: b.flag(3, false), comma: ", ", colon: ": "}
	if indent, ok := b.values[1].(text); ok {
		w.indent, w.lines = indent.s, true
	} else if b.given(1) && b.values[1] != nil {
		width := min(max(b.integer(1, 0), 0), maxTemplateBytes)
		w.indent, w.lines = strings.Repeat(" ", int(width)), true
	}
	if w.lines {
		w.comma = ","
	}
	if b.given(2) && b.values[2] != nil {
		pair, ok := b.values[2].(*list)
		if !ok || len(pair.items) != 2 || !isA[text](pair.items[0]) || !isA[text](pair.items[1]) {
			b.wrong(2, "two strings")
		} else {
			w.comma, w.colon = pair.items[0].(text).s, pair.items[1].(text).s
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	if err := w.value(on, 0); err != nil {
		return nil, err
	}
	return untrusted(w.out.String()), nil
}
