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
	c, err := s.newTextCall(ctx, id, "prompt", &q.Options, q.Prompts)
	if err != nil {
		return err
	}
	c.head, c.echo, c.logprobs, c.top = s.newHead("cmpl-"), q.Echo, q.Logprobs >= 0, max(0, q.Logprobs)
	c.defaultTokens = openai.DefaultCompletionTokens
	c.goOn(true)
	c.observe(ctx, "text_completion")
	return s.answer(ctx, c, completionFormat{c})
}

// newTextCall prepares the call of texts, or of token ids; param holds them.
func (s *Server) newTextCall(ctx *fasthttp.RequestCtx, id, param string, o *openai.Options, texts []openai.Prompt) (*call, *openai.Error) {
	id = bodyID(ctx, id, o)
	if err := s.checkAsked(ctx, o); err != nil {
		return nil, err
	}
	prompts := make([]prompt, len(texts))
	for i := range texts {
		prompts[i] = s.encode(&texts[i])
	}
	return s.newCall(id, param, o, prompts)
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
