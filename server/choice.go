package server

import (
	"unicode/utf8"

	"astro/engine"
	"astro/model/tokenizer"
	"astro/openai"
	"astro/sampler"
	"astro/server/toolcall"
)

// choice turns the Events of one sample into text: it detokenises on UTF-8 borders and cuts at stop strings.
type choice struct {
	index   int // in the answer
	text    *tokenizer.Stream
	stop    *stopFilter
	options *openai.Options
	chars   int                  // decoded so far, echoed prompt included: the text offset of the next token
	tokens  int                  // generated
	over    bool                 // no Event changes it any more
	spans   []openai.VersionSpan // versions of the weights that drew the tokens
	finish  string               // why it ended; "" = it has not
	stopped string               // the stop string that ended it
	when    moments
	tools   *toolcall.Parser // nil = all text is content
	draws   *draws           // its tokens for the store; nil = it is not stored
	named   bool             // the tool was named by the client
	goesOn  bool             // with another text: a space that its first token begins with is shown
}

// update is what one step adds to a choice. The sum of a choice's updates is the choice, streamed or not.
type update struct {
	index  int
	text   string
	tokens []token
	finish string            // set in the last update
	calls  []openai.ToolCall // what the text adds to calls of tools
	parts  []*update         // that this one is the sum of, in their order
}

// token is one entry of the log-probabilities.
type token struct {
	sampler.TokenLogprob
	top    []sampler.TokenLogprob
	offset int  // characters before the token's first byte
	echoed bool // it belongs to the prompt
	blank  bool // no log-probability: the first token of a prompt
}

// apply takes one Event. stopped says that a stop string ended the choice, which the engine does not know yet.
func (c *choice) apply(e *engine.Event) (u update, stopped bool) {
	u.index = c.index
	if e.HasToken {
		u.tokens = []token{{TokenLogprob: e.Choice.TokenLogprob, top: e.Choice.Top, offset: c.chars}}
		c.tokens++
		c.note(e.Version)
		if c.draws != nil {
			c.draws.add(&e.Choice)
		}
		if e.StopID < 0 || c.options.IncludeStop {
			u.text, stopped = c.show(c.decode(e.Choice.Token))
		}
	}
	if e.Finish != "" && !stopped {
		rest, hit := c.end()
		u.text += rest
		stopped = hit
	}
	switch {
	case stopped:
		u.finish = string(engine.FinishStop)
	case e.Finish != "":
		u.finish = string(e.Finish)
	}
	c.callTools(&u)
	c.finish, c.over = u.finish, u.finish != ""
	return u, stopped
}

// note counts a token to the version that drew it.
func (c *choice) note(version int64) {
	if n := len(c.spans); n == 0 || c.spans[n-1].Version != version {
		c.spans = append(c.spans, openai.VersionSpan{Version: version, Start: c.tokens - 1})
	}
	c.spans[len(c.spans)-1].End = c.tokens
}

// decode adds a token to the text and counts characters.
func (c *choice) decode(id int32) string {
	text := c.text.Push(id)
	c.chars += utf8.RuneCountInString(text)
	return text
}

// show passes text through the stop strings, which count only after min_tokens.
func (c *choice) show(text string) (out string, hit bool) {
	if c.tokens < c.options.MinTokens {
		return text, false
	}
	out, c.stopped = c.stop.push(text)
	return out, c.stopped != ""
}

// end returns what was held back: the rest of a cut character and the beginning of a stop string that never came.
func (c *choice) end() (rest string, hit bool) {
	if rest, hit = c.show(c.text.Flush()); hit {
		return rest, true
	}
	return rest + c.stop.flush(), false
}
