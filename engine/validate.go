package engine

import (
	"slices"

	"astro/sampler"
)

// Bounds of a Request that no configuration changes.
const (
	MaxStopTokens = 128  // ids in Request.StopTokens
	MaxSaltBytes  = 256  // length of Request.Salt
	MaxLogitBias  = 1024 // entries in Params.LogitBias
)

// validate checks everything that a Request alone can have wrong: whatever passes cannot hurt another Request's row.
func (c *Config) validate(r *Request) error {
	switch {
	case len(r.Prompt) == 0:
		return invalid("the prompt is empty; it needs at least one token")
	case r.N < 1 || r.N > c.MaxSamples:
		return invalid("n is %d; want 1 to %d", r.N, c.MaxSamples)
	case r.MaxTokens < 0:
		return invalid("max tokens is %d; want at least 0", r.MaxTokens)
	case r.MinTokens < 0 || r.MinTokens > r.MaxTokens:
		return invalid("min tokens is %d; want 0 to max tokens (%d)", r.MinTokens, r.MaxTokens)
	case r.TopN < 0 || r.TopN > sampler.MaxTopLogprobs || r.ScoreTopN < 0 || r.ScoreTopN > sampler.MaxTopLogprobs:
		return invalid("%d and %d top log-probabilities; want 0 to %d", r.TopN, r.ScoreTopN, sampler.MaxTopLogprobs)
	case r.Embed && (r.MaxTokens > 0 || r.N > 1 || r.Score):
		return invalid("an embedding is of a prompt alone: with max tokens 0, one sample and no scores")
	case r.Grammar != nil && (r.Allowed != nil || r.IgnoreEOS):
		return invalid("a grammar excludes a list of allowed tokens, and going on after the end of sequence")
	case r.Class != Interactive && r.Class != Batch:
		return invalid("class %d is unknown", r.Class)
	case len(r.StopTokens) > MaxStopTokens:
		return invalid("%d stop tokens; want at most %d", len(r.StopTokens), MaxStopTokens)
	case len(r.Salt) > MaxSaltBytes:
		return invalid("a salt of %d bytes; want at most %d", len(r.Salt), MaxSaltBytes)
	}
	if err := c.validateLength(r); err != nil {
		return err
	}
	return c.validateTokens(r)
}

// validateLength refuses what could never run, even alone. Output that would not fit is cut with FinishLength instead.
func (c *Config) validateLength(r *Request) error {
	limit := c.contextTokens()
	if r.MaxTokens > 0 {
		limit -= max(1, r.MinTokens)
	}
	if len(r.Prompt) > limit {
		return &PromptTooLongError{PromptTokens: len(r.Prompt), LimitTokens: limit}
	}
	return nil
}

func (c *Config) validateTokens(r *Request) error {
	for _, list := range []struct {
		name string
		ids  []int32
	}{{"prompt", r.Prompt}, {"stop token", r.StopTokens}} {
		for _, id := range list.ids {
			if id < 0 || int(id) >= c.Vocab {
				return invalid("%s id %d is outside the vocabulary of %d", list.name, id, c.Vocab)
			}
		}
	}
	if r.MinTokens > 0 && len(c.stops(r)) >= c.Vocab {
		return invalid("all %d tokens would be banned before min tokens", c.Vocab)
	}
	if err := c.validateAllowed(r); err != nil {
		return err
	}
	return c.validateParams(&r.Params)
}

// validateAllowed refuses a Request that could not draw anything.
func (c *Config) validateAllowed(r *Request) error {
	switch {
	case r.Allowed == nil:
		return nil
	case len(r.Allowed) != sampler.AllowedWords(c.Vocab):
		return invalid("the allowed tokens have %d words; want %d", len(r.Allowed), sampler.AllowedWords(c.Vocab))
	}
	banned := []int32{}
	if r.MinTokens > 0 {
		banned = c.stops(r)
	}
	for id := range int32(c.Vocab) {
		if r.Allowed[id/64]>>(id%64)&1 != 0 && !slices.Contains(banned, id) {
			return nil
		}
	}
	return invalid("no token is allowed")
}

// validateParams also refuses NaN: every comparison below is false for it.
func (c *Config) validateParams(p *sampler.Params) error {
	within := func(x, low, high float32) bool { return x >= low && x <= high }
	switch {
	case !within(p.Temperature, 0, 2):
		return invalid("temperature is %v; want 0 to 2", p.Temperature)
	case p.TopK < 0:
		return invalid("top_k is %d; want at least 0", p.TopK)
	case !within(p.TopP, 0, 1) || p.TopP == 0:
		return invalid("top_p is %v; want more than 0, at most 1", p.TopP)
	case !within(p.MinP, 0, 1):
		return invalid("min_p is %v; want 0 to 1", p.MinP)
	case !within(p.RepetitionPenalty, 0, 1000) || p.RepetitionPenalty == 0:
		return invalid("repetition penalty is %v; want more than 0, at most 1000", p.RepetitionPenalty)
	case !within(p.PresencePenalty, -2, 2) || !within(p.FrequencyPenalty, -2, 2):
		return invalid("presence and frequency penalties are %v and %v; want -2 to 2", p.PresencePenalty, p.FrequencyPenalty)
	case len(p.LogitBias) > MaxLogitBias:
		return invalid("%d logit biases; want at most %d", len(p.LogitBias), MaxLogitBias)
	}
	for id, bias := range p.LogitBias {
		if id < 0 || int(id) >= c.Vocab || !within(bias, -100, 100) {
			return invalid("logit bias %v of token %d; want -100 to 100 for a token of the vocabulary of %d", bias, id, c.Vocab)
		}
	}
	return nil
}

// stops are the distinct ids that end a sample.
func (c *Config) stops(r *Request) []int32 {
	var all []int32
	add := func(ids []int32) {
		for _, id := range ids {
			if !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
	}
	if !r.IgnoreEOS {
		add(c.EOS)
	}
	add(r.StopTokens)
	return all
}
