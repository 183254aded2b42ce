package server

import (
	"strings"

	"github.com/valyala/fasthttp"

	"astro/openai"
)

// route is one line of the table of everything that this server answers to.
type route struct {
	method, path string // a path that ends in / matches every longer path, too
	open         bool   // needs no API key
	work         bool   // takes a body and uses the engine: refused while draining
	handle       func(s *Server, ctx *fasthttp.RequestCtx, id string) *openai.Error
}

// routes is the whole surface. Whether a key is needed is a property of the line, never of a prefix of the path.
var routes = []route{
	{method: "POST", path: "/v1/chat/completions", work: true, handle: (*Server).chatCompletions},
	{method: "POST", path: "/v1/completions", work: true, handle: (*Server).completions},
	{method: "GET", path: "/v1/models", handle: (*Server).models},
	{method: "GET", path: "/v1/models/", handle: (*Server).model},
	{method: "GET", path: "/health", open: true, handle: (*Server).health},
	{method: "GET", path: "/ready", open: true, handle: (*Server).ready},
	{method: "GET", path: "/version", handle: (*Server).versionRoute},
}

// find returns the line for a request, or the 404, or the 405 with the methods that are allowed. The path is compared as it was
// sent, without decoding.
func find(method, path string) (r *route, allowed string, err *openai.Error) {
	var methods []string
	for i := range routes {
		r := &routes[i]
		if path != r.path && !(strings.HasSuffix(r.path, "/") && strings.HasPrefix(path, r.path)) {
			continue
		}
		if method == r.method || method == "HEAD" && r.method == "GET" {
			return r, "", nil
		}
		methods = append(methods, r.method)
	}
	if methods == nil {
		return nil, "", openai.NotFound()
	}
	allowed = strings.Join(methods, ", ")
	return nil, allowed, openai.MethodNotAllowed(allowed)
}
