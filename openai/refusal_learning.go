package openai

import "fmt"

// Off is the 404 of routes that need a part which the server was started without.
func Off(code, message string) *Error {
	return &Error{Status: 404, Type: TypeInvalidRequest, Code: code, Message: message}
}

// UnknownCompletion is the 404 for a completion that is not stored, or belongs to another tenant: nobody learns which.
func UnknownCompletion() *Error {
	return Off("unknown_completion", "There is no stored completion with this id and choice. It may have been served to another tenant, with 'store' false, or not be finished.")
}

// UnknownFeedback is the same for a feedback.
func UnknownFeedback() *Error { return Off("unknown_feedback", "There is no feedback with this id.") }

// UnknownPolicy is the 404 for a version that there is not.
func UnknownPolicy() *Error {
	return Off("unknown_policy", "There is no policy of this version. GET /v1/policies lists them.")
}

// UnknownTree is the 404 for a search tree.
func UnknownTree() *Error { return Off("unknown_tree", "There is no search tree with this id.") }

// CompletionAborted is the 409 for feedback about an answer that was not finished.
func CompletionAborted() *Error {
	return &Error{Status: 409, Type: TypeInvalidRequest, Code: "completion_aborted", Message: "This completion was not finished, so that nothing can be said about it."}
}

// FeedbackConflict is the 409 for a vote that contradicts an earlier one of the same rater.
func FeedbackConflict(reason string) *Error {
	return &Error{Status: 409, Type: TypeInvalidRequest, Code: "feedback_conflict",
		Message: fmt.Sprintf("This rater has said something else: %s. Send 'supersede' to take that back, unless something was learned from it.", reason)}
}

// CompletionExpired is the 410 for a completion that is older than the server keeps them.
func CompletionExpired() *Error {
	return &Error{Status: 410, Type: TypeInvalidRequest, Code: "completion_expired", Message: "This completion has expired."}
}

// StorageUnavailable is the 503 of a store that cannot be read or written now.
func StorageUnavailable() *Error {
	return &Error{Status: 503, Type: TypeServer, Code: "storage_unavailable",
		Message: "The server cannot reach its store at present. Nothing was stored; please send the request again later."}
}

// InvalidGrader is the 400 for a grader that is written wrongly; why is a sentence for a client.
func InvalidGrader(param, why string) *Error {
	return Invalid(param, "invalid_grader", "Invalid '%s': %s.", param, why)
}

// GraderURLRefused is the 400 for an address in a grader.
func GraderURLRefused() *Error {
	return Invalid("grader", "grader_url_refused", "Invalid 'grader': a request names no address. The operator configures services; name one with {\"type\": \"http\", \"name\": ...}.")
}

// UnsupportedGrader is the 400 for a grader that this server does not have.
func UnsupportedGrader(reason string) *Error {
	return Invalid("grader", "unsupported_grader", "Unsupported 'grader': %s.", reason)
}

// GraderFailed is the 422 for a grader that has given no verdict: nothing is stored.
func GraderFailed(reason string) *Error {
	return &Error{Status: 422, Type: TypeInvalidRequest, Param: "grader", Code: "grader_failed",
		Message: fmt.Sprintf("The grader has given no verdict: %s. Nothing was stored.", reason)}
}

// PolicyState is the 409 for what cannot be done in the present state of a policy or of the loop.
func PolicyState(reason string) *Error {
	return &Error{Status: 409, Type: TypeInvalidRequest, Code: "policy_state", Message: fmt.Sprintf("This cannot be done now: %s.", reason)}
}

// SessionKeyBound is the 409 for a key that another session, or the server, has.
func SessionKeyBound() *Error {
	return &Error{Status: 409, Type: TypeInvalidRequest, Param: "api_key", Code: "session_key_bound",
		Message: "This key is in use already: by another session, which must be ended first, or as an API key of this server."}
}

// TooManySessions is the 429 for one session more than there may be.
func TooManySessions(limit, retryAfterSeconds int) *Error {
	e := RateLimited(fmt.Sprintf("%d sessions are open, which is as many as there may be. End some, or wait until they expire.", limit))
	e.Code, e.RetryAfterSeconds = "too_many_sessions", retryAfterSeconds
	return e
}

// SessionKeyRequired is the 403 for a key that no session has.
func SessionKeyRequired() *Error {
	return &Error{Status: 403, Type: TypeInvalidRequest, Code: "session_key_required",
		Message: "This request needs the key of a session. POST /rl/start_session gives one."}
}
