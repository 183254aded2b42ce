package server

import (
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"astro/openai"
)

// models is GET /v1/models.
func (s *Server) models(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	list := openai.ModelList{Object: "list"}
	for _, name := range s.ModelNames {
		list.Data = append(list.Data, s.modelEntry(name))
	}
	writeJSON(ctx, list)
	return nil
}

// model is GET /v1/models/{id}. The id is what follows the route's path, so that names with slashes work.
func (s *Server) model(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	name, bad := url.PathUnescape(strings.TrimPrefix(requestPath(ctx), "/v1/models/"))
	if bad != nil || !slices.Contains(s.ModelNames, name) {
		return openai.ModelNotFound(name, s.ModelNames)
	}
	writeJSON(ctx, s.modelEntry(name))
	return nil
}

func (s *Server) modelEntry(name string) openai.Model {
	return openai.Model{ID: name, Object: "model", Created: s.created, OwnedBy: "astro", MaxModelLen: s.ContextTokens,
		PolicyVersion: s.Engine.Version()}
}
