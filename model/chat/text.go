package chat

import (
	"sort"
	"strings"
)

// text is a string that knows which of its bytes the template wrote. Every operation on texts keeps that knowledge or forgets
// trust; none invents it.
type text struct {
	s     string
	spans []span // cover s in order; neighbours differ in trust
}

// span is a stretch of bytes that ends before end.
type span struct {
	end     int
	trusted bool
}

func newText(s string, trusted bool) text {
	if s == "" {
		return text{}
	}
	return text{s, []span{{len(s), trusted}}}
}

func literal(s string) text   { return newText(s, true) }
func untrusted(s string) text { return newText(s, false) }

// slice is t[from:to] in bytes.
func (t text) slice(from, to int) text {
	if from >= to {
		return text{}
	}
	cut := text{s: t.s[from:to]}
	first := sort.Search(len(t.spans), func(i int) bool { return t.spans[i].end > from })
	for _, p := range t.spans[first:] {
		cut.spans = append(cut.spans, span{min(p.end, to) - from, p.trusted})
		if p.end >= to {
			break
		}
	}
	return cut
}

// trusted says whether the template wrote all of t.
func (t text) trusted() bool { return len(t.spans) == 0 || len(t.spans) == 1 && t.spans[0].trusted }

// changed is t after an operation that does not keep bytes in place, such as upper: trusted only where all of t was.
func (t text) changed(s string) text { return newText(s, t.trusted()) }

func (t text) segments() []Segment {
	var all []Segment
	from := 0
	for _, p := range t.spans {
		all = append(all, Segment{t.s[from:p.end], p.trusted})
		from = p.end
	}
	return all
}

// textBuilder joins texts in linear time.
type textBuilder struct {
	s     strings.Builder
	spans []span
}

func (b *textBuilder) add(t text) {
	base := b.s.Len()
	b.s.WriteString(t.s)
	for _, p := range t.spans {
		if n := len(b.spans); n > 0 && b.spans[n-1].trusted == p.trusted {
			b.spans[n-1].end = base + p.end
		} else {
			b.spans = append(b.spans, span{base + p.end, p.trusted})
		}
	}
}

func (b *textBuilder) text() text { return text{b.s.String(), b.spans} }

func concat(a, b text) text {
	var out textBuilder
	out.add(a)
	out.add(b)
	return out.text()
}

// trim removes characters for which drop says so, at the chosen ends.
func (t text) trim(left, right bool, drop func(rune) bool) text {
	from, to := 0, len(t.s)
	if left {
		from = to - len(strings.TrimLeftFunc(t.s, drop))
	}
	if right {
		to = from + len(strings.TrimRightFunc(t.s[from:], drop))
	}
	return t.slice(from, to)
}

// split cuts at sep, at most limit times if limit >= 0.
func (t text) split(sep string, limit int) []text {
	var parts []text
	from := 0
	for limit != 0 {
		i := strings.Index(t.s[from:], sep)
		if i < 0 {
			break
		}
		parts = append(parts, t.slice(from, from+i))
		from += i + len(sep)
		limit--
	}
	return append(parts, t.slice(from, len(t.s)))
}

// fields cuts at runs of white space, at most limit times if limit >= 0, as Python's split without a separator does.
func (t text) fields(limit int) []text {
	var parts []text
	from := -1
	for i, r := range t.s {
		switch space := isSpace(r); {
		case space && from >= 0:
			parts = append(parts, t.slice(from, i))
			from = -1
		case !space && from < 0 && limit >= 0 && len(parts) == limit:
			return append(parts, t.slice(i, len(t.s)))
		case !space && from < 0:
			from = i
		}
	}
	if from >= 0 {
		parts = append(parts, t.slice(from, len(t.s)))
	}
	return parts
}

// replace puts to in place of from, at most limit times if limit >= 0. What replaces untrusted text is untrusted, whoever
// wrote it: else a message could choose where the template's words appear.
func (t text) replace(from string, to text, limit int) text {
	var out textBuilder
	at := 0
	for limit != 0 && from != "" {
		i := strings.Index(t.s[at:], from)
		if i < 0 {
			break
		}
		out.add(t.slice(at, at+i))
		put := to
		if !t.slice(at+i, at+i+len(from)).trusted() {
			put = untrusted(to.s)
		}
		out.add(put)
		at += i + len(from)
		limit--
	}
	out.add(t.slice(at, len(t.s)))
	return out.text()
}

// runes are the characters of t, each with its trust.
func (t text) runes() []text {
	var all []text
	for i, r := range t.s {
		all = append(all, t.slice(i, i+len(string(r))))
	}
	return all
}
