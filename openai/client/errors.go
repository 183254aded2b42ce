package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"astro/openai"
)

// BrokenError is a connection that failed, or an answer that was cut off: another try may succeed.
type BrokenError struct{ error }

// Unwrap returns the cause.
func (e *BrokenError) Unwrap() error { return e.error }

// TimeoutError is an answer that was not whole within a limit; it stands inside a BrokenError.
type TimeoutError struct{ Limit time.Duration }

// Error names the limit.
func (e *TimeoutError) Error() string { return fmt.Sprintf("no whole answer within %s", e.Limit) }

// addressError is a URL that cannot be asked.
type addressError struct{ error }

// Unwrap returns the cause.
func (e *addressError) Unwrap() error { return e.error }

// StatusError is an answer other than 200.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // 0 = not said
	Code       string        // of the OpenAI error object
	Message    string        // of the object, or the beginning of the body
}

func newStatusError(answer *http.Response, data []byte) *StatusError {
	e := &StatusError{Status: answer.StatusCode, RetryAfter: parseRetryAfter(answer.Header.Get("Retry-After"), time.Now())}
	object := parseError(data)
	if e.Code, e.Message = object.Code, object.Message; e.Message == "" {
		e.Message = clip(strings.TrimSpace(string(data)))
	}
	return e
}

// parseError reads an error object as servers write it: OpenAI's, with a number for a code, or without the object around it. Message
// is empty where data is none.
func parseError(data []byte) *openai.Error {
	type fields struct {
		Object, Message, Type string
		Code                  any
	}
	var body struct {
		fields
		Error fields
	}
	if json.Unmarshal(data, &body) != nil {
		return new(openai.Error)
	}
	said := body.Error
	if body.Object == "error" {
		said = body.fields
	}
	code, _ := said.Code.(string)
	return &openai.Error{Message: clip(said.Message), Type: said.Type, Code: code}
}

// Error names the status and repeats what the server said.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answered %d %s: %s", e.Status, http.StatusText(e.Status), e.Message)
}

// Transient says that the same request may succeed later.
func (e *StatusError) Transient() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.Status >= 500 && e.Status != http.StatusNotImplemented
}

// TooLong says that the prompt does not fit the model's context. The code is OpenAI's; some servers only say it in words.
func (e *StatusError) TooLong() bool {
	said := strings.Contains(e.Message, "maximum context length") || strings.Contains(e.Message, "context size")
	return e.Status >= 400 && e.Status < 500 && (e.Code == "context_length_exceeded" || said)
}

// parseRetryAfter reads seconds or a date; 0 = none that makes sense.
func parseRetryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		const day = 86400
		if !(seconds > 0) { // NaN too
			return 0
		}
		return time.Duration(min(day, seconds) * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// clip bounds text of a server that is repeated in an error.
func clip(s string) string {
	const maxBytes = 300
	if len(s) > maxBytes {
		s = s[:maxBytes] + "..."
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
