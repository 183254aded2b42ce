package server

import (
	"context"
	"net/http/pprof"
	"slices"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	"github.com/valyala/fasthttp/pprofhandler"

	"astro/engine"
	"astro/internal/telemetry"
	"astro/openai"
)

// EngineState is an engine's state as metrics show it; cacheType is that of keys and values.
func EngineState(e *engine.Engine, cacheType string) telemetry.EngineState {
	s, c := e.Stats(), e.Config()
	return telemetry.EngineState{Running: s.Running, Waiting: s.Waiting, Stalled: s.Stalled, Queued: queues(s.Load),
		Pages: c.Pages, HeldPages: s.Pages.Held, PageTokens: c.PageTokens, CacheType: cacheType, PrefixCache: c.PrefixCache,
		PromptTokens: s.PromptTokens, CachedTokens: s.CachedTokens, OutputTokens: s.OutputTokens, Preemptions: s.Preemptions, Evictions: s.Evictions, NotFinite: s.NotFinite,
		Steps: s.Steps, FailedSteps: s.FailedSteps, AheadTokens: s.AheadTokens, DroppedTokens: s.DroppedTokens, PolicyVersion: s.Version}
}

// queues are what waits, by class.
func queues(l engine.Load) []telemetry.Queue {
	var all []telemetry.Queue
	for class, name := range [engine.Classes]string{engine.Interactive: "interactive", engine.Batch: "batch"} {
		all = append(all, telemetry.Queue{Class: name, Requests: l.Queued[class].Requests, Tokens: l.Queued[class].Tokens})
	}
	return all
}

// metrics is GET /metrics.
func (s *Server) metrics(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	text, err := s.Metrics.Text()
	if err != nil {
		s.log.Error("metrics cannot be read", "request", id, "error", err)
		return openai.Internal(id)
	}
	ctx.SetContentType(telemetry.ContentType)
	ctx.SetBody(text)
	return nil
}

// profileList is the page that fasthttp's handler refuses, since its path ends in a slash.
var profileList = fasthttpadaptor.NewFastHTTPHandlerFunc(pprof.Index)

// profile is GET /debug/pprof/...: what Go's profiler says of this process.
func (s *Server) profile(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	if requestPath(ctx) == "/debug/pprof/" {
		profileList(ctx)
		return nil
	}
	pprofhandler.PprofHandler(ctx)
	if ctx.Response.StatusCode() == fasthttp.StatusNotFound {
		return openai.NotFound()
	}
	return nil
}

// rejected counts a request that is refused before the engine hears of it; nil is none. The engine's own refusal is "queue".
func (s *Server) rejected(err *openai.Error) *openai.Error {
	if err != nil {
		s.Metrics.Rejected(map[int]string{400: "cost", 401: "key", 403: "scope", 429: "quota", 503: "draining"}[err.Status])
	}
	return err
}

// countHTTP counts an answered request. Labels come from lists of ours, never from what was sent.
func (s *Server) countHTTP(ctx *fasthttp.RequestCtx) {
	method, handler := string(ctx.Method()), "none"
	if r, _, err := find(method, requestPath(ctx)); err == nil {
		handler = r.path
	} else if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, method) {
		method = "other"
	}
	answer := 0
	if !ctx.Response.IsBodyStream() {
		answer = len(ctx.Response.Body())
	}
	s.Metrics.HTTP(method, handler, ctx.Response.StatusCode(), len(ctx.Request.Body()), answer, time.Since(ctx.Time()))
}

// watched is what is measured of a call.
type watched struct {
	begin     time.Time // of the request
	operation string    // chat, text_completion
	span      telemetry.Span
	code      string // of the error that the client was told
	api       string // chat_completions, responses or other
}

// moments are when tokens of a choice came.
type moments struct{ first, last time.Time }

