package engine

import (
	"errors"
	"fmt"
)

// What Submit and Stream may answer. The server turns each into one status: 400, 429, 503 or 500.
var (
	ErrInvalidRequest = errors.New("invalid request")                              // a field is out of range; the wrapping error names it
	ErrPromptTooLong  = errors.New("prompt too long")                              // see PromptTooLongError
	ErrQueueFull      = errors.New("queue full: try again when requests are done") // too many waiting requests or tokens
	ErrUnknownVersion = errors.New("policy version is not loaded")                 // neither current nor in use
	ErrVersion        = errors.New("policy versions only grow")                    // Swap to a version that is not new
	ErrDraining       = errors.New("the engine is draining: it takes no new requests")
	ErrClosed         = errors.New("the engine is closed")
	ErrStreamClosed   = errors.New("the stream is closed")
)

// PromptTooLongError refuses a prompt that can never fit; it matches ErrPromptTooLong.
type PromptTooLongError struct {
	PromptTokens int // of the refused prompt
	LimitTokens  int // the longest prompt that this Request could have
}

// Error implements error with both numbers.
func (e *PromptTooLongError) Error() string {
	return fmt.Sprintf("prompt too long: it has %d tokens, at most %d fit; shorten it", e.PromptTokens, e.LimitTokens)
}

// Is makes errors.Is(err, ErrPromptTooLong) true.
func (e *PromptTooLongError) Is(target error) bool { return target == ErrPromptTooLong }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidRequest, fmt.Sprintf(format, args...))
}
