package server

import (
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"astro/openai"
)

// checkOrigin keeps web pages away that the server was not told of, for every method. A server that is bound to loopback may need no
// key, so it answers to loopback's names alone, besides those that it was given (DNS rebinding). An Origin must be the server's own or
// in the list.
func (s *Server) checkOrigin(ctx *fasthttp.RequestCtx) *openai.Error {
	host := string(ctx.Request.Header.Host())
	if !s.hostAllowed(hostOnly(host)) {
		return openai.HostNotAllowed()
	}
	origin := string(ctx.Request.Header.Peek("Origin"))
	if origin == "" || s.listedOrigin(origin) != "" {
		return nil
	}
	if u, err := url.Parse(origin); err != nil || u.Host != host || u.Scheme != "http" && u.Scheme != "https" {
		return openai.OriginNotAllowed()
	}
	return nil
}

func (s *Server) hostAllowed(name string) bool {
	if !s.loopback && len(s.Access.AllowedHosts) == 0 || s.loopback && isLoopback(name) {
		return true
	}
	return slices.ContainsFunc(s.Access.AllowedHosts, func(allowed string) bool { return strings.EqualFold(allowed, name) })
}

// fromHere says that a request was sent on this machine to a server that is bound to loopback, neither through a proxy nor by a page of
// another site: it names the server by a loopback name, and has none of the headers that those add. checkOrigin has let it pass.
func (s *Server) fromHere(h *fasthttp.RequestHeader) bool {
	if !s.loopback || !isLoopback(hostOnly(string(h.Host()))) || s.listedOrigin(string(h.Peek("Origin"))) != "" {
		return false
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via"} {
		if len(h.Peek(name)) > 0 {
			return false
		}
	}
	site := string(h.Peek("Sec-Fetch-Site"))
	return site == "" || site == "none" || site == "same-origin"
}

// listedOrigin is the entry of the list that an Origin header names, or "".
func (s *Server) listedOrigin(origin string) string {
	if i := slices.Index(s.Access.CORSOrigins, origin); i >= 0 {
		return s.Access.CORSOrigins[i]
	}
	return ""
}

// What a page of another origin may send and see; the x-stainless ones are of OpenAI's and Anthropic's clients.
const (
	corsRequestHeaders = "anthropic-beta, anthropic-dangerous-direct-browser-access, anthropic-version, authorization, content-type, idempotency-key, " +
		"openai-organization, openai-project, traceparent, tracestate, x-api-key, " +
		"x-feedback-token, x-request-id, x-stainless-arch, x-stainless-helper-method, x-stainless-lang, x-stainless-os, x-stainless-package-version, " +
		"x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, x-stainless-timeout"
	corsAnswerHeaders = "retry-after, traceparent, x-feedback-token, x-ignored-params, x-request-id, x-should-retry"
	corsAgeSeconds    = "600"
)

// allowOrigin lets a page of the list read the answer.
func (s *Server) allowOrigin(ctx *fasthttp.RequestCtx) {
	if len(s.Access.CORSOrigins) == 0 {
		return
	}
	ctx.Response.Header.Add("Vary", "Origin")
	if origin := s.listedOrigin(string(ctx.Request.Header.Peek("Origin"))); origin != "" {
		ctx.Response.Header.Set("Access-Control-Allow-Origin", origin)
		ctx.Response.Header.Set("Access-Control-Expose-Headers", corsAnswerHeaders)
	}
}

// isPreflight says that a browser asks what a page may send; checkOrigin has let it pass.
func isPreflight(ctx *fasthttp.RequestCtx) bool {
	h := &ctx.Request.Header
	return string(ctx.Method()) == "OPTIONS" && len(h.Peek("Origin")) > 0 && len(h.Peek("Access-Control-Request-Method")) > 0
}

// preflight answers it with the methods of the path; a browser sends no key with it.
func preflight(ctx *fasthttp.RequestCtx, methods string) {
	ctx.SetStatusCode(fasthttp.StatusNoContent)
	ctx.Response.Header.Set("Access-Control-Allow-Methods", methods)
	ctx.Response.Header.Set("Access-Control-Allow-Headers", corsRequestHeaders)
	ctx.Response.Header.Set("Access-Control-Max-Age", corsAgeSeconds)
}
