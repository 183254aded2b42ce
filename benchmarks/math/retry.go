package math

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"astro/openai"
)

// Retry says how often and after which pauses a request is sent again. A pause is what the server asks for in Retry-After,
// or else a random part of a bound that doubles with each try from Base up to Cap; the random part keeps many waiting clients
// from coming back at one moment.
type Retry struct {
	Tries      int           // in all; at least 1
	Base, Cap  time.Duration // bound of the first pause, and of any
	RetryAfter time.Duration // longest wait that a server may ask for; past it the request fails

	OnRetry func(err error, wait time.Duration) // told before each pause, by many goroutines; nil = nobody

	sleep  func(context.Context, time.Duration) error // nil = by the clock
	jitter func() float64                             // nil = uniform in [0, 1)
}

// DefaultRetry waits about five minutes in all for a server that is away.
func DefaultRetry() Retry {
	return Retry{Tries: 12, Base: 500 * time.Millisecond, Cap: time.Minute, RetryAfter: 10 * time.Minute}
}

// do calls try until it succeeds, fails for good, or has been called Tries times.
func (r Retry) do(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		if err == nil || ctx.Err() != nil {
			return err
		}
		wait, again := r.pause(err, n)
		if !again {
			return err
		}
		if n >= r.Tries {
			return fmt.Errorf("given up after %d tries: %w", n, err)
		}
		if r.OnRetry != nil {
			r.OnRetry(err, wait)
		}
		if err := r.wait(ctx, wait); err != nil {
			return err
		}
	}
}

// pause is the wait before try n+1, and whether there is any use in one.
func (r Retry) pause(err error, n int) (time.Duration, bool) {
	var status *statusError
	var broken *brokenError
	switch {
	case errors.As(err, &broken):
		return r.backoff(n), true
	case !errors.As(err, &status) || !status.transient():
		return 0, false
	case status.retryAfter > r.RetryAfter:
		return 0, false
	case status.retryAfter > 0:
		return status.retryAfter + time.Duration(r.random()*float64(r.Base)), true
	}
	return r.backoff(n), true
}

// backoff is a random pause of at most Base doubled n-1 times, and at most Cap.
func (r Retry) backoff(n int) time.Duration {
	bound := r.Cap
	if n <= 30 {
		bound = min(bound, r.Base<<(n-1))
	}
	return time.Duration(r.random() * float64(bound))
}

func (r Retry) random() float64 {
	if r.jitter != nil {
		return r.jitter()
	}
	return rand.Float64()
}

func (r Retry) wait(ctx context.Context, d time.Duration) error {
	if r.sleep != nil {
		return r.sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// brokenError is a connection that failed, or an answer that was cut off: another try may succeed.
type brokenError struct{ error }

// Unwrap returns the cause.
func (e *brokenError) Unwrap() error { return e.error }

// statusError is an answer other than 200.
type statusError struct {
	status     int
	retryAfter time.Duration // 0 = not said
	code       string        // of the OpenAI error object
	message    string
}

func newStatusError(answer *http.Response, data []byte) *statusError {
	e := &statusError{status: answer.StatusCode, retryAfter: parseRetryAfter(answer.Header.Get("Retry-After"), time.Now())}
	object := new(openai.Error)
	if err := object.UnmarshalJSON(data); err == nil {
		e.code, e.message = object.Code, object.Message
	}
	if e.message == "" {
		e.message = clip(strings.TrimSpace(string(data)))
	}
	return e
}

// Error names the status and repeats what the server said.
func (e *statusError) Error() string {
	return fmt.Sprintf("the server answered %d %s: %s", e.status, http.StatusText(e.status), e.message)
}

// transient says that the same request may succeed later.
func (e *statusError) transient() bool {
	switch e.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.status >= 500 && e.status != http.StatusNotImplemented
}

// tooLong says that the prompt does not fit the model's context. The code is OpenAI's; some servers only say it in words.
func (e *statusError) tooLong() bool {
	said := strings.Contains(e.message, "maximum context length") || strings.Contains(e.message, "context size")
	return e.status >= 400 && e.status < 500 && (e.code == "context_length_exceeded" || said)
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
