// Package prose is the model that rewrites traces: a client of any OpenAI-compatible server, our own or another, with retries; a
// journal of its replies, so that a run that was stopped asks nothing twice; and a guard that stops a run whose server is gone.
package prose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"astro/openai"
	"astro/training/linearize"
)

// maxReplyBytes bounds the body of one reply.
const maxReplyBytes = 4 << 20

// Client asks one server over POST /v1/chat/completions.
type Client struct {
	URL   string // such as http://127.0.0.1:8080, with or without /v1 at the end
	Model string
	Key   string        // "" = none is sent
	Limit time.Duration // of one try
	Tries int           // of one request that may succeed later: the connection breaks, the server is busy or fails
	Pause time.Duration // before the second try; it doubles from there on, up to a minute, and varies at random
	HTTP  *http.Client
}

// NewClient is a client with the usual limits for some requests at a time.
func NewClient(url, model, key string, concurrency int) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = concurrency, concurrency
	return &Client{URL: url, Model: model, Key: key, Limit: 10 * time.Minute, Tries: 8, Pause: 500 * time.Millisecond,
		HTTP: &http.Client{Transport: transport}}
}

// HopelessError is a refusal that every other request would get as well: a wrong key, address or model.
type HopelessError struct{ error }

// Unwrap returns the cause.
func (e *HopelessError) Unwrap() error { return e.error }

// again is a failure after which another try may succeed.
type again struct {
	error
	after time.Duration // as the server asks; 0 = it does not
}

// Unwrap returns the cause.
func (e *again) Unwrap() error { return e.error }

// Complete asks for one reply.
func (c *Client) Complete(ctx context.Context, r linearize.Request) (string, error) {
	body, err := json.Marshal(struct {
		Model       string           `json:"model"`
		Messages    []openai.Message `json:"messages"`
		Temperature float64          `json:"temperature"`
		MaxTokens   int              `json:"max_tokens"`
		Seed        int64            `json:"seed"`
	}{c.Model, []openai.Message{{Role: "user", Content: r.Prompt}}, r.Temperature, r.MaxTokens, int64(r.Seed >> 33)}) // 31 bits: all servers take them
	if err != nil {
		return "", fmt.Errorf("encode the request: %w", err)
	}
	for n := 1; ; n++ {
		reply, err := c.try(ctx, body)
		var later *again
		if err == nil || ctx.Err() != nil || !errors.As(err, &later) {
			return reply, err
		}
		if n >= c.Tries {
			return "", fmt.Errorf("given up after %d tries: %w", n, err)
		}
		if err := wait(ctx, max(later.after, c.backoff(n))); err != nil {
			return "", err
		}
	}
}

// longestPause bounds every wait between two tries, whatever a server asks for.
const longestPause = time.Minute

func (c *Client) backoff(n int) time.Duration {
	return time.Duration(rand.Float64() * float64(min(longestPause, c.Pause<<min(n-1, 20))))
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(min(d, longestPause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// try sends the request once.
func (c *Client) try(ctx context.Context, body []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Limit)
	defer cancel()
	url := strings.TrimSuffix(strings.TrimRight(c.URL, "/"), "/v1") + "/v1/chat/completions"
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", &HopelessError{fmt.Errorf("bad address %q: %w", c.URL, err)}
	}
	q.Header.Set("Content-Type", openai.JSONType)
	if c.Key != "" {
		q.Header.Set("Authorization", "Bearer "+c.Key)
	}
	answer, err := c.HTTP.Do(q)
	if err != nil {
		return "", &again{error: fmt.Errorf("is a server running there? %w", err)}
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxReplyBytes+1))
	switch {
	case err != nil:
		return "", &again{error: fmt.Errorf("read the reply of %s: %w", url, err)}
	case len(data) > maxReplyBytes:
		return "", fmt.Errorf("the reply of %s is longer than %d bytes", url, maxReplyBytes)
	case answer.StatusCode != http.StatusOK:
		return "", refusal(answer, data)
	}
	return parse(data)
}

// refusal is the error of an answer that is not 200.
func refusal(answer *http.Response, data []byte) error {
	said := strings.ToValidUTF8(string(data[:min(len(data), 300)]), "\uFFFD")
	if object := new(openai.Error); object.UnmarshalJSON(data) == nil && object.Message != "" {
		said = object.Message
	}
	err := fmt.Errorf("the server answered %s: %s", answer.Status, said)
	switch code := answer.StatusCode; {
	case code == http.StatusRequestTimeout || code == http.StatusTooEarly || code == http.StatusTooManyRequests || code >= 500 && code != http.StatusNotImplemented:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return &again{err, time.Duration(max(0, min(seconds, 3600))) * time.Second}
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusNotFound || code == http.StatusMethodNotAllowed:
		return &HopelessError{err}
	}
	return err
}

// parse reads a chat completion. A reply that was cut off at its limit is an error: half a step is none.
func parse(data []byte) (string, error) {
	var body struct {
		Choices []struct {
			Message struct {
				Content *string `json:"content"`
			} `json:"message"`
			FinishReason string `json:"finish_reason"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return "", &again{error: fmt.Errorf("the reply is no chat completion: %w", err)}
	}
	if len(body.Choices) != 1 || body.Choices[0].Message.Content == nil {
		return "", fmt.Errorf("the reply has %d choices, or no text; want one: is this an OpenAI-compatible server?", len(body.Choices))
	}
	if body.Choices[0].FinishReason == "length" {
		return "", nil // whoever asked sees that nothing usable was said, and asks again
	}
	return *body.Choices[0].Message.Content, nil
}
