package server

import (
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"astro/openai"
)

// responses is POST /v1/responses, without state: no request continues another.
func (s *Server) responses(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	q, err := openai.DecodeResponsesRequest(ctx.PostBody())
	if err != nil {
		return err
	}
	c, err := s.newChat(ctx, id, "input", &q.ChatRequest)
	if err != nil {
		return err
	}
	c.head = s.newHead("resp_")
	c.observe(ctx, "chat")
	answer := openai.NewResponse(c.head.id, c.head.model, c.head.created, q.Settings)
	return s.answer(ctx, c, &responseFormat{call: c, answer: answer})
}

// responseFormat is the format of responses. Its state is that of one answer.
type responseFormat struct {
	*call
	answer *openai.Response
	items  items
	finish string // why the answer ended; "" = it has not
}

// send gives an event its number.
func (f *responseFormat) send(w *eventWriter, kind string, e openai.ResponseEvent) {
	e.Type, e.Sequence = "response."+kind, w.named
	w.sendNamed(e.Type, e)
}

func (f *responseFormat) first(w *eventWriter, _ int) {
	f.send(w, "created", openai.ResponseEvent{Response: f.answer})
	f.send(w, "in_progress", openai.ResponseEvent{Response: f.answer})
}

func (f *responseFormat) delta(w *eventWriter, u *update) { f.sendChanges(w, f.items.add(u)) }

func (f *responseFormat) last(w *eventWriter, u *update) {
	f.finish = u.finish
	f.sendChanges(w, f.items.end())
}

func (f *responseFormat) end(w *eventWriter, err *openai.Error) {
	f.complete(err, f.usage())
	f.send(w, string(f.answer.Status), openai.ResponseEvent{Response: f.answer})
}

func (f *responseFormat) whole(choices []*update, usage openai.Usage) any {
	f.items, f.finish = wholeItems(choices[0]), choices[0].finish
	f.complete(nil, usage)
	return f.answer
}

// complete fills in what is known at the end.
func (f *responseFormat) complete(err *openai.Error, usage openai.Usage) {
	now := time.Now().Unix()
	switch {
	case err != nil:
		f.answer.Status, f.answer.Error = openai.ResponseFailed, &openai.ResponseError{Code: "server_error", Message: err.Message}
	case f.finish == finishLength:
		f.answer.Status, f.answer.Incomplete = openai.ResponseIncomplete, &openai.IncompleteDetails{Reason: "max_output_tokens"}
	default:
		f.answer.Status, f.answer.CompletedAt = openai.ResponseCompleted, &now
	}
	f.answer.Usage = openai.NewResponseUsage(usage)
	for i := range f.items.all {
		f.answer.Output = append(f.answer.Output, f.item(i))
	}
}

// sendChanges says what happened to the items.
func (f *responseFormat) sendChanges(w *eventWriter, changes []change) {
	for _, c := range changes {
		if it := f.items.all[c.at]; it.call != nil {
			f.sendCall(w, c, it)
		} else {
			f.sendText(w, c, it)
		}
	}
}

func (f *responseFormat) sendText(w *eventWriter, c change, it *item) {
	zero, text := 0, it.text.String()
	at := openai.ResponseEvent{OutputIndex: &c.at, ItemID: f.itemID("msg", c.at), ContentIndex: &zero}
	with := func(kind string, fill func(e *openai.ResponseEvent)) {
		e := at
		fill(&e)
		f.send(w, kind, e)
	}
	part := openai.NewOutputText(text)
	switch c.kind {
	case opened:
		empty := openai.NewOutputText("")
		f.send(w, "output_item.added", openai.ResponseEvent{OutputIndex: &c.at, Item: f.opening(c.at)})
		with("content_part.added", func(e *openai.ResponseEvent) { e.Part = &empty })
	case grown:
		with("output_text.delta", func(e *openai.ResponseEvent) { e.Delta, e.Logprobs = c.text, part.Logprobs })
	case closed:
		with("output_text.done", func(e *openai.ResponseEvent) { e.Text, e.Logprobs = &text, part.Logprobs })
		with("content_part.done", func(e *openai.ResponseEvent) { e.Part = &part })
		f.send(w, "output_item.done", openai.ResponseEvent{OutputIndex: &c.at, Item: f.item(c.at)})
	}
}

func (f *responseFormat) sendCall(w *eventWriter, c change, it *item) {
	id, arguments := f.itemID("fc", c.at), it.text.String()
	switch c.kind {
	case opened:
		f.send(w, "output_item.added", openai.ResponseEvent{OutputIndex: &c.at, Item: f.opening(c.at)})
	case grown:
		f.send(w, "function_call_arguments.delta", openai.ResponseEvent{OutputIndex: &c.at, ItemID: id, Delta: c.text})
	case closed:
		f.send(w, "function_call_arguments.done", openai.ResponseEvent{OutputIndex: &c.at, ItemID: id, Name: it.call.Function.Name, Arguments: &arguments})
		f.send(w, "output_item.done", openai.ResponseEvent{OutputIndex: &c.at, Item: f.item(c.at)})
	}
}

// itemID names an item after its answer.
func (f *responseFormat) itemID(prefix string, i int) string {
	return fmt.Sprintf("%s_%s%d", prefix, strings.TrimPrefix(f.head.id, "resp_"), i)
}

// opening is an item that has just begun.
func (f *responseFormat) opening(i int) any {
	if call := f.items.all[i].call; call != nil {
		return openai.OutputCall{ID: f.itemID("fc", i), Type: "function_call", Status: openai.ResponseInProgress, CallID: call.ID, Name: call.Function.Name}
	}
	return openai.OutputMessage{ID: f.itemID("msg", i), Type: "message", Status: openai.ResponseInProgress, Role: "assistant", Content: []openai.OutputText{}}
}

// item is an item as it is now; what an error or the limit cut is incomplete.
func (f *responseFormat) item(i int) any {
	it, status := f.items.all[i], openai.ResponseCompleted
	if !it.closed || f.finish == finishLength && i == len(f.items.all)-1 {
		status = openai.ResponseIncomplete
	}
	switch begun := f.opening(i).(type) {
	case openai.OutputCall:
		begun.Status, begun.Arguments = status, it.text.String()
		return begun
	case openai.OutputMessage:
		begun.Status, begun.Content = status, []openai.OutputText{openai.NewOutputText(it.text.String())}
		return begun
	}
	panic("BUG: got an item of another kind; want a text or a call")
}
