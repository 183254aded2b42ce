package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"astro/openai"
)

// maxEventBytes bounds one event of a stream.
const maxEventBytes = 4 << 20

// Stream is an answer that comes as server-sent events. It is used by one goroutine.
type Stream struct {
	ctx    context.Context
	cancel context.CancelFunc
	body   io.ReadCloser
	lines  *bufio.Reader
	event  []byte // reused
	left   int    // bytes that the stream may still have
}

// EventError is an error object that came as an event: the request failed after its answer had begun.
type EventError struct{ Cause *openai.Error }

// Error repeats what the server said.
func (e *EventError) Error() string { return "the stream ended with an error: " + e.Cause.Error() }

// Unwrap returns the object.
func (e *EventError) Unwrap() error { return e.Cause }

// Stream posts body, a JSON request with "stream": true, and returns its events. It is not tried again: half of the answer may have
// been used by then. Close it.
func (c *Client) Stream(ctx context.Context, path string, body []byte) (*Stream, error) {
	ctx, cancel := c.limited(ctx)
	answer, err := c.send(ctx, http.MethodPost, path, body, openai.EventType)
	if err != nil {
		cancel()
		return nil, err
	}
	if kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); kind != openai.EventType {
		answer.Body.Close()
		cancel()
		return nil, fmt.Errorf("the server answered with %q, not with an event stream: is this an OpenAI-compatible server?", answer.Header.Get("Content-Type"))
	}
	return &Stream{ctx: ctx, cancel: cancel, body: answer.Body, lines: bufio.NewReaderSize(answer.Body, 16<<10), left: maxAnswerBytes}, nil
}

// Close frees the connection. A stream that has not ended is told so.
func (s *Stream) Close() error {
	s.cancel()
	return s.body.Close()
}

// Next is the data of the next event, valid until the next call. After [DONE] it is io.EOF. A stream that ends without, or breaks, is
// a BrokenError; an error object is an EventError.
func (s *Stream) Next() ([]byte, error) {
	data, err := s.next()
	if err != nil {
		return nil, err
	}
	if bytes.Equal(data, []byte("[DONE]")) {
		s.drain()
		return nil, io.EOF
	}
	if failure := eventError(data); failure != nil {
		return nil, failure
	}
	return data, nil
}

// drain reads the end of the body, which is there already as a rule, so that the connection can be used again.
func (s *Stream) drain() {
	const patience = 100 * time.Millisecond
	defer time.AfterFunc(patience, s.cancel).Stop()
	io.Copy(io.Discard, io.LimitReader(s.lines, 1<<10))
}

// next reads lines until an empty one ends an event with data. Comments and other fields are passed over.
func (s *Stream) next() ([]byte, error) {
	s.event = s.event[:0]
	for lines := 0; ; {
		start := len(s.event)
		if err := s.appendLine(); err != nil {
			return nil, err
		}
		line := s.event[start:]
		if len(line) == 0 && lines > 0 {
			return s.event, nil
		}
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			s.event = s.event[:start]
			continue
		}
		if lines++; lines > 1 {
			s.event = append(s.event[:start], '\n')
			start++
		}
		s.event = append(s.event[:start], bytes.TrimPrefix(data, []byte(" "))...)
	}
}

// appendLine adds the next line to event, without its end.
func (s *Stream) appendLine() error {
	for {
		piece, err := s.lines.ReadSlice('\n')
		s.event, s.left = append(s.event, piece...), s.left-len(piece)
		switch {
		case s.left < 0 || len(s.event) > maxEventBytes:
			return &BrokenError{fmt.Errorf("the stream is longer than %d bytes, or an event than %d", maxAnswerBytes, maxEventBytes)}
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return &BrokenError{because(s.ctx, errors.New("the stream ended without [DONE]: the server went away"))}
		case err != nil:
			return &BrokenError{fmt.Errorf("read the stream: %w", because(s.ctx, err))}
		}
		s.event = bytes.TrimSuffix(s.event[:len(s.event)-1], []byte("\r"))
		return nil
	}
}

// eventError is the error that an event carries, or nil. Error objects are told by their beginning, so that chunks are not parsed twice.
func eventError(data []byte) error {
	const beginBytes = 32
	if !bytes.Contains(data[:min(len(data), beginBytes)], []byte(`"error"`)) {
		return nil
	}
	if object := parseError(data); object.Message != "" {
		return &EventError{object}
	}
	return nil
}
