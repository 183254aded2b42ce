package server

import (
	"runtime"

	"github.com/valyala/fasthttp"

	"astro/openai"
)

// state is the body of /health and /ready.
type state struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// health is GET /health: the process answers. Whether requests get anywhere is /ready.
func (s *Server) health(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	writeJSON(ctx, state{Status: "ok"})
	return nil
}

// ready is GET /ready: 200 while new requests are taken and the engine moves, that is, it has finished a step not long ago or has
// nothing to do. A hung device makes it 503, since the engine's own progress decides, not this process being alive.
func (s *Server) ready(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	reason := ""
	if s.isDraining() {
		reason = "draining"
	} else if err := s.Engine.Progress(); err != nil {
		reason = "the engine does not move"
	}
	if reason == "" {
		writeJSON(ctx, state{Status: "ready"})
		return nil
	}
	writeJSON(ctx, state{Status: "unavailable", Reason: reason})
	ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
	return nil
}

// versionRoute is GET /version.
func (s *Server) versionRoute(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	writeJSON(ctx, struct {
		Version string `json:"version"`
		Go      string `json:"go"`
	}{s.Version, runtime.Version()})
	return nil
}
