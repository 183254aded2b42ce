package server

import (
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"astro/openai"
)

// models is GET /v1/models: the names of the model, and those of its versions that requests may name.
func (s *Server) models(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	list := openai.ModelList{Object: "list"}
	for _, name := range s.ModelNames {
		list.Data = append(list.Data, s.modelEntry(name))
	}
	for _, p := range s.loaded(id) {
		list.Data = append(list.Data, s.versionEntry(s.versionName(p.Version), p))
	}
	writeJSON(ctx, list)
	return nil
}

// model is GET /v1/models/{id}. The id is what follows the route's path, so that names with slashes work.
func (s *Server) model(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	asked, bad := url.PathUnescape(strings.TrimPrefix(requestPath(ctx), "/v1/models/"))
	name, version := s.pinned(asked)
	if bad != nil || !s.isServed(name) {
		return openai.ModelNotFound(asked, s.modelNames())
	}
	if version == 0 {
		writeJSON(ctx, s.modelEntry(name))
		return nil
	}
	for _, p := range s.loaded(id) {
		if p.Version == version {
			writeJSON(ctx, s.versionEntry(asked, p))
			return nil
		}
	}
	return openai.ModelNotFound(asked, s.modelNames())
}

// loaded are the versions that requests may name; where nobody can say, the current one.
func (s *Server) loaded(id string) []PolicyInfo {
	deadline, cancel := storeDeadline()
	defer cancel()
	versions, err := s.loadedVersions(deadline)
	if err != nil {
		s.reportTrouble("the versions of the model cannot be listed", id, err)
	}
	return versions
}

// modelNames are the names for an error.
func (s *Server) modelNames() []string {
	return append(slices.Clone(s.ModelNames), s.versionName(s.Engine.Version()))
}

func (s *Server) versionEntry(name string, p PolicyInfo) openai.Model {
	m := s.modelEntry(name)
	m.PolicyVersion = p.Version
	if p.Created > 0 {
		m.Created = p.Created
	}
	return m
}

func (s *Server) modelEntry(name string) openai.Model {
	return openai.Model{ID: name, Object: "model", Created: s.created, OwnedBy: "astro", MaxModelLen: s.ContextTokens,
		PolicyVersion: s.Engine.Version()}
}
