package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"astro/engine"
	"astro/openai"
	"astro/sampler"
	"astro/sampler/grammar"
)

// call is one API request on its way through the engine: its prompts, one engine Request for each, and n choices of each.
type call struct {
	server  *Server
	id      string // of the HTTP request, for logs
	options *openai.Options
	head    head
	prompts []prompt
	choices []*choice // prompt i has choices i*n to i*n+n-1

	defaultTokens int  // new tokens per choice where the request names no limit; the context bounds it too
	echo          bool // choices begin with their prompt
	logprobs      bool // of generated and echoed tokens
	top           int  // alternatives per token

	watched
	visit *visit          // whose account it is on; nil until it is admitted
	life  context.Context // ends with the client, the server or the time limit

	allowed []uint64         // tokens that may be drawn; nil = all
	grammar *grammar.Grammar // that choices follow; nil = none
	version int64            // of the policy to run on; 0 = the current one
	pinned  bool             // the client has named it
	embed   bool             // hidden states of the prompts are wanted, and nothing is generated
}

// prompt is one engine Request and what is known of it.
type prompt struct {
	ids         []int32
	text        *string             // that the client sent; nil = it sent ids
	stream      *engine.Stream      // nil until submitted
	cached      int                 // of ids, from the prefix cache
	preemptions int                 // of its samples
	scores      []engine.TokenScore // of ids, if they were asked for
	embedding   *engine.Embedding   // if it was asked for
	opened      bool                // the echo was sent
	early       []engine.Event      // of samples that came before the prompt's scores

	firstToken time.Time
}

// head is what every answer of a call begins with.
type head struct {
	id, model, fingerprint string
	created                int64 // Unix seconds
}

// newHead draws an id.
func (s *Server) newHead(prefix string) head {
	return head{id: prefix + randomHex(), model: s.ModelNames[0], fingerprint: s.fingerprint(), created: time.Now().Unix()}
}

