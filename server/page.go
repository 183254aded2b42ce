package server

import (
	"github.com/valyala/fasthttp"

	"astro/openai"
	"astro/server/web"
)

// webPage is GET / and GET /assets/...: the page for browsers. It needs no key, since it holds nothing but itself; what it shows comes
// from the other routes, with the key that its reader enters.
func (s *Server) webPage(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	reply, ok := web.Get(requestPath(ctx), string(ctx.Request.Header.Peek("If-None-Match")))
	if !ok {
		return openai.NotFound()
	}
	for _, header := range reply.Header {
		ctx.Response.Header.Set(header[0], header[1])
	}
	ctx.SetStatusCode(reply.Status)
	ctx.Response.SetBodyRaw(reply.Body) // the program's own memory, which nobody changes
	return nil
}
