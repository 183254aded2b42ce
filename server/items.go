package server

import (
	"strings"

	"astro/openai"
)

// items are the parts of one answer, in the order in which the model wrote them, for the APIs whose answers are lists. An answer that
// is not streamed is put together by the same steps as the events of a stream.
type items struct{ all []*item }

// item is a text, or the call of a tool.
type item struct {
	call   *openai.ToolCall // its id and name; nil = a text
	text   strings.Builder  // or the arguments of the call
	closed bool
}

// change is what happens to the last item.
type change struct {
	kind changeKind
	at   int // index of the item
	text string
}

type changeKind uint8

const (
	opened changeKind = iota
	grown             // by text
	closed
)

// add takes an update. Arguments of a call that has begun come before its text, and new calls after it.
func (a *items) add(u *update) (all []change) {
	calls := u.calls
	for len(calls) > 0 && calls[0].ID == "" {
		all = append(all, a.grow(calls[0].Function.Arguments)...)
		calls = calls[1:]
	}
	if last := a.last(); u.text != "" && (last == nil || last.call != nil) {
		all = append(all, a.open(nil)...)
	}
	all = append(all, a.grow(u.text)...)
	for i := range calls {
		if calls[i].ID != "" {
			all = append(all, a.open(&calls[i])...)
		}
		all = append(all, a.grow(calls[i].Function.Arguments)...)
	}
	return all
}

// end closes the last item. Clients look for a first one, so an answer without any has an empty text.
func (a *items) end() (all []change) {
	if a.last() == nil {
		all = a.open(nil)
	}
	return append(all, a.shut()...)
}

func (a *items) last() *item {
	if len(a.all) == 0 {
		return nil
	}
	return a.all[len(a.all)-1]
}

func (a *items) open(call *openai.ToolCall) []change {
	all := a.shut()
	a.all = append(a.all, &item{call: call})
	return append(all, change{kind: opened, at: len(a.all) - 1})
}

func (a *items) grow(text string) []change {
	if text == "" {
		return nil
	}
	a.last().text.WriteString(text)
	return []change{{kind: grown, at: len(a.all) - 1, text: text}}
}

func (a *items) shut() []change {
	last := a.last()
	if last == nil || last.closed {
		return nil
	}
	last.closed = true
	return []change{{kind: closed, at: len(a.all) - 1}}
}

// wholeItems are those of an answer that has ended.
func wholeItems(u *update) items {
	var a items
	for _, part := range u.parts {
		a.add(part)
	}
	a.end()
	return a
}
