package server

import (
	"strings"

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
	return openai.NewTokenLogprob(c.server.Tokenizer.Bytes(t.Token), t.Logprob)
}

// spellAll are alternatives with their bytes; never nil.
func (c *call) spellAll(tokens []sampler.TokenLogprob) []openai.TokenLogprob {
	spelled := make([]openai.TokenLogprob, len(tokens))
	for i, t := range tokens {
		spelled[i] = c.spell(t)
	}
	return spelled
}
