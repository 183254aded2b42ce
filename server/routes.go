package server

import (
	"strings"

	"github.com/valyala/fasthttp"

	"astro/openai"
	"astro/server/auth"
)

// route is one line of the table of everything that this server answers to.
type route struct {
	method, path string     // a path that ends in / matches every longer path, too, but for / itself; {id} in it matches one part
	open         bool       // needs no API key
	local        bool       // needs none on a loopback bind, see Server.fromHere
	scope        auth.Scope // that a key needs; a line that is not open and has none is closed for everybody
	delegated    bool       // a feedback token will do
	work         bool       // takes a body and uses the engine: refused while draining
	upload       bool       // its body is a form with a file instead of JSON, within a limit of its own
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
		{method: "POST", path: "/v1/feedback", scope: auth.Feedback, delegated: true, work: true, handle: (*Server).postFeedback,
			page: page{summary: "Say what a completion was worth", request: "FeedbackRequest", answer: "Feedback", statuses: []int{404, 409, 410, 422}}},
		{method: "GET", path: "/v1/feedback/{id}", scope: auth.Feedback, handle: (*Server).getFeedback, page: page{summary: "What was said", answer: "Feedback", statuses: []int{404, 503}}},
		{method: "GET", path: "/v1/completions/{id}", scope: auth.Feedback, handle: (*Server).getCompletion,
			page: page{summary: "What is stored of an answer", answer: "StoredCompletion", statuses: []int{404, 410, 503}}},
		{method: "POST", path: "/rl/start_session", scope: auth.Admin, work: true, handle: (*Server).startSession,
			page: page{summary: "Open a session with a key of its own", request: "SessionRequest", answer: "Session", statuses: []int{404, 409}}},
		{method: "POST", path: "/rl/set_reward", scope: auth.Feedback, work: true, handle: (*Server).setReward,
			page: page{summary: "Reward a completion of the session", request: "RewardRequest", answer: "Feedback", statuses: []int{404, 409, 410}}},
		{method: "POST", path: "/rl/end_session", scope: auth.Feedback, handle: (*Server).endSession, page: page{summary: "End the session", answer: "Session", statuses: []int{404, 503}}},
		{method: "GET", path: "/v1/policies", scope: auth.Inference, handle: (*Server).policies, page: page{summary: "Versions of the weights", answer: "PolicyList", statuses: []int{404, 503}}},
		{method: "POST", path: "/v1/policies/{id}/promote", scope: auth.Admin, handle: (*Server).policyPromote,
			page: page{summary: "Serve a version", answer: "Policy", statuses: []int{404, 409, 503}}},
		{method: "POST", path: "/v1/policies/{id}/rollback", scope: auth.Admin, handle: (*Server).policyRollback,
			page: page{summary: "Go back to a version", answer: "Policy", statuses: []int{404, 409, 503}}},
		{method: "POST", path: "/v1/policies/{id}/canary", scope: auth.Admin, work: true, handle: (*Server).policyCanary,
			page: page{summary: "Give a version a part of the requests", request: "CanaryRequest", answer: "Policy", statuses: []int{404, 409}}},
		{method: "GET", path: "/learning", scope: auth.Inference, handle: (*Server).learning, page: page{summary: "How far learning is", answer: "Learning", statuses: []int{404}}},
		{method: "GET", path: "/learning/updates", scope: auth.Inference, handle: (*Server).learningUpdates,
			page: page{summary: "What each update gave", answer: "ObjectList", statuses: []int{404, 503},
				query: map[string]openai.Object{"after": {"type": "integer", "minimum": 0, "maximum": maxUpdateSeq}, "limit": {"type": "integer", "minimum": 1, "maximum": maxUpdates}}}},
		{method: "POST", path: "/learning/pause", scope: auth.Admin, handle: (*Server).learningPause, page: page{summary: "Pause learning", answer: "Learning", statuses: []int{404, 409, 503}}},
		{method: "POST", path: "/learning/resume", scope: auth.Admin, handle: (*Server).learningResume, page: page{summary: "Go on learning", answer: "Learning", statuses: []int{404, 409, 503}}},
		{method: "POST", path: "/learning/step", scope: auth.Admin, handle: (*Server).learningStep, page: page{summary: "Learn one step now", answer: "Learning", statuses: []int{404, 409, 503}}},
		{method: "POST", path: "/reasoning/graph", scope: auth.Inference, work: true, handle: (*Server).graph,
			page: page{summary: "Graph of the steps of a text", request: "GraphRequest", statuses: []int{404}}},
		{method: "GET", path: "/trees", scope: auth.Inference, handle: (*Server).treeList,
			page: page{summary: "Search trees", answer: "ObjectList", statuses: []int{404, 503}, query: map[string]openai.Object{"limit": {"type": "integer", "minimum": 1, "maximum": maxTrees}}}},
		{method: "GET", path: "/trees/{id}", scope: auth.Inference, handle: (*Server).tree, page: page{summary: "One search tree", statuses: []int{404, 503}}},
		{method: "GET", path: "/tokenizer_info", scope: auth.Inference, handle: (*Server).tokenizerInfo, page: page{summary: "The tokenizer's configuration"}},
		{method: "GET", path: "/v1/models", scope: auth.Inference, handle: (*Server).models, page: page{summary: "Served models", answer: "ModelList"}},
		{method: "GET", path: "/v1/models/", scope: auth.Inference, handle: (*Server).model, page: page{summary: "One served model", answer: "Model", statuses: []int{404}}},
		{method: "GET", path: "/health", open: true, handle: (*Server).health, page: page{summary: "Whether the process lives", statuses: []int{503}}},
		{method: "GET", path: "/ready", open: true, handle: (*Server).ready, page: page{summary: "Whether new requests are answered", statuses: []int{503}}},
		{method: "GET", path: "/version", scope: auth.Inference, handle: (*Server).versionRoute, page: page{summary: "The program's version and the policy's"}},
		{method: "GET", path: "/metrics", scope: auth.Admin, local: true, handle: (*Server).metrics, page: page{summary: "Metrics in Prometheus' text format", text: true}},
		{method: "GET", path: "/debug/pprof/", scope: auth.Admin, local: true, handle: (*Server).profile, page: page{summary: "Profiles of the process", text: true, statuses: []int{404}}},
		{method: "GET", path: "/", open: true, handle: (*Server).webPage, page: page{summary: "The page for browsers", text: true, statuses: []int{304}}},
		{method: "GET", path: "/assets/", open: true, handle: (*Server).webPage, page: page{summary: "A file of the page", text: true, statuses: []int{304, 404}}},
		{method: "GET", path: "/openapi.json", open: true, handle: (*Server).openAPI, page: page{summary: "This document"}},
	}
	routes = append(routes, tuneRoutes()...)
}

// longer says that the line matches longer paths, too.
func (r *route) longer() bool { return strings.HasSuffix(r.path, "/") && r.path != "/" }

// matches says whether a path is the line's.
func (r *route) matches(path string) bool {
	before, after, hasID := strings.Cut(r.path, "{id}")
	if !hasID {
		return path == r.path || r.longer() && strings.HasPrefix(path, r.path)
	}
	rest, ok := strings.CutPrefix(path, before)
	id, ok2 := strings.CutSuffix(rest, after)
	return ok && ok2 && id != "" && !strings.Contains(id, "/")
}

// idOf is what stands for {id} in a path that the line matches; "" = it has none.
func (r *route) idOf(path string) string {
	before, after, hasID := strings.Cut(r.path, "{id}")
	if !hasID {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(path, before), after)
}

// find returns the line for a request, or the 404, or the 405 with the methods that are allowed. The path is compared as it was
// sent, without decoding.
func find(method, path string) (r *route, allowed string, err *openai.Error) {
	var methods []string
	for i := range routes {
		r := &routes[i]
		if !r.matches(path) {
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
