package server

import (
	"strings"

	"github.com/valyala/fasthttp"

	"astro/engine"
	"astro/openai"
)

// messages is Anthropic's POST /v1/messages.
func (s *Server) messages(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	q, err := openai.DecodeMessagesRequest(ctx.PostBody())
	if err != nil {
		return err
	}
	c, err := s.newChat(ctx, id, "messages", &q.ChatRequest)
	if err != nil {
		return err
	}
	c.head = s.newHead("msg_")
	c.observe(ctx, "chat")
	return s.answer(ctx, c, &messageFormat{call: c})
}

// countTokens is POST /v1/messages/count_tokens: as many as the prompt of the same message would have.
func (s *Server) countTokens(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	q, err := openai.DecodeCountRequest(ctx.PostBody())
	if err != nil {
		return err
	}
	ids, err := s.renderChat(ctx, "messages", &q.ChatRequest)
	if err != nil {
		return err
	}
	writeJSON(ctx, openai.CountAnswer{InputTokens: len(ids)})
	return nil
}

// messageFormat is the format of messages. Its state is that of one answer.
type messageFormat struct {
	*call
	items  items
	finish string // why the answer ended
}

func (f *messageFormat) send(w *eventWriter, e openai.MessageEvent) { w.sendNamed(e.Type, e) }

func (f *messageFormat) first(w *eventWriter, _ int) {
	opening := openai.NewMessageAnswer(f.head.id, f.head.model, openai.NewMessageUsage(f.usage()))
	f.send(w, openai.MessageEvent{Type: "message_start", Message: opening})
	f.wait(w)
}

// wait sends a ping, which this API has in the place of comments.
func (f *messageFormat) wait(w *eventWriter) { f.send(w, openai.MessageEvent{Type: "ping"}) }

func (f *messageFormat) delta(w *eventWriter, u *update) { f.sendChanges(w, f.items.add(u)) }

func (f *messageFormat) last(w *eventWriter, u *update) {
	f.finish = u.finish
	f.sendChanges(w, f.items.end())
}

func (f *messageFormat) end(w *eventWriter, err *openai.Error) {
	if err != nil {
		ofAnthropic.sendError(w, err, f.id)
		return
	}
	usage := openai.NewMessageUsage(f.usage())
	reason, sequence := f.stop()
	f.send(w, openai.MessageEvent{Type: "message_delta", Delta: openai.StopDelta{StopReason: reason, StopSequence: sequence}, Usage: &usage})
	f.send(w, openai.MessageEvent{Type: "message_stop"})
}

func (f *messageFormat) whole(choices []*update, usage openai.Usage) any {
	f.items, f.finish = wholeItems(choices[0]), choices[0].finish
	answer := openai.NewMessageAnswer(f.head.id, f.head.model, openai.NewMessageUsage(usage))
	for _, it := range f.items.all {
		answer.Content = append(answer.Content, blockOf(it, it.text.String()))
	}
	reason, sequence := f.stop()
	answer.StopReason, answer.StopSequence = &reason, sequence
	return answer
}

// stop says why the answer ended. A stop sequence may have cut a call, so that it is said first.
func (f *messageFormat) stop() (reason string, sequence *string) {
	switch stopped := f.choices[0].stopped; {
	case stopped != "":
		return openai.StopSequence, &stopped
	case f.finish == finishLength:
		return openai.StopMaxTokens, nil
	case f.items.last().call != nil || f.finish == finishToolCalls:
		return openai.StopToolUse, nil
	}
	return openai.StopEndTurn, nil
}

// finishLength is the finish_reason of an answer that the limit of tokens ended.
const finishLength = string(engine.FinishLength)

func (f *messageFormat) sendChanges(w *eventWriter, changes []change) {
	for _, c := range changes {
		it := f.items.all[c.at]
		switch c.kind {
		case opened:
			f.send(w, openai.MessageEvent{Type: "content_block_start", Index: &c.at, Block: blockOf(it, "")})
		case grown:
			f.send(w, openai.MessageEvent{Type: "content_block_delta", Index: &c.at, Delta: blockDelta(it, c.text)})
		case closed:
			f.send(w, openai.MessageEvent{Type: "content_block_stop", Index: &c.at})
		}
	}
}

// blockOf is an item with a text.
func blockOf(it *item, text string) any {
	if it.call != nil {
		return openai.NewToolUse("toolu_"+strings.TrimPrefix(it.call.ID, "call_"), it.call.Function.Name, text)
	}
	return openai.TextBlock{Type: "text", Text: text}
}

func blockDelta(it *item, text string) any {
	if it.call != nil {
		return openai.InputDelta{Type: "input_json_delta", PartialJSON: text}
	}
	return openai.TextDelta{Type: "text_delta", Text: text}
}
