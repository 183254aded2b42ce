package load

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"astro/openai/client"
)

// Kind says how a request ended.
type Kind string

// Ends of a request. All but OK are errors.
const (
	OK           Kind = "ok"
	RateLimited  Kind = "rate_limited"  // status 429
	ServerError  Kind = "server_error"  // status 5xx
	Refused      Kind = "refused"       // another status than 200
	NoConnection Kind = "connection"    // no answer began
	BrokenStream Kind = "broken_stream" // an answer began and did not end as it should
	ErrorEvent   Kind = "error_event"   // an error object came within the stream
	Timeout      Kind = "timeout"       // no whole answer within the client's limit
	Empty        Kind = "empty"         // an answer without a token
	NotSent      Kind = "not_sent"      // an arrival while MaxConcurrency requests were in flight
)

// ErrorKinds are all that a report counts, in its order.
var ErrorKinds = []Kind{RateLimited, ServerError, Refused, NoConnection, BrokenStream, ErrorEvent, Timeout, Empty, NotSent}

// Counted says where the number of tokens of an answer is from, best first.
type Counted string

// Sources of token counts. An event may hold several tokens: ByTokenIDs and ByUsage know how many each has; ByEvents takes each event
// with text as one.
const (
	ByTokenIDs Counted = "token_ids"
	ByUsage    Counted = "usage_in_events"
	ByEvents   Counted = "events"
)

// Sample is what one request came to. Times are since the clock's beginning.
type Sample struct {
	Kind         Kind
	Err          error         // nil where OK
	Start        time.Duration // when it was sent or, in an open loop, when it arrived
	First, Last  time.Duration // of its tokens
	PromptTokens int           // as the server says; 0 = it does not
	Tokens       int           // of the answer, by its usage, else as counted
	Counted      Counted
	Gaps         []time.Duration // one for each token after the first event: an event of k tokens has k times a k-th of its gap
}

// mark is one event: when it came, and where its bytes end.
type mark struct {
	at  time.Duration
	end int
}

// recorder takes one answer after the other; its slices are used again.
type recorder struct {
	elapsed func() time.Duration
	marks   []mark
	raw     []byte
	failed  error // of the request before, in a closed loop
}

// run sends a request, keeps what comes, and reads it when all is there.
func (r *recorder) run(ctx context.Context, a *asker, body []byte, start time.Duration) Sample {
	r.marks, r.raw = r.marks[:0], r.raw[:0]
	stream, err := a.client.Stream(ctx, a.config.path(), body)
	began := err == nil
	if began {
		err = endOf(r.take(stream))
		stream.Close()
	}
	s := r.sample(start)
	if err != nil {
		s.Kind, s.Err = kindOf(err, began), err
	}
	return s
}

// take is the hot loop: nothing is allocated once the slices have their size.
func (r *recorder) take(stream *client.Stream) error {
	for {
		data, err := stream.Next()
		if err != nil {
			return err
		}
		r.raw = append(r.raw, data...)
		r.marks = append(r.marks, mark{r.elapsed(), len(r.raw)})
	}
}

// endOf is nil for the end that a stream should have.
func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// kindOf names an error.
func kindOf(err error, began bool) Kind {
	var late *client.TimeoutError
	var status *client.StatusError
	var event *client.EventError
	var broken *client.BrokenError
	switch {
	case errors.As(err, &late):
		return Timeout
	case errors.As(err, &status) && status.Status == 429:
		return RateLimited
	case errors.As(err, &status) && status.Status >= 500:
		return ServerError
	case errors.As(err, &status):
		return Refused
	case errors.As(err, &event):
		return ErrorEvent
	case errors.As(err, &broken) && !began:
		return NoConnection
	}
	return BrokenStream
}

// usage is the part of it that is read.
type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
}

// event is what is read of a chunk of either API.
type event struct {
	Choices []struct {
		Text  string `json:"text"`
		Delta struct {
			Content          string `json:"content"`
			ReasoningContent string `json:"reasoning_content"`
			Reasoning        string `json:"reasoning"`
		} `json:"delta"`
		TokenIDs []int32 `json:"token_ids"`
	} `json:"choices"`
	Usage *usage `json:"usage"`
}

// hasText says that the event shows something of a token.
func (e *event) hasText() bool {
	if len(e.Choices) == 0 {
		return false
	}
	c := &e.Choices[0]
	return c.Text != "" || c.Delta.Content != "" || c.Delta.ReasoningContent != "" || c.Delta.Reasoning != ""
}

// sample reads the events that were kept.
func (r *recorder) sample(start time.Duration) Sample {
	s := Sample{Kind: OK, Start: start, Counted: ByEvents}
	events, begin := make([]event, len(r.marks)), 0
	for i, m := range r.marks {
		if err := json.Unmarshal(r.raw[begin:m.end], &events[i]); err != nil {
			s.Kind, s.Err = BrokenStream, err
			return s
		}
		begin = m.end
	}
	s.Counted = source(events)
	counted, before := 0, 0
	for i, e := range events {
		k := min(e.tokens(s.Counted, before), MaxAnswerTokens-counted) // whatever a server says
		if e.Usage != nil {
			before = max(before, e.Usage.CompletionTokens)
			s.PromptTokens = max(0, e.Usage.PromptTokens)
		}
		s.arrive(r.marks[i].at, k, counted == 0)
		counted += k
	}
	if s.Tokens = counted; before > 0 && s.Counted != ByTokenIDs {
		s.Tokens = min(before, MaxAnswerTokens)
	}
	if counted == 0 {
		s.Kind, s.Err = Empty, errors.New("the answer has no token")
	}
	return s
}

// source is the best count that the events allow. Usage counts them where it comes with events that have text, not only at the end.
func source(events []event) Counted {
	best := ByEvents
	for _, e := range events {
		if len(e.Choices) > 0 && len(e.Choices[0].TokenIDs) > 0 {
			return ByTokenIDs
		}
		if e.Usage != nil && e.hasText() {
			best = ByUsage
		}
	}
	return best
}

// tokens is how many an event has, of which before were there by the usage of those before it.
func (e *event) tokens(by Counted, before int) int {
	switch {
	case by == ByTokenIDs && len(e.Choices) > 0:
		return len(e.Choices[0].TokenIDs)
	case by == ByUsage && e.Usage != nil:
		return max(0, e.Usage.CompletionTokens-before)
	case by == ByEvents && e.hasText():
		return 1
	}
	return 0
}

// arrive notes k tokens.
func (s *Sample) arrive(at time.Duration, k int, first bool) {
	switch {
	case k == 0:
		return
	case first:
		s.First = at
	default:
		for range k {
			s.Gaps = append(s.Gaps, (at-s.Last)/time.Duration(k))
		}
	}
	s.Last = at
}
