package openai

import "fmt"

// ExpiredAPIKey is the 401 for a key that was good once.
func ExpiredAPIKey() *Error {
	return &Error{Status: 401, Type: TypeInvalidRequest, Code: "expired_api_key", Message: "This API key has expired. Ask the server's operator for a new one."}
}

// InvalidFeedbackToken is the 401 for a feedback token that this server did not make, or whose API key is worth nothing any more.
func InvalidFeedbackToken() *Error {
	return &Error{Status: 401, Type: TypeInvalidRequest, Code: "invalid_feedback_token",
		Message: "This feedback token is not valid here. Send the 'x-feedback-token' of the answer as it came, to POST /v1/feedback alone."}
}

// ExpiredFeedbackToken is the 401 for one whose time is over.
func ExpiredFeedbackToken() *Error {
	return &Error{Status: 401, Type: TypeInvalidRequest, Code: "expired_feedback_token", Message: "This feedback token has expired. The answer can only be rated with an API key now."}
}

// FeedbackTokenUsed is the 409 for another feedback with a token.
func FeedbackTokenUsed() *Error {
	return &Error{Status: 409, Type: TypeInvalidRequest, Code: "feedback_conflict", Message: "With this feedback token something else was said already. It is good for one feedback."}
}

// InsufficientScope is the 403 for a good key that may not do this; param may name the parameter that needs the scope.
func InsufficientScope(scope, param string) *Error {
	message := fmt.Sprintf("This API key does not have the scope '%s' that this request needs.", scope)
	if param != "" {
		message = fmt.Sprintf("This value of '%s' needs an API key with the scope '%s'.", param, scope)
	}
	return &Error{Status: 403, Type: TypeInvalidRequest, Param: param, Code: "insufficient_scope", Message: message}
}

// TooManyAtOnce is the 429 for a key that has limit requests under way.
func TooManyAtOnce(limit int) *Error {
	return RateLimited(fmt.Sprintf("This API key may have %d requests under way at one time. Please wait until one has ended.", limit))
}

// RateOverKey is the 429 for a key that has used what it may use in a minute of "requests" or "tokens".
func RateOverKey(what string, limit, retryAfterSeconds int) *Error {
	e := RateLimited(fmt.Sprintf("This API key may use %d %s per minute. Please try again in %d s.", limit, what, retryAfterSeconds))
	e.RetryAfterSeconds = retryAfterSeconds
	return e
}

// CostOverKey is the 400 for a request that may use more tokens than its key may use in a minute: waiting would not help.
func CostOverKey(costTokens int64, limit int) *Error {
	return Invalid("max_tokens", "request_above_quota", "This request may use %d tokens, and its API key may use %d per minute. "+
		"Please lower max_tokens, n or the prompt.", costTokens, limit)
}

// CostOverServer is the 400 for a request that may use more tokens than the server takes at once.
func CostOverServer(costTokens int64, limit int) *Error {
	return Invalid("max_tokens", "request_too_expensive", "This request may use %d tokens (prompts x n x (prompt + max_tokens)); "+
		"this server takes at most %d in one request. Please lower max_tokens, n or the number of prompts.", costTokens, limit)
}

// TimedOut is the 504 for a request that has not ended within the server's time limit. Sending it again would not help, unless the
// server was busy.
func TimedOut(seconds int) *Error {
	return &Error{Status: 504, Type: TypeServer, Code: "request_deadline_exceeded",
		Message: fmt.Sprintf("The request did not end within this server's limit of %d s. Please lower max_tokens, or stream to keep what there is.", seconds)}
}

// HostNotAllowed is the 403 for a Host header that the server does not answer to.
func HostNotAllowed() *Error {
	return &Error{Status: 403, Type: TypeInvalidRequest, Code: "host_not_allowed",
		Message: "This server does not answer to this host name. Its operator can allow it with --allowed-host."}
}

// OriginNotAllowed is the 403 for a request of a web page that the server was not told of.
func OriginNotAllowed() *Error {
	return &Error{Status: 403, Type: TypeInvalidRequest, Code: "origin_not_allowed",
		Message: "This server does not answer to pages of this origin. Its operator can allow it with --cors-origin."}
}
