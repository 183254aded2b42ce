package server

import (
	"slices"

	"github.com/valyala/fasthttp"

	"astro/openai"
	"astro/sampler"
)

// completions is POST /v1/completions.
func (s *Server) completions(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	q, err := openai.DecodeCompletionRequest(ctx.PostBody())
	if err != nil {
		return err
	}
	id = bodyID(ctx, id, &q.Options)
	if err := s.checkModel(q.Model); err != nil {
		return err
	}
	if err := s.noteIgnored(ctx, &q.Options); err != nil {
		return err
	}
	prompts := make([]prompt, len(q.Prompts))
	for i := range q.Prompts {
		prompts[i] = s.encode(&q.Prompts[i])
	}
	c, err := s.newCall(id, "prompt", &q.Options, prompts)
	if err != nil {
		return err
	}
	c.head, c.echo, c.logprobs, c.top = s.newHead("cmpl-"), q.Echo, q.Logprobs >= 0, max(0, q.Logprobs)
	c.defaultTokens = openai.DefaultCompletionTokens
	c.observe(ctx, "text_completion")
	return s.answer(ctx, c, completionFormat{c})
}

// completionFormat is the format of text completions.
type completionFormat struct{ *call }

func (f completionFormat) answer(choices ...openai.CompletionChoice) openai.CompletionAnswer {
	return openai.CompletionAnswer{ID: f.head.id, Object: openai.CompletionObject, Created: f.head.created, Model: f.head.model,
		SystemFingerprint: f.head.fingerprint, Choices: choices, Usage: f.streamUsage()}
}

func (f completionFormat) first(w *eventWriter, index int) {
	if f.options.ReturnTokenIDs {
		w.send(f.answer(openai.CompletionChoice{Index: index, PromptTokenIDs: f.prompts[index/f.options.N].ids}))
	}
}

func (f completionFormat) delta(w *eventWriter, u *update) {
	w.send(f.answer(openai.CompletionChoice{Index: u.index, Text: u.text, Logprobs: f.logprobsOf(u), TokenIDs: u.ids(f.options)}))
}

func (f completionFormat) last(w *eventWriter, u *update) {
	w.send(f.answer(openai.CompletionChoice{Index: u.index, FinishReason: &u.finish, Versions: f.versions(u.index)}))
}

func (f completionFormat) end(w *eventWriter, err *openai.Error) { f.endChunks(w, err, f.usage) }

func (f completionFormat) usage(usage openai.Usage) any {
	answer := f.answer()
	answer.Choices = []openai.CompletionChoice{}
	answer.Usage.Value = &usage
	return answer
}

func (f completionFormat) whole(choices []*update, usage openai.Usage) any {
	answer := f.answer()
	answer.Usage = openai.StreamUsage{Wanted: true, Value: &usage}
	for _, u := range choices {
		choice := openai.CompletionChoice{Index: u.index, Text: u.text, Logprobs: f.logprobsOf(u), FinishReason: &u.finish, TokenIDs: u.ids(f.options),
			PromptLogprobs: f.promptScores(&f.prompts[u.index/f.options.N]), Versions: f.versions(u.index)}
		if f.options.ReturnTokenIDs {
			choice.PromptTokenIDs = f.prompts[u.index/f.options.N].ids
		}
		answer.Choices = append(answer.Choices, choice)
	}
	return answer
}

// logprobsOf are the parallel lists of an update, or nil if they were not asked for.
func (f completionFormat) logprobsOf(u *update) *openai.CompletionLogprobs {
	if !f.logprobs {
		return nil
	}
	all := openai.NewCompletionLogprobs()
	for i := range u.tokens {
		t := &u.tokens[i]
		spelled := f.spell(t.TokenLogprob)
		if t.blank {
			all.Append(spelled.Token, nil, nil, t.offset)
			continue
		}
		top := f.spellAll(t.top)
		if !slices.ContainsFunc(t.top, func(other sampler.TokenLogprob) bool { return other.Token == t.Token }) {
			top = append(top, spelled) // as OpenAI does: the chosen token is always among them
		}
		all.Append(spelled.Token, &spelled.Logprob, top, t.offset)
	}
	return all
}
