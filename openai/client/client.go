// Package client speaks to any server with the OpenAI API, ours or another: requests with retries, answers and event streams within
// limits, and errors that keep what the server said. Benchmarks and recipes stand on it, so that they fail and wait alike.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"astro/openai"
)

// maxAnswerBytes bounds the body of one answer, and a whole event stream.
const maxAnswerBytes = 64 << 20

// Client asks one server. It may be used by many goroutines.
type Client struct {
	URL   string        // such as http://127.0.0.1:8080, with or without /v1 at the end
	Key   string        // "" = none is sent
	Limit time.Duration // of one try, from the request to the last byte of the answer; 0 = none
	Retry Retry         // of Ask, Get and what stands on them; streams are never asked for twice
	HTTP  *http.Client
}

// New is a client for a number of requests in flight at one time, with the usual retries and at most an hour for one try.
func New(url, key string, concurrency int) Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = concurrency, concurrency
	transport.DisableCompression = true // a compressed event stream comes in lumps
	return Client{URL: url, Key: key, Limit: time.Hour, Retry: DefaultRetry(), HTTP: &http.Client{Transport: transport}}
}

// Ask posts in as JSON to a path such as /v1/completions and reads the answer into out, trying again as Retry says. An answer that
// is no JSON counts as cut off.
func (c *Client) Ask(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return c.retried(ctx, http.MethodPost, path, body, out)
}

// Get reads the JSON at a path into out, trying again as Retry says; nil = only the status matters.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.retried(ctx, http.MethodGet, path, nil, out)
}

func (c *Client) retried(ctx context.Context, method, path string, body []byte, out any) error {
	return c.Retry.do(ctx, func() error {
		data, err := c.try(ctx, method, path, body)
		if err != nil || out == nil {
			return err
		}
		if err := json.Unmarshal(data, out); err != nil {
			return &BrokenError{fmt.Errorf("the answer of %s%s is not the JSON of one: %w", c.base(), path, err)}
		}
		return nil
	})
}

// try sends a request once and reads the whole answer.
func (c *Client) try(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := c.limited(ctx)
	defer cancel()
	answer, err := c.send(ctx, method, path, body, openai.JSONType)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return read(ctx, answer.Body, c.base()+path)
}

// limited ends ctx with a reason after Limit.
func (c *Client) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.Limit <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, c.Limit, &TimeoutError{c.Limit})
}

// send returns the answer where it is 200, with its body still to be read and closed.
func (c *Client) send(ctx context.Context, method, path string, body []byte, accept string) (*http.Response, error) {
	url := c.base() + path
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, &addressError{fmt.Errorf("bad address %q: %w", c.URL, err)}
	}
	request.Header.Set("Accept", accept)
	if body != nil {
		request.Header.Set("Content-Type", openai.JSONType)
	}
	if c.Key != "" {
		request.Header.Set("Authorization", "Bearer "+c.Key)
	}
	answer, err := c.HTTP.Do(request)
	if err != nil {
		return nil, &BrokenError{fmt.Errorf("ask %s: %w", url, because(ctx, err))}
	}
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	defer answer.Body.Close()
	data, err := read(ctx, answer.Body, url)
	if err != nil {
		data = nil // the status alone says enough
	}
	return nil, newStatusError(answer, data)
}

// base is the address without /v1.
func (c *Client) base() string {
	return strings.TrimSuffix(strings.TrimRight(c.URL, "/"), "/v1")
}

// read reads a whole body.
func read(ctx context.Context, body io.Reader, url string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, maxAnswerBytes+1))
	if err != nil {
		return nil, &BrokenError{fmt.Errorf("read the answer of %s: %w", url, because(ctx, err))}
	}
	if len(data) > maxAnswerBytes {
		return nil, fmt.Errorf("the answer of %s is longer than %d bytes", url, maxAnswerBytes)
	}
	return data, nil
}

// because prefers the reason for which a context ended.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// FirstModel is the first model that the server lists.
func (c *Client) FirstModel(ctx context.Context) (string, error) {
	var list openai.ModelList
	if err := c.Get(ctx, "/v1/models", &list); err != nil {
		return "", fmt.Errorf("ask %s for its models: %w; name one with --model", c.URL, err)
	}
	if len(list.Data) == 0 {
		return "", fmt.Errorf("the server at %s lists no model: name one with --model", c.URL)
	}
	return list.Data[0].ID, nil
}

// CheckURL says what is wrong with an address that a user gave.
func CheckURL(url string) error {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return fmt.Errorf("address %q: want one like http://127.0.0.1:8080", url)
	}
	return nil
}

// Hopeless says that every other request to this server would fail in the same way: a wrong address, key, path or model.
func Hopeless(err error) bool {
	var address *addressError
	var status *StatusError
	if errors.As(err, &address) {
		return true
	}
	if !errors.As(err, &status) {
		return false
	}
	switch status.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		return true
	}
	return false
}
