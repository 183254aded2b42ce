package reward

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrRemote is wrapped by every failure of a Remote: the score of the item is unknown, which is not a score of zero.
var ErrRemote = errors.New("remote grader failed")

// Limits of a Remote.
const (
	MaxRemoteReplyBytes     = 64 << 10
	MaxRemoteDeadlineMillis = 600_000
)

// Poster sends a JSON body to a URL and returns the body of a reply with status 200. It gives up after the deadline, and
// reads no more than MaxRemoteReplyBytes+1 bytes. This package opens no connection itself: the caller brings the client.
type Poster interface {
	Post(url string, body []byte, deadlineMillis int) (reply []byte, err error)
}

// Remote asks a service that the operator configured. The request is {"problem", "gold", "response"}, the reply
// {"score": 0 to 1, "reason": "..."}.
type Remote struct {
	URL            string
	DeadlineMillis int
	Client         Poster
}

type remoteRequest struct {
	Problem  string `json:"problem"`
	Gold     string `json:"gold"`
	Response string `json:"response"`
}

type remoteReply struct {
	Score  *float64 `json:"score"`
	Reason Reason   `json:"reason"`
}

// Grade is the score of the service. Everything else is an error that wraps ErrRemote.
func (r Remote) Grade(item Item) (Grade, error) {
	switch {
	case r.URL == "" || r.Client == nil || r.DeadlineMillis < 1 || r.DeadlineMillis > MaxRemoteDeadlineMillis:
		return Grade{}, fmt.Errorf("%w: it needs a URL, a client and a deadline of 1 to %d ms", ErrRemote, MaxRemoteDeadlineMillis)
	case len(item.Response) > MaxResponseBytes:
		return Grade{Reason: ReasonTooLong}, nil
	}
	body, err := json.Marshal(remoteRequest(item))
	if err != nil {
		return Grade{}, fmt.Errorf("%w: %w", ErrRemote, err)
	}
	text, err := r.Client.Post(r.URL, body, r.DeadlineMillis)
	if err != nil {
		return Grade{}, fmt.Errorf("%w: %s: %w", ErrRemote, r.URL, err)
	}
	if len(text) > MaxRemoteReplyBytes {
		return Grade{}, fmt.Errorf("%w: %s: the reply has more than %d bytes", ErrRemote, r.URL, MaxRemoteReplyBytes)
	}
	var reply remoteReply
	if err := json.Unmarshal(text, &reply); err != nil {
		return Grade{}, fmt.Errorf("%w: %s: %w", ErrRemote, r.URL, err)
	}
	if reply.Score == nil || !(*reply.Score >= 0 && *reply.Score <= 1) {
		return Grade{}, fmt.Errorf("%w: %s: the reply has no score from 0 to 1: %.100s", ErrRemote, r.URL, text)
	}
	if reply.Reason == "" {
		reply.Reason = right(*reply.Score == 1, "").Reason
	}
	return Grade{Score: *reply.Score, Reason: reply.Reason}, nil
}
