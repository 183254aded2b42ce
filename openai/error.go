package openai

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Error is OpenAI's error object together with the HTTP status that carries it. Messages are written for the client: they name
// parameters and limits, and never hold internal text (paths, Go types, addresses).
type Error struct {
	Status  int    // HTTP status, 400 to 503
	Message string // one or two sentences for a person
	Type    string // class of the error, such as "invalid_request_error"
	Param   string // path of the parameter, such as "messages[0].content"; "" becomes null
	Code    string // machine-readable reason, such as "model_not_found"; "" becomes null

	RetryAfterSeconds int // for the Retry-After header of a 429 or 503, not part of the object; 0 = not known
}

// Error types, as OpenAI names them.
const (
	TypeInvalidRequest = "invalid_request_error"
	TypeRateLimit      = "rate_limit_error"
	TypeServer         = "server_error"
)

// Error returns the message with its code, for logs.
func (e *Error) Error() string {
	if e.Code == "" {
		return e.Message
	}
	return e.Code + ": " + e.Message
}

// errorBody is the wire form of an Error; param and code are null where empty.
type errorBody struct {
	Error errorFields `json:"error"`
}

type errorFields struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// MarshalJSON writes {"error":{message,type,param,code}}.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(errorBody{errorFields{e.Message, e.Type, orNull(e.Param), orNull(e.Code)}})
}

// UnmarshalJSON reads the same form; Status is not part of it.
func (e *Error) UnmarshalJSON(data []byte) error {
	var body errorBody
	if err := json.Unmarshal(data, &body); err != nil {
		return fmt.Errorf("openai: read an error object: %w", err)
	}
	e.Message, e.Type = body.Error.Message, body.Error.Type
	e.Param, e.Code = orEmpty(body.Error.Param), orEmpty(body.Error.Code)
	return nil
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Invalid is a 400 about one parameter.
func Invalid(param, code, format string, args ...any) *Error {
	return &Error{Status: 400, Message: fmt.Sprintf(format, args...), Type: TypeInvalidRequest, Param: param, Code: code}
}

// ModelNotFound is the 404 for a model name that is not served.
func ModelNotFound(model string, served []string) *Error {
	return &Error{Status: 404, Type: TypeInvalidRequest, Param: "model", Code: "model_not_found",
		Message: fmt.Sprintf("The model `%s` does not exist. Served models: %s.", clip(model), strings.Join(served, ", "))}
}

// ContextLengthExceeded is the 400 for a prompt of promptTokens and a wish for maxTokens more that do not fit into
// contextTokens. param is "messages" or "prompt".
func ContextLengthExceeded(param string, contextTokens, promptTokens, maxTokens int) *Error {
	return Invalid(param, "context_length_exceeded",
		"This model's maximum context length is %d tokens. However, you requested %d tokens (%d in the %s, %d in the completion). "+
			"Please reduce the length of the %s or completion.",
		contextTokens, promptTokens+maxTokens, promptTokens, param, maxTokens, param)
}

// InvalidAPIKey is the 401 for a missing or wrong key.
func InvalidAPIKey() *Error {
	return &Error{Status: 401, Type: TypeInvalidRequest, Code: "invalid_api_key",
		Message: "Incorrect or missing API key. Send one that this server was started with as 'Authorization: Bearer KEY'."}
}

// NotFound is the 404 for a path that no route has.
func NotFound() *Error {
	return &Error{Status: 404, Type: TypeInvalidRequest, Code: "unknown_url",
		Message: "Unknown request URL. The routes of this server are listed in its documentation."}
}

// MethodNotAllowed is the 405 for a known path with another method.
func MethodNotAllowed(allowed string) *Error {
	return &Error{Status: 405, Type: TypeInvalidRequest, Code: "method_not_allowed",
		Message: "This URL does not accept the request's method. Use " + allowed + "."}
}

// BodyTooLarge is the 413 for a body of more than limitBytes; 0 = the limit is not said.
func BodyTooLarge(limitBytes int) *Error {
	message := "The request body is too large."
	if limitBytes > 0 {
		message = fmt.Sprintf("The request body is larger than %d bytes.", limitBytes)
	}
	return &Error{Status: 413, Type: TypeInvalidRequest, Code: "request_too_large", Message: message}
}

// RateLimited is the 429 for a full queue; the server adds Retry-After.
func RateLimited(message string) *Error {
	return &Error{Status: 429, Type: TypeRateLimit, Code: "rate_limit_exceeded", Message: message}
}

// Unavailable is the 503 of a server that is loading, draining or out of device memory.
func Unavailable(message string) *Error {
	return &Error{Status: 503, Type: TypeServer, Code: "service_unavailable", Message: message}
}

// Internal is the 500 that tells a client nothing but the id under which the log explains it.
func Internal(requestID string) *Error {
	return &Error{Status: 500, Type: TypeServer, Code: "internal_error",
		Message: "The server had an error while processing your request. Its log has the reason under request id " + requestID + "."}
}

// clip bounds text of a client that is repeated to it.
func clip(s string) string {
	const maxBytes = 64
	if len(s) > maxBytes {
		s = s[:maxBytes] + "..."
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
