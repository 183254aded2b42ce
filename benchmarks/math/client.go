package math

import (
	"context"
	"errors"

	"astro/openai/client"
)

// Client asks one OpenAI-compatible server for a model's answers. It may be used by many goroutines.
type Client struct {
	client.Client
	Model string
}

// NewClient is a client for a number of requests in flight at one time, with the usual retries.
func NewClient(url, model, key string, concurrency int) *Client {
	return &Client{Client: client.New(url, key, concurrency), Model: model}
}

// FinishLength and FinishRefused are the finish reasons that this package treats apart; the second is that of a prompt which the
// server says does not fit.
const (
	FinishLength  = client.FinishLength
	FinishRefused = "refused"
)

// Ask gets an answer, trying again as Retry says. A prompt that is too long for the model is an answer too: it is refused, and will
// be next time.
func (c *Client) Ask(ctx context.Context, q client.Query) (client.Reply, error) {
	q.Model = c.Model
	reply, err := c.Chat(ctx, q)
	var status *client.StatusError
	if errors.As(err, &status) && status.TooLong() {
		return client.Reply{Finish: FinishRefused}, nil
	}
	return reply, err
}
