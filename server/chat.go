package server

import (
	"github.com/valyala/fasthttp"

	"astro/openai"
)

// chatCompletions is POST /v1/chat/completions.
func (s *Server) chatCompletions(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	q, err := openai.DecodeChatRequest(ctx.PostBody())
	if err != nil {
		return err
	}
	c, err := s.newChat(ctx, id, "messages", q)
	if err != nil {
		return err
	}
	c.head, c.logprobs, c.top = s.newHead("chatcmpl-"), q.Logprobs, q.TopLogprobs
	c.observe(ctx, "chat")
	return s.answer(ctx, c, chatFormat{c})
}

// newChat prepares the call of a conversation, whichever API it came over; param holds it there.
func (s *Server) newChat(ctx *fasthttp.RequestCtx, id, param string, q *openai.ChatRequest) (*call, *openai.Error) {
	id = bodyID(ctx, id, &q.Options)
	ids, err := s.renderChat(ctx, param, q)
	if err != nil {
		return nil, err
	}
	c, err := s.newCall(id, param, &q.Options, []prompt{{ids: ids}})
	if err != nil {
		return nil, err
	}
	c.defaultTokens = s.ContextTokens
	c.goOn(q.ContinueFinalMessage)
	return c, c.useTools(&q.Tooling)
}

// renderChat makes the tokens of a conversation that the server may answer.
func (s *Server) renderChat(ctx *fasthttp.RequestCtx, param string, q *openai.ChatRequest) ([]int32, *openai.Error) {
	if err := s.checkAsked(ctx, &q.Options); err != nil {
		return nil, err
	}
	return s.render(param, q.Messages, &q.Rendering, &q.Tooling)
}

// chatFormat is the format of chat answers.
type chatFormat struct{ *call }

func (f chatFormat) chunk(choices ...openai.ChunkChoice) openai.ChatChunk {
	return openai.ChatChunk{ID: f.head.id, Object: openai.ChunkObject, Created: f.head.created, Model: f.head.model, ServiceTier: serviceTier,
		SystemFingerprint: f.head.fingerprint, Choices: choices, Usage: f.streamUsage()}
}

// serviceTier is the only one there is.
const serviceTier = "default"

func (f chatFormat) first(w *eventWriter, index int) {
	chunk := f.chunk(openai.ChunkChoice{Index: index, Delta: openai.FirstDelta()})
	if index == 0 && f.options.ReturnTokenIDs {
		chunk.PromptTokenIDs = f.prompts[0].ids
	}
	w.send(chunk)
}

func (f chatFormat) delta(w *eventWriter, u *update) {
	delta := openai.Delta{ToolCalls: u.calls}
	if u.text != "" || u.calls == nil {
		delta.Content = &u.text
	}
	w.send(f.chunk(openai.ChunkChoice{Index: u.index, Delta: delta, Logprobs: f.logprobsOf(u), TokenIDs: u.ids(f.options)}))
}

func (f chatFormat) last(w *eventWriter, u *update) {
	w.send(f.chunk(openai.ChunkChoice{Index: u.index, FinishReason: &u.finish, Versions: f.versions(u.index)}))
}

func (f chatFormat) end(w *eventWriter, err *openai.Error) { f.endChunks(w, err, f.usage) }

func (f chatFormat) usage(usage openai.Usage) any {
	chunk := f.chunk()
	chunk.Choices = []openai.ChunkChoice{}
	chunk.Usage.Value = &usage
	return chunk
}

func (f chatFormat) whole(choices []*update, usage openai.Usage) any {
	answer := openai.ChatAnswer{ID: f.head.id, Object: openai.ChatObject, Created: f.head.created, Model: f.head.model, ServiceTier: serviceTier,
		SystemFingerprint: f.head.fingerprint, Usage: usage}
	if f.options.ReturnTokenIDs {
		answer.PromptTokenIDs = f.prompts[0].ids
	}
	answer.PromptLogprobs = f.promptScores(&f.prompts[0])
	for _, u := range choices {
		message := openai.AnswerMessage{Role: "assistant", Content: u.text, ToolCalls: wholeCalls(u.calls)}
		answer.Choices = append(answer.Choices, openai.ChatChoice{Index: u.index, Message: message, Logprobs: f.logprobsOf(u),
			FinishReason: u.finish, TokenIDs: u.ids(f.options), Versions: f.versions(u.index)})
	}
	return answer
}

// logprobsOf are the log-probabilities of an update, or nil if they were not asked for.
func (f chatFormat) logprobsOf(u *update) *openai.ChatLogprobs {
	if !f.logprobs {
		return nil
	}
	all := &openai.ChatLogprobs{Content: []openai.ChatLogprob{}}
	for i := range u.tokens {
		t := &u.tokens[i]
		all.Content = append(all.Content, openai.ChatLogprob{TokenLogprob: f.spell(t.TokenLogprob), TopLogprobs: f.spellAll(t.top)})
	}
	return all
}