// newCall checks what depends on the model and prepares the choices. param names the prompt in errors.
func (s *Server) newCall(id, param string, o *openai.Options, prompts []prompt) (*call, *openai.Error) {
	c := &call{server: s, id: id, options: o, prompts: prompts}
	allowed, err := s.allowedTokens(o.AllowedTokenIDs)
	if err != nil {
		return nil, err
	}
	c.allowed = allowed
	if c.grammar, err = s.grammarOf(o); err != nil {
		return nil, err
	}
	for i := range prompts {
		prompts[i].truncate(o.TruncatePrompt)
		if err := s.checkPrompt(param, o, prompts[i].ids); err != nil {
			return nil, err
		}
		for range o.N {
			c.choices = append(c.choices, &choice{index: len(c.choices), options: o, text: s.Tokenizer.NewStream(),
				stop: newStopFilter(o.Stop, o.IncludeStop)})
			if s.keeps(o) {
				c.choices[len(c.choices)-1].draws = &draws{}
			}
		}
	}
	if err := s.checkIDs("stop_token_ids", o.StopTokenIDs); err != nil {
		return nil, err
	}
	for bias := range o.LogitBias {
		if err := s.checkIDs("logit_bias", []int32{bias}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// goOn keeps the space that an answer begins with where the answer goes on with its prompt's text, or where a grammar made it.
func (c *call) goOn(withPrompt bool) {
	for _, choice := range c.choices {
		words := slices.ContainsFunc(c.prompts[choice.index/c.options.N].ids, func(id int32) bool { return !c.server.Tokenizer.Special(id) })
		if choice.goesOn = withPrompt && words || c.grammar != nil; choice.goesOn && !(c.echo && words) { // an echo is the text's beginning
			choice.text = c.server.Tokenizer.NewContinuation()
		}
	}
}

// truncate keeps the last tokens of a prompt, which a client may ask for; 0 = all.
func (p *prompt) truncate(tokens int) {
	if tokens > 0 && len(p.ids) > tokens {
		p.ids, p.text = p.ids[len(p.ids)-tokens:], nil
	}
}

// allowedTokens is a set of tokens as the engine takes it; nil = all.
func (s *Server) allowedTokens(ids []int32) ([]uint64, *openai.Error) {
	if ids == nil {
		return nil, nil
	}
	if err := s.checkIDs("allowed_token_ids", ids); err != nil {
		return nil, err
	}
	allowed := make([]uint64, sampler.AllowedWords(s.Tokenizer.Vocab()))
	for _, id := range ids {
		allowed[id/64] |= 1 << (id % 64)
	}
	return allowed, nil
}

// checkPrompt checks ids and length: a prompt is never cut silently.
func (s *Server) checkPrompt(param string, o *openai.Options, ids []int32) *openai.Error {
	if len(ids) == 0 {
		return openai.Invalid(param, "empty_prompt", "Invalid '%s': it has no tokens.", param)
	}
	if err := s.checkIDs(param, ids); err != nil {
		return err
	}
	wanted := o.MaxTokens
	if wanted < 0 {
		wanted = max(1, o.MinTokens)
	}
	if len(ids)+wanted > s.ContextTokens {
		return openai.ContextLengthExceeded(param, s.ContextTokens, len(ids), wanted)
	}
	return nil
}

// checkIDs refuses token ids outside the vocabulary.
func (s *Server) checkIDs(param string, ids []int32) *openai.Error {
	for _, id := range ids {
		if vocab := s.Tokenizer.Vocab(); int(id) >= vocab {
			return openai.Invalid(param, "invalid_value", "Invalid '%s': token id %d is outside the vocabulary of %d.", param, id, vocab)
		}
	}
	return nil
}

// request is what the engine is asked for prompt i.
func (c *call) request(i int) engine.Request {
	o, ids := c.options, c.prompts[i].ids
	r := engine.Request{Prompt: ids, N: o.N, Params: params(o), MaxTokens: c.newTokens(i), MinTokens: o.MinTokens, StopTokens: o.StopTokenIDs,
		IgnoreEOS: o.IgnoreEOS, Allowed: c.allowed, Grammar: c.grammar, Class: engine.Interactive, Priority: int32(o.Priority), Salt: c.visit.caller.Salt(o.CacheSalt), Version: c.version}
	if o.Seed != nil {
		r.Seeded, r.Params.Seed = true, uint64(*o.Seed)
	}
	r.Embed = c.embed
	if c.logprobs {
		r.TopN, r.Score = c.top, c.echo
	}
	if r.Score {
		r.ScoreTopN = c.top
	}
	if o.PromptLogprobs >= 0 {
		r.Score, r.ScoreTopN = true, max(r.ScoreTopN, o.PromptLogprobs)
	}
	return r
}

// params translates sampling parameters.
func params(o *openai.Options) sampler.Params {
	p := sampler.Params{Temperature: float32(o.Temperature), TopK: o.TopK, TopP: float32(o.TopP), MinP: float32(o.MinP),
		RepetitionPenalty: float32(o.RepetitionPenalty), PresencePenalty: float32(o.PresencePenalty), FrequencyPenalty: float32(o.FrequencyPenalty)}
	for id, bias := range o.LogitBias {
		if p.LogitBias == nil {
			p.LogitBias = map[int32]float32{}
		}
		p.LogitBias[id] = float32(bias)
	}
	return p
}

// submit hands every prompt to the engine; after an error nothing of the call is left there.
func (c *call) submit(ctx context.Context) *openai.Error {
	c.life = ctx
	c.choosePolicy()
	for i := 0; i < len(c.prompts); i++ {
		stream, err := c.server.Engine.Submit(ctx, c.request(i))
		if errors.Is(err, engine.ErrUnknownVersion) && c.version != 0 && !c.pinned {
			c.runOn(0) // the version that it was assigned has just left: the current one is always there
			i--
			continue
		}
		if err != nil {
			c.close()
			return c.refusal(err)
		}
		c.prompts[i].stream = stream
	}
	return nil
}

// close ends what still runs.
func (c *call) close() {
	for i := range c.prompts {
		if stream := c.prompts[i].stream; stream != nil {
			stream.Close()
		}
	}
}

// refusal is the client's form of an error of the engine.
func (c *call) refusal(err error) *openai.Error {
	var long *engine.PromptTooLongError
	switch {
	case errors.As(err, &long):
		return openai.ContextLengthExceeded("prompt", long.LimitTokens, long.PromptTokens, 0)
	case errors.Is(err, engine.ErrUnknownVersion):
		return openai.ModelNotFound(c.options.Model, c.server.modelNames())
	case errors.Is(err, engine.ErrInvalidRequest):
		return openai.Invalid("", "invalid_value", "The engine refused the request: %s.", err)
	case errors.Is(err, engine.ErrQueueFull):
		c.server.Metrics.Rejected("queue")
		return openai.RateLimited("Too many requests are waiting. Please try again after the time in Retry-After.")
	case errors.Is(err, engine.ErrDraining), errors.Is(err, engine.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return c.cut()
	}
	c.server.log.Error("the engine failed a request", "request", c.id, "error", err)
	return openai.Internal(c.id)
}

// cut is the answer to a call that was ended from outside: its time was over, or a drain's. A client that went away does not read it.
func (c *call) cut() *openai.Error {
	if errors.Is(c.life.Err(), context.DeadlineExceeded) {
		return openai.TimedOut(int(c.server.limits.RequestTimeout.Seconds()))
	}
	return unavailable()
}

// unavailable is the answer while draining.
func unavailable() *openai.Error {
	return openai.Unavailable("The server is shutting down. Please send the request to another one.")
}

// arrival is one Event of a prompt's stream, or why there are no more.
type arrival struct {
	prompt int
	event  engine.Event
	err    error
}

// arrivals merges the streams of all prompts; the channel is closed after the last Event of the last one, or an error.
func (c *call) arrivals(ctx context.Context) <-chan arrival {
	out := make(chan arrival, len(c.choices))
	ends := make(chan struct{})
	for i := range c.prompts {
		go func() {
			defer func() { ends <- struct{}{} }()
			c.forward(ctx, i, out)
		}()
	}
	go func() {
		for range c.prompts {
			<-ends
		}
		close(out)
	}()
	return out
}

// forward sends the Events of one prompt until its last sample has finished.
func (c *call) forward(ctx context.Context, i int, out chan<- arrival) {
	for finished := 0; finished < c.options.N; {
		event, err := c.prompts[i].stream.Next(ctx)
		select {
		case out <- arrival{i, event, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		if event.Finish != "" {
			finished++
		}
	}
}

// accept turns an arrival into updates.
func (c *call) accept(a arrival) ([]*update, *openai.Error) {
	if a.err != nil {
		return nil, c.refusal(a.err)
	}
	p := &c.prompts[a.prompt]
	p.cached = max(p.cached, a.event.CachedTokens)
	p.preemptions += a.event.Preemptions
	if a.event.Embedding != nil {
		p.embedding = a.event.Embedding
	}
	if a.event.PromptScores != nil {
		p.scores = a.event.PromptScores
	}
	failed := a.event.Finish == engine.FinishError || a.event.Finish == engine.FinishCancel
	if !c.echo || p.opened || failed {
		return c.acceptEvent(a.prompt, &a.event)
	}
	p.early = append(p.early, a.event)
	if c.logprobs && a.event.PromptScores == nil {
		return nil, nil // another sample was faster than the one that carries the scores
	}
	return c.open(a.prompt, a.event.PromptScores)
}

// open sends the echoed prompt for every choice of it, then what came early.
func (c *call) open(i int, scores []engine.TokenScore) (updates []*update, err *openai.Error) {
	p := &c.prompts[i]
	p.opened = true
	for _, choice := range c.choices[i*c.options.N : (i+1)*c.options.N] {
		updates = append(updates, c.echoed(choice, p, scores))
	}
	for k := range p.early {
		more, err := c.acceptEvent(i, &p.early[k])
		if err != nil {
			return nil, err
		}
		updates = append(updates, more...)
	}
	p.early = nil
	return updates, nil
}

// echoed is the update that holds the prompt: the client's own text, or what its token ids spell.
func (c *call) echoed(choice *choice, p *prompt, scores []engine.TokenScore) *update {
	u := &update{index: choice.index}
	var text strings.Builder
	for i, id := range p.ids {
		t := token{offset: choice.chars, echoed: true, blank: true}
		t.Token = id
		if c.logprobs && scores[i].Token >= 0 {
			t.TokenLogprob, t.top, t.blank = scores[i].TokenLogprob, scores[i].Top, false
		}
		text.WriteString(choice.decode(id))
		u.tokens = append(u.tokens, t)
	}
	if u.text = text.String(); p.text != nil {
		u.text = *p.text
	}
	return u
}

// acceptEvent applies one Event to its choice. A choice that a stop string ended takes no more of them.
func (c *call) acceptEvent(i int, e *engine.Event) ([]*update, *openai.Error) {
	choice := c.choices[i*c.options.N+e.Index]
	switch {
	case choice.over:
		return nil, nil
	case e.Finish == engine.FinishError:
		return nil, c.refusal(e.Err)
	case e.Finish == engine.FinishCancel:
		return nil, c.cut()
	}
	if e.HasToken {
		c.sawToken(&c.prompts[i], choice)
	}
	u, stopped := choice.apply(e)
	if stopped {
		c.prompts[i].stream.Stop(e.Index, choice.tokens)
	}
	return []*update{&u}, nil
}

// usage counts tokens of the call so far.
func (c *call) usage() openai.Usage {
	var u openai.Usage
	for i := range c.prompts {
		u.PromptTokens += len(c.prompts[i].ids)
		u.PromptDetails.CachedTokens += c.prompts[i].cached
	}
	for _, choice := range c.choices {
		u.CompletionTokens += choice.tokens
	}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	return u
}
