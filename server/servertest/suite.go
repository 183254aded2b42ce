// Package servertest drives a running server with the official OpenAI client for Go. It knows nothing of the model behind it:
// every check compares one answer with another, so that it runs against the fake engine and against the real binary alike.
package servertest

import (
	"context"
	"strings"
	"testing"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// Target is a running server.
type Target struct {
	URL   string // http://host:port
	Key   string // an API key that it takes
	Model string // a name that it serves
	User  string // a user message that its model answers with a few tokens at least
}

// suite is one run against a Target.
type suite struct {
	Target
	client sdk.Client
}

// testTimeout bounds one case.
const testTimeout = 2 * time.Minute

// Run drives the server through everything that it promises to clients.
func Run(t *testing.T, target Target) {
	s := &suite{Target: target}
	s.client = sdk.NewClient(option.WithBaseURL(target.URL+"/v1/"), option.WithAPIKey(target.Key), option.WithMaxRetries(0))
	for name, run := range map[string]func(*testing.T, context.Context){
		"models": s.models, "chat": s.chat, "seed": s.seed, "choices": s.choices, "stream": s.stream, "usage": s.usage,
		"logprobs": s.logprobs, "stop": s.stop, "prompt forms": s.promptForms, "echo": s.echo, "completion stream": s.completionStream,
		"errors": s.errors, "tools": s.tools, "cancel": s.cancel, "responses": s.responses, "response items": s.responseItems,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
			defer cancel()
			run(t, ctx)
		})
	}
}

// params is a chat request of at most 24 tokens with a fixed seed.
func (s *suite) params() sdk.ChatCompletionNewParams {
	return sdk.ChatCompletionNewParams{Model: s.Model, Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage(s.User)},
		Seed: sdk.Int(7), MaxCompletionTokens: sdk.Int(24)}
}

// ask sends a chat request that must succeed with n choices.
func (s *suite) ask(t *testing.T, ctx context.Context, p sdk.ChatCompletionNewParams) *sdk.ChatCompletion {
	t.Helper()
	answer, err := s.client.Chat.Completions.New(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	if want := max(1, p.N.Value); int64(len(answer.Choices)) != want {
		t.Fatalf("got %d choices; want %d", len(answer.Choices), want)
	}
	return answer
}

// read collects a streamed chat.
func (s *suite) read(t *testing.T, ctx context.Context, p sdk.ChatCompletionNewParams) sdk.ChatCompletionAccumulator {
	t.Helper()
	var all sdk.ChatCompletionAccumulator
	stream := s.client.Chat.Completions.NewStreaming(ctx, p)
	for stream.Next() {
		if !all.AddChunk(stream.Current()) {
			t.Fatalf("the client could not add chunk %s", stream.Current().RawJSON())
		}
	}
	if stream.Err() != nil {
		t.Fatal(stream.Err())
	}
	return all
}

func (s *suite) models(t *testing.T, ctx context.Context) {
	list, err := s.client.Models.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, m := range list.Data {
		found = found || m.ID == s.Model
	}
	one, err := s.client.Models.Get(ctx, s.Model)
	if err != nil || !found || one.ID != s.Model || string(one.Object) != "model" {
		t.Errorf("got list %+v and model %+v, %v; want %s in both", list.Data, one, err, s.Model)
	}
}

func (s *suite) chat(t *testing.T, ctx context.Context) {
	answer := s.ask(t, ctx, s.params())
	choice, u := answer.Choices[0], answer.Usage
	if !strings.HasPrefix(answer.ID, "chatcmpl-") || answer.Model != s.Model || string(choice.Message.Role) != "assistant" {
		t.Errorf("got id %q, model %q, role %q", answer.ID, answer.Model, choice.Message.Role)
	}
	if choice.FinishReason != "stop" && choice.FinishReason != "length" {
		t.Errorf("got finish reason %q", choice.FinishReason)
	}
	if u.PromptTokens < 1 || u.CompletionTokens < 1 || u.CompletionTokens > 24 || u.TotalTokens != u.PromptTokens+u.CompletionTokens {
		t.Errorf("got usage %+v", u)
	}
}

// The same seed gives the same text; among a few other seeds one gives another text.
func (s *suite) seed(t *testing.T, ctx context.Context) {
	p := s.params()
	first := s.ask(t, ctx, p).Choices[0].Message.Content
	if again := s.ask(t, ctx, p).Choices[0].Message.Content; again != first {
		t.Errorf("the same seed gave %q, then %q", first, again)
	}
	for seed := range int64(20) {
		p.Seed = sdk.Int(100 + seed)
		if s.ask(t, ctx, p).Choices[0].Message.Content != first {
			return
		}
	}
	t.Errorf("20 other seeds all gave %q", first)
}

// Sample 0 of many is the sample of n = 1, and the samples of one request differ somewhere.
func (s *suite) choices(t *testing.T, ctx context.Context) {
	p := s.params()
	single := s.ask(t, ctx, p).Choices[0].Message.Content
	p.N = sdk.Int(4)
	texts := map[string]bool{}
	answer := s.ask(t, ctx, p)
	for i, choice := range answer.Choices {
		if choice.Index != int64(i) {
			t.Errorf("choice %d has index %d", i, choice.Index)
		}
		texts[choice.Message.Content] = true
	}
	if answer.Choices[0].Message.Content != single || len(texts) < 2 {
		t.Errorf("got %v; want four samples of which the first is %q", texts, single)
	}
}

// A stream adds up to the answer that is not streamed, choice by choice.
func (s *suite) stream(t *testing.T, ctx context.Context) {
	p := s.params()
	p.N = sdk.Int(4)
	whole, parts := s.ask(t, ctx, p), s.read(t, ctx, p)
	if len(parts.Choices) != len(whole.Choices) {
		t.Fatalf("got %d streamed choices; want %d", len(parts.Choices), len(whole.Choices))
	}
	for i, want := range whole.Choices {
		got := parts.Choices[i]
		if got.Message.Content != want.Message.Content || got.FinishReason != want.FinishReason {
			t.Errorf("choice %d: streamed %q (%s); whole %q (%s)", i, got.Message.Content, got.FinishReason, want.Message.Content, want.FinishReason)
		}
	}
}

// The usage of a stream comes in one last chunk without choices, and only if it was asked for.
func (s *suite) usage(t *testing.T, ctx context.Context) {
	p := s.params()
	want := s.ask(t, ctx, p).Usage
	if got := s.read(t, ctx, p).Usage; got.TotalTokens != 0 {
		t.Errorf("got usage %+v without asking", got)
	}
	p.StreamOptions = sdk.ChatCompletionStreamOptionsParam{IncludeUsage: sdk.Bool(true)}
	got := s.read(t, ctx, p).Usage
	if got.PromptTokens != want.PromptTokens || got.CompletionTokens != want.CompletionTokens || got.TotalTokens != want.TotalTokens {
		t.Errorf("streamed usage %+v; whole %+v", got, want)
	}
}
