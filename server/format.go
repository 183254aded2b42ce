package server

import (
	"fmt"
	"strings"

	"astro/engine"
	"astro/openai"
	"astro/sampler"
)

// format is what differs between the answers of the APIs. All but whole send events of a stream.
type format interface {
	first(w *eventWriter, index int)                 // opens a choice
	delta(w *eventWriter, u *update)                 // adds to it
	last(w *eventWriter, u *update)                  // ends it
	wait(w *eventWriter)                             // there is nothing to say, and the connection must not look dead
	end(w *eventWriter, err *openai.Error)           // ends the stream, whose choices have ended unless there is an error
	whole(choices []*update, usage openai.Usage) any // the answer that is not streamed; choices in order of their index
}

// wait is that of the formats whose clients know comments alone.
func (c *call) wait(w *eventWriter) { w.write(openai.KeepAlive) }

// endChunks ends a stream of chunks: with an error, or with the usage if it was asked for. It always ends with [DONE].
func (c *call) endChunks(w *eventWriter, err *openai.Error, usage func(openai.Usage) any) {
	if err != nil {
		w.send(err)
	} else if c.options.IncludeUsage {
		w.send(usage(c.usage()))
	}
	w.write(openai.Done)
}

// merge sums up the updates of one choice.
func merge(updates []*update) *update {
	var text strings.Builder
	sum := &update{index: updates[0].index, parts: updates}
	for _, u := range updates {
		text.WriteString(u.text)
		sum.tokens = append(sum.tokens, u.tokens...)
		sum.calls = append(sum.calls, u.calls...)
		sum.finish = u.finish
	}
	sum.text = text.String()
	return sum
}

// ids are the generated token ids of an update, or nil if they were not asked for.
func (u *update) ids(o *openai.Options) (ids []int32) {
	for i := range u.tokens {
		if o.ReturnTokenIDs && !u.tokens[i].echoed {
			ids = append(ids, u.tokens[i].Token)
		}
	}
	return ids
}

// spell is a token with its bytes.
func (c *call) spell(t sampler.TokenLogprob) openai.TokenLogprob {
	spelled := openai.NewTokenLogprob(c.server.Tokenizer.Bytes(t.Token), t.Logprob)
	if c.options.TokensAsIDs {
		spelled.Token = fmt.Sprintf("token_id:%d", t.Token)
	}
	return spelled
}

// versions are the spans of a choice, or nil if they were not asked for.
func (c *call) versions(index int) []openai.VersionSpan {
	if !c.options.ReturnVersions {
		return nil
	}
	return c.choices[index].spans
}

// streamUsage is the usage field of an event that is not the last one.
func (c *call) streamUsage() openai.StreamUsage {
	u := openai.StreamUsage{Wanted: c.options.IncludeUsage}
	if u.Wanted && c.options.ContinuousUsage {
		now := c.usage()
		u.Value = &now
	}
	return u
}

// promptScores are the log-probabilities of a prompt's tokens, or nil if they were not asked for.
func (c *call) promptScores(p *prompt) openai.PromptScores {
	if c.options.PromptLogprobs < 0 {
		return nil
	}
	all := make(openai.PromptScores, len(p.scores))
	for i, score := range p.scores {
		if score.Token >= 0 {
			all[i] = c.promptScore(score)
		}
	}
	return all
}

// promptScore lists the token itself first, as vLLM does, then the other alternatives.
func (c *call) promptScore(score engine.TokenScore) openai.PromptScore {
	list := openai.PromptScore{c.scored(score.TokenLogprob, 0)}
	for i, t := range score.Top[:min(len(score.Top), c.options.PromptLogprobs)] {
		if t.Token == score.Token {
			list[0].Rank = i + 1
			continue
		}
		list = append(list, c.scored(t, i+1))
	}
	return list
}

func (c *call) scored(t sampler.TokenLogprob, rank int) openai.ScoredToken {
	return openai.ScoredToken{ID: t.Token, Logprob: openai.Logprob(t.Logprob), Rank: rank, Text: c.spell(t).Token}
}

// spellAll are alternatives with their bytes; never nil.
func (c *call) spellAll(tokens []sampler.TokenLogprob) []openai.TokenLogprob {
	spelled := make([]openai.TokenLogprob, len(tokens))
	for i, t := range tokens {
		spelled[i] = c.spell(t)
	}
	return spelled
}
