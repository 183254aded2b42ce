package client

import (
	"context"
	"fmt"
)

// Message is one turn of a conversation as it is sent.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// Query is one turn of a user and how it is to be answered.
type Query struct {
	Model       string
	Prompt      string
	Temperature float64
	TopP        float64 // 0 = the server's default
	MaxTokens   int     // 0 = the server's default
	Seed        int64
}

// Reply is one answer to a Query.
type Reply struct {
	Text         string
	HasText      bool   // false where the server said null
	Reasoning    string // what a server with a reasoning parser keeps out of Text
	Finish       string // stop, length, ...
	PromptTokens int
	Tokens       int // generated
}

// FinishLength is the finish reason of an answer that was cut off at its limit.
const FinishLength = "length"

// Chat gets one answer over POST /v1/chat/completions, with retries.
func (c *Client) Chat(ctx context.Context, q Query) (Reply, error) {
	type request struct {
		Model       string    `json:"model"`
		Messages    []Message `json:"messages"`
		Temperature float64   `json:"temperature"`
		TopP        float64   `json:"top_p,omitempty"`
		MaxTokens   int       `json:"max_tokens,omitempty"`
		Seed        int64     `json:"seed"`
	}
	messages := []Message{{"user", q.Prompt}}
	var answer chatAnswer
	if err := c.Ask(ctx, "/v1/chat/completions", request{q.Model, messages, q.Temperature, q.TopP, q.MaxTokens, q.Seed}, &answer); err != nil {
		return Reply{}, err
	}
	return answer.reply()
}

// chatAnswer is what is needed of a chat completion, for servers differ in the rest.
type chatAnswer struct {
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

func (a *chatAnswer) reply() (Reply, error) {
	if len(a.Choices) != 1 {
		return Reply{}, fmt.Errorf("the answer has %d choices; want one: is this an OpenAI-compatible server?", len(a.Choices))
	}
	said := a.Choices[0].Message
	r := Reply{Text: orEmpty(said.Content), HasText: said.Content != nil, Finish: orEmpty(a.Choices[0].FinishReason),
		PromptTokens: a.Usage.PromptTokens, Tokens: a.Usage.CompletionTokens, Reasoning: orEmpty(said.ReasoningContent)}
	if r.Reasoning == "" {
		r.Reasoning = orEmpty(said.Reasoning)
	}
	return r, nil
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
