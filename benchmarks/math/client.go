package math

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

// maxAnswerBytes bounds the body of one answer.
const maxAnswerBytes = 64 << 20

// Client asks one OpenAI-compatible server. It may be used by many goroutines.
type Client struct {
	URL   string // such as http://127.0.0.1:8080, with or without /v1 at the end
	Model string
	Key   string        // "" = none is sent
	Limit time.Duration // of one try, from the request to the last byte of the answer; 0 = none
	Retry Retry
	HTTP  *http.Client
}

// NewClient is a client for a number of requests in flight at one time, with the usual retries.
func NewClient(url, model, key string, concurrency int) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = concurrency, concurrency
	return &Client{URL: url, Model: model, Key: key, Limit: time.Hour, Retry: DefaultRetry(), HTTP: &http.Client{Transport: transport}}
}

// Query is one question and how it is to be answered.
type Query struct {
	Prompt      string
	Temperature float64
	TopP        float64
	MaxTokens   int // 0 = the server's default
	Seed        int64
}

// Reply is one answer.
type Reply struct {
	Text         string
	Reasoning    string // what a server with a reasoning parser keeps out of Text
	Finish       string // stop, length, ...; refused where the server says that the prompt does not fit
	PromptTokens int
	Tokens       int // generated
}

// FinishLength and FinishRefused are the finish reasons that this package treats apart.
const (
	FinishLength  = "length"
	FinishRefused = "refused"
)

// Ask gets an answer, trying again as Retry says. A prompt that is too long for the model is an answer too: it is refused.
func (c *Client) Ask(ctx context.Context, q Query) (Reply, error) {
	body, err := json.Marshal(c.body(q))
	if err != nil {
		return Reply{}, fmt.Errorf("encode the request: %w", err)
	}
	var reply Reply
	err = c.Retry.do(ctx, func() error {
		var err error
		reply, err = c.try(ctx, body)
		return err
	})
	var status *statusError
	if errors.As(err, &status) && status.tooLong() {
		return Reply{Finish: FinishRefused}, nil
	}
	return reply, err
}

// body is the request on the wire.
func (c *Client) body(q Query) any {
	type request struct {
		Model       string           `json:"model"`
		Messages    []openai.Message `json:"messages"`
		Temperature float64          `json:"temperature"`
		TopP        float64          `json:"top_p,omitempty"`
		MaxTokens   int              `json:"max_tokens,omitempty"`
		Seed        int64            `json:"seed"`
	}
	return request{c.Model, []openai.Message{{Role: "user", Content: q.Prompt}}, q.Temperature, q.TopP, q.MaxTokens, q.Seed}
}

// chatURL is where the questions go.
func (c *Client) chatURL() string { return c.base() + "/v1/chat/completions" }

func (c *Client) base() string {
	return strings.TrimSuffix(strings.TrimRight(c.URL, "/"), "/v1")
}

// try sends the request once.
func (c *Client) try(ctx context.Context, body []byte) (Reply, error) {
	if c.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Limit, fmt.Errorf("no whole answer within %s", c.Limit))
		defer cancel()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.chatURL(), bytes.NewReader(body))
	if err != nil {
		return Reply{}, fmt.Errorf("bad address %q: %w", c.URL, err)
	}
	request.Header.Set("Content-Type", openai.JSONType)
	if c.Key != "" {
		request.Header.Set("Authorization", "Bearer "+c.Key)
	}
	answer, err := c.HTTP.Do(request)
	if err != nil {
		return Reply{}, &brokenError{fmt.Errorf("ask %s: %w", c.chatURL(), because(ctx, err))}
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes+1))
	if err != nil {
		return Reply{}, &brokenError{fmt.Errorf("read the answer of %s: %w", c.chatURL(), because(ctx, err))}
	}
	if len(data) > maxAnswerBytes {
		return Reply{}, fmt.Errorf("the answer of %s is longer than %d bytes", c.chatURL(), maxAnswerBytes)
	}
	if answer.StatusCode != http.StatusOK {
		return Reply{}, newStatusError(answer, data)
	}
	return parseReply(data)
}

// because prefers the reason for which a context ended.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// parseReply reads a chat completion. Only what is needed is read, for servers differ in the rest.
func parseReply(data []byte) (Reply, error) {
	var body struct {
		Choices []struct {
			Message struct {
				Content          *string `json:"content"`
				ReasoningContent *string `json:"reasoning_content"`
				Reasoning        *string `json:"reasoning"`
			} `json:"message"`
			FinishReason *string `json:"finish_reason"`
		} `json:"choices"`
		Usage struct {
			PromptTokens     int `json:"prompt_tokens"`
			CompletionTokens int `json:"completion_tokens"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return Reply{}, &brokenError{fmt.Errorf("the answer is no chat completion: %w", err)}
	}
	if len(body.Choices) != 1 {
		return Reply{}, fmt.Errorf("the answer has %d choices; want one: is this an OpenAI-compatible server?", len(body.Choices))
	}
	choice := body.Choices[0]
	r := Reply{Text: orEmpty(choice.Message.Content), Finish: orEmpty(choice.FinishReason),
		PromptTokens: body.Usage.PromptTokens, Tokens: body.Usage.CompletionTokens}
	r.Reasoning = orEmpty(choice.Message.ReasoningContent)
	if r.Reasoning == "" {
		r.Reasoning = orEmpty(choice.Message.Reasoning)
	}
	return r, nil
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// FirstModel is the first model that the server lists.
func (c *Client) FirstModel(ctx context.Context) (string, error) {
	var list openai.ModelList
	err := c.Retry.do(ctx, func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base()+"/v1/models", nil)
		if err != nil {
			return fmt.Errorf("bad address %q: %w", c.URL, err)
		}
		if c.Key != "" {
			request.Header.Set("Authorization", "Bearer "+c.Key)
		}
		answer, err := c.HTTP.Do(request)
		if err != nil {
			return &brokenError{err}
		}
		defer answer.Body.Close()
		data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes))
		if err != nil {
			return &brokenError{err}
		}
		if answer.StatusCode != http.StatusOK {
			return newStatusError(answer, data)
		}
		return json.Unmarshal(data, &list)
	})
	if err != nil {
		return "", fmt.Errorf("ask %s for its models: %w; name one with --model", c.URL, err)
	}
	if len(list.Data) == 0 {
		return "", fmt.Errorf("the server at %s lists no model: name one with --model", c.URL)
	}
	return list.Data[0].ID, nil
}
