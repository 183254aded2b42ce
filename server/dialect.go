package server

import (
	"strings"

	"github.com/valyala/fasthttp"

	"astro/openai"
)

// dialect is the API that a route belongs to, as far as errors and keys are concerned.
type dialect uint8

const (
	ofChats     dialect = iota // OpenAI's chats and text completions, and everything of ours
	ofResponses                // OpenAI's responses: the same errors, but named events in streams
	ofAnthropic                // errors of another form, keys in another header
)

// dialectOf is that of a path, whatever the method.
func dialectOf(path string) dialect {
	for i := range routes {
		if routes[i].path == path {
			return routes[i].dialect
		}
	}
	return ofChats
}

// errorBody is the body of an answer; id is the request's.
func (d dialect) errorBody(err *openai.Error, id string) any {
	if d == ofAnthropic {
		return openai.NewMessageError(err, id)
	}
	return err
}

// errorSchema is its name in the OpenAPI document.
func (d dialect) errorSchema() string {
	if d == ofAnthropic {
		return "MessageError"
	}
	return "Error"
}

// sendError ends a stream whose format can say no more.
func (d dialect) sendError(w *eventWriter, err *openai.Error, id string) {
	switch d {
	case ofChats:
		w.send(err)
	case ofResponses:
		w.sendNamed("error", openai.NewResponseErrorEvent(err, w.named))
	case ofAnthropic:
		w.sendNamed("error", openai.NewMessageError(err, id))
	}
}

// secret is the key that a request brings, or "".
func (d dialect) secret(h *fasthttp.RequestHeader) string {
	if authorization := string(h.Peek("Authorization")); authorization != "" || d != ofAnthropic {
		return bearer(authorization)
	}
	return strings.TrimSpace(string(h.Peek("x-api-key")))
}
