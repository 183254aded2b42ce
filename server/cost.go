package server

import (
	"github.com/valyala/fasthttp"

	"astro/openai"
	"astro/server/auth"
)

// cacheShare is how many times the tokens of the KV cache one request may use in all, unless Limits.RequestTokens says another
// number. Samples that do not fit wait for pages; the bound is on how long one request can keep the others waiting.
const cacheShare = 8

// requestTokens is the most that one request may cost.
func (s *Server) requestTokens() int {
	if s.limits.RequestTokens > 0 {
		return s.limits.RequestTokens
	}
	c := s.Engine.Config()
	return cacheShare * c.Pages * c.PageTokens
}

// admit decides whether a call may go to the engine: what its caller may ask for, and what it may cost. Nothing in proportion to the
// cost was allocated before.
func (c *call) admit(ctx *fasthttp.RequestCtx) *openai.Error {
	c.visit = visitOf(ctx)
	if c.visit == nil {
		panic("BUG: a route that calls the engine is not marked as work")
	}
	caller := c.visit.caller
	if c.options.Priority < 0 && !caller.Scopes.Has(auth.Admin) {
		return c.server.rejected(openai.InsufficientScope(auth.Admin.String(), "priority"))
	}
	limit := c.server.requestTokens()
	c.fitDefault(limit)
	if quota := caller.Limits.TokensPerMinute; quota > 0 {
		c.fitDefault(quota)
	}
	cost := c.cost()
	if cost > int64(limit) {
		return c.server.rejected(openai.CostOverServer(cost, limit))
	}
	return c.server.rejected(c.visit.charge(cost))
}

// cost is what the call may use at most: prompts x n x (prompt + max_tokens).
func (c *call) cost() (tokens int64) {
	for i := range c.prompts {
		tokens += int64(c.options.N) * int64(len(c.prompts[i].ids)+c.newTokens(i))
	}
	return tokens
}

// fitDefault makes a call that names no max_tokens cost at most limit, where that is possible: it asked for as much as it may have.
func (c *call) fitDefault(limit int) {
	longest := 0
	for i := range c.prompts {
		longest = max(longest, len(c.prompts[i].ids))
	}
	share := limit/(len(c.prompts)*c.options.N) - longest
	c.defaultTokens = min(c.defaultTokens, max(share, 1, c.options.MinTokens))
}

// newTokens is how many tokens a sample of prompt i may get.
func (c *call) newTokens(i int) int {
	if c.options.MaxTokens >= 0 {
		return c.options.MaxTokens
	}
	return min(c.defaultTokens, c.server.ContextTokens-len(c.prompts[i].ids))
}

// settle tells the visit what the call has used.
func (c *call) settle() {
	if c.visit == nil {
		return // it was not admitted
	}
	for i := range c.prompts {
		if c.prompts[i].stream != nil {
			c.visit.usedTokens += len(c.prompts[i].ids)
		}
	}
	for _, choice := range c.choices {
		c.visit.usedTokens += choice.tokens
	}
}
