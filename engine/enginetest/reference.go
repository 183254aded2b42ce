package enginetest

import (
	"slices"

	"astro/engine"
	"astro/sampler"
	"astro/sampler/grammar"
)

// Reference generates one sample alone, token by token, without pages, batches or steps: what an Engine on this fake must
// give for the same Request and version, whatever else it does.
func Reference(config engine.Config, r engine.Request, version int64, index int) engine.Completion {
	c := engine.Completion{RequestID: r.ID, Index: index, Prompt: r.Prompt, Params: r.Params, Class: r.Class, Salt: r.Salt}
	c.Params.Seed = engine.SampleSeed(r.Params.Seed, index)
	row := &sampler.Row{Params: c.Params, Prompt: r.Prompt, Allowed: r.Allowed}
	var state grammar.State
	if r.Grammar != nil {
		state = r.Grammar.Start()
		row.Allowed = make([]uint64, sampler.AllowedWords(config.Vocab))
	}
	h := begin(version)
	for _, token := range r.Prompt {
		h = h.after(token)
	}
	context := min(config.MaxContextTokens, config.Pages*config.PageTokens)
	for c.Finish = engine.FinishLength; len(c.Output) < r.MaxTokens && len(r.Prompt)+len(c.Output) < context; {
		row.Output, row.Banned = c.Output, nil
		if len(c.Output) < r.MinTokens {
			row.Banned = stops(config, r)
		}
		if r.Grammar != nil {
			r.Grammar.Mask(state, row.Allowed)
			if left(row, config.Vocab) == 0 {
				row.Banned = nil
			}
		}
		choice := draw(row, h, config.Vocab)
		h = h.after(choice.Token)
		c.Output = append(c.Output, choice.Token)
		c.Logprobs, c.Sampled = append(c.Logprobs, choice.Logprob), append(c.Sampled, choice.Sampled)
		c.Versions = append(c.Versions, version)
		if slices.Contains(stops(config, r), choice.Token) || !goesOn(r.Grammar, &state, choice.Token) {
			c.Finish = engine.FinishStop
			break
		}
	}
	return c
}

// left counts the tokens that are allowed and not banned.
func left(row *sampler.Row, vocab int) (n int) {
	for id := range vocab {
		if row.Allowed[id/64]>>(id%64)&1 == 1 && !slices.Contains(row.Banned, int32(id)) {
			n++
		}
	}
	return n
}

// goesOn follows a token and says whether the text may go on.
func goesOn(g *grammar.Grammar, state *grammar.State, token int32) bool {
	if g == nil {
		return true
	}
	next, err := g.Next(*state, token)
	if err != nil {
		panic("BUG: got a token that the mask does not allow: " + err.Error())
	}
	*state = next
	return !g.Done(next)
}

// stops are the ids that end r's samples; an id may be there twice.
func stops(config engine.Config, r engine.Request) []int32 {
	if r.IgnoreEOS {
		return r.StopTokens
	}
	return slices.Concat(config.EOS, r.StopTokens)
}

// ReferenceScores is what PromptScores must be.
func ReferenceScores(config engine.Config, r engine.Request, version int64) []engine.TokenScore {
	h := begin(version)
	scores := []engine.TokenScore{score(h, -1, config.Vocab, 0)}
	for i, token := range r.Prompt[:len(r.Prompt)-1] {
		h = h.after(token)
		scores = append(scores, score(h, r.Prompt[i+1], config.Vocab, r.ScoreTopN))
	}
	return scores
}
