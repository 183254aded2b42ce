package server

import (
	"strings"

	"github.com/valyala/fasthttp"

	"astro/openai"
	"astro/server/auth"
)

// route is one line of the table of everything that this server answers to.
type route struct {
	method, path string     // a path that ends in / matches every longer path, too
	open         bool       // needs no API key
	scope        auth.Scope // that a key needs; a line that is not open and has none is closed for everybody
	work         bool       // takes a body and uses the engine: refused while draining
	dialect      dialect    // of its errors, and where its key may stand
	handle       func(s *Server, ctx *fasthttp.RequestCtx, id string) *openai.Error
	page         page // for /openapi.json
}

// routes is the whole surface. Which key is needed is a property of the line, never of a prefix of the path.
var routes []route

func init() { // the document, which is a route, is made of the routes
	routes = []route{
		{method: "POST", path: "/v1/chat/completions", scope: auth.Inference, work: true, handle: (*Server).chatCompletions,
			page: page{summary: "Answer a conversation", request: "ChatCompletionRequest", answer: "ChatCompletion", streams: true, statuses: []int{404}}},
		{method: "POST", path: "/v1/completions", scope: auth.Inference, work: true, handle: (*Server).completions,
			page: page{summary: "Continue texts", request: "CompletionRequest", answer: "Completion", streams: true, statuses: []int{404}}},
		{method: "POST", path: "/v1/embeddings", scope: auth.Inference, work: true, handle: (*Server).embeddings,
			page: page{summary: "Vectors of texts", request: "EmbeddingsRequest", answer: "EmbeddingList", statuses: []int{404}}},
		{method: "POST", path: "/v1/responses", scope: auth.Inference, work: true, dialect: ofResponses, handle: (*Server).responses,
			page: page{summary: "Answer a conversation, over OpenAI's newer API, without state", request: "ResponsesRequest", answer: "Response", streams: true, statuses: []int{404}}},
		{method: "POST", path: "/v1/messages", scope: auth.Inference, work: true, dialect: ofAnthropic, handle: (*Server).messages,
			page: page{summary: "Answer a conversation, over Anthropic's API", request: "MessagesRequest", answer: "MessageAnswer", streams: true, statuses: []int{404}}},
		{method: "POST", path: "/v1/messages/count_tokens", scope: auth.Inference, work: true, dialect: ofAnthropic, handle: (*Server).countTokens,
			page: page{summary: "Count the tokens of a message's prompt", request: "CountRequest", answer: "CountAnswer", statuses: []int{404}}},
		{method: "POST", path: "/tokenize", scope: auth.Inference, work: true, handle: (*Server).tokenize,
			page: page{summary: "Token ids of a text or a conversation", request: "TokenizeRequest", answer: "TokenizeAnswer", statuses: []int{404}}},
		{method: "POST", path: "/detokenize", scope: auth.Inference, work: true, handle: (*Server).detokenize,
			page: page{summary: "Text of token ids", request: "DetokenizeRequest", answer: "DetokenizeAnswer", statuses: []int{404}}},
		{method: "GET", path: "/tokenizer_info", scope: auth.Inference, handle: (*Server).tokenizerInfo, page: page{summary: "The tokenizer's configuration"}},
		{method: "GET", path: "/v1/models", scope: auth.Inference, handle: (*Server).models, page: page{summary: "Served models", answer: "ModelList"}},
		{method: "GET", path: "/v1/models/", scope: auth.Inference, handle: (*Server).model, page: page{summary: "One served model", answer: "Model", statuses: []int{404}}},
		{method: "GET", path: "/health", open: true, handle: (*Server).health, page: page{summary: "Whether the process lives", statuses: []int{503}}},
		{method: "GET", path: "/ready", open: true, handle: (*Server).ready, page: page{summary: "Whether new requests are answered", statuses: []int{503}}},
		{method: "GET", path: "/version", scope: auth.Inference, handle: (*Server).versionRoute, page: page{summary: "The program's version and the policy's"}},
		{method: "GET", path: "/metrics", scope: auth.Admin, handle: (*Server).metrics, page: page{summary: "Metrics in Prometheus' text format", text: true}},
		{method: "GET", path: "/debug/pprof/", scope: auth.Admin, handle: (*Server).profile, page: page{summary: "Profiles of the process", text: true, statuses: []int{404}}},
		{method: "GET", path: "/openapi.json", open: true, handle: (*Server).openAPI, page: page{summary: "This document"}},
	}
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
