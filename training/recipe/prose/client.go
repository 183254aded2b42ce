// Package prose is the model that rewrites traces: a client of any OpenAI-compatible server, our own or another, with retries; a
// journal of its replies, so that a run that was stopped asks nothing twice; and a guard that stops a run whose server is gone.
package prose

import (
	"context"
	"errors"
	"net/http"
	"time"

	"astro/openai/client"
	"astro/training/linearize"
)

// longestPause bounds the wait between two tries where the server asks for none.
const longestPause = time.Minute

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
	return &Client{URL: url, Model: model, Key: key, Limit: 10 * time.Minute, Tries: 8, Pause: 500 * time.Millisecond,
		HTTP: client.New(url, key, concurrency).HTTP}
}

// HopelessError is a refusal that every other request would get as well: a wrong key, address or model.
type HopelessError struct{ error }

// Unwrap returns the cause.
func (e *HopelessError) Unwrap() error { return e.error }

// Complete asks for one reply. One that was cut off at its limit is empty: half a step is none, and whoever asked asks again.
func (c *Client) Complete(ctx context.Context, r linearize.Request) (string, error) {
	server := client.Client{URL: c.URL, Key: c.Key, Limit: c.Limit, HTTP: c.HTTP, Retry: client.DefaultRetry()}
	server.Retry.Tries, server.Retry.Base, server.Retry.Cap = c.Tries, c.Pause, longestPause
	seed := int64(r.Seed >> 33) // 31 bits: all servers take them
	reply, err := server.Chat(ctx, client.Query{Model: c.Model, Prompt: r.Prompt, Temperature: r.Temperature, MaxTokens: r.MaxTokens, Seed: seed})
	switch {
	case client.Hopeless(err):
		return "", &HopelessError{err}
	case err != nil:
		return "", err
	case reply.Finish == client.FinishLength:
		return "", nil
	case !reply.HasText:
		return "", errors.New("the reply has no text: does the server keep it apart as reasoning?")
	}
	return reply.Text, nil
}
