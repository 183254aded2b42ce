package server

import (
	"fmt"
	"strings"

	"astro/engine"
	"astro/openai"
	"astro/sampler"
)

// format is what differs between the answers of chats and of text completions.
type format interface {
	first(index int) any                             // opens a choice of a stream; nil = nothing to say
	delta(u *update) any                             // adds to it
	last(u *update) any                              // ends it
	usage(usage openai.Usage) any                    // ends a stream
	whole(choices []*update, usage openai.Usage) any // the answer that is not streamed; choices in order of their index
}

// merge sums up the updates of one choice.
func merge(updates []*update) *update {
	var text strings.Builder
	sum := &update{index: updates[0].index}
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