// observe begins to measure a call.
func (c *call) observe(ctx *fasthttp.RequestCtx, operation string) {
	o := c.options
	header := &ctx.Request.Header
	c.watched = watched{begin: ctx.Time(), operation: operation, api: apiOf(requestPath(ctx))}
	c.span = c.server.Tracer.Start(operation+" "+c.head.model, string(header.Peek("traceparent")), string(header.Peek("tracestate")), c.begin, telemetry.Attributes{
		"gen_ai.operation.name": operation, "gen_ai.provider.name": "astro", "gen_ai.request.model": c.head.model, "gen_ai.request.id": c.id,
		"gen_ai.response.id": c.head.id, "gen_ai.request.choice.count": o.N, "gen_ai.request.max_tokens": o.MaxTokens, "gen_ai.request.stream": o.Stream,
		"gen_ai.request.temperature": o.Temperature, "gen_ai.request.top_p": o.TopP})
	if parent := c.span.Parent(); parent != "" {
		ctx.Response.Header.Set("traceparent", parent)
	}
}

// apiOf is what metrics call the API of a path.
func apiOf(path string) string {
	switch path {
	case "/v1/chat/completions":
		return "chat_completions"
	case "/v1/responses":
		return "responses"
	}
	return "other"
}

// failed notes the error that a client is told, or nil; a client that went away, and one that a drain cut off, did not fail.
func (c *call) failed(life context.Context, err *openai.Error) *openai.Error {
	if err != nil && life.Err() == nil {
		c.code = err.Code
	}
	return err
}

// sawToken measures one token of a choice.
func (c *call) sawToken(p *prompt, choice *choice) {
	now := time.Now()
	if p.firstToken.IsZero() {
		p.firstToken = now
		c.server.Metrics.FirstToken(c.operation, now.Sub(c.begin))
		c.span.Event("first token", now)
	}
	if choice.when.first.IsZero() {
		choice.when.first = now
	} else {
		c.server.Metrics.Token(now.Sub(choice.when.last))
	}
	choice.when.last = now
}

// report counts a call that is over.
func (c *call) report() {
	now := time.Now()
	for i := range c.prompts {
		c.reportPrompt(i, now)
	}
	var reasons []string
	for _, choice := range c.choices {
		reason := choice.finish
		switch {
		case reason != "":
			reasons = append(reasons, reason)
		case c.code != "":
			reason = "error"
		default:
			reason = "abort"
		}
		c.server.Metrics.Choice(telemetry.Choice{Operation: c.operation, Reason: reason, Tokens: choice.tokens, Decode: choice.when.last.Sub(choice.when.first)})
		if choice.tools != nil {
			c.server.Metrics.ToolParse(telemetry.ToolParse{RequestType: c.api, Streamed: c.options.Stream, Calling: choice.tools.Calls() > 0})
		}
	}
	u := c.usage()
	c.span.Set(telemetry.Attributes{"gen_ai.response.finish_reasons": reasons, "gen_ai.usage.input_tokens": u.PromptTokens,
		"gen_ai.usage.output_tokens": u.CompletionTokens, "gen_ai.usage.cache_read.input_tokens": u.PromptDetails.CachedTokens})
	c.span.End(c.code)
}

// reportPrompt counts one request of the engine; what was never submitted is not counted.
func (c *call) reportPrompt(i int, now time.Time) {
	p := &c.prompts[i]
	if p.stream == nil {
		return
	}
	times := p.stream.Times()
	c.span.Event("admitted", times.Admitted)
	out := telemetry.Prompt{Operation: c.operation, Tokens: len(p.ids), N: c.options.N, MaxTokens: p.stream.Request().MaxTokens, Total: now.Sub(c.begin), Error: c.code,
		Cached: p.cached, Preemptions: p.preemptions}
	for _, choice := range c.choices[i*c.options.N : (i+1)*c.options.N] {
		out.MostTokens = max(out.MostTokens, choice.tokens)
	}
	if out.Queue = times.Admitted.Sub(c.begin); times.Admitted.IsZero() {
		out.Queue = out.Total
	}
	if !p.firstToken.IsZero() {
		out.Prefill = max(0, p.firstToken.Sub(times.Admitted))
	}
	c.server.Metrics.Prompt(out)
}
