package servertest

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	sdk "github.com/openai/openai-go/v3"
)

// There is one entry per generated token; alternatives are sorted, and streaming changes nothing.
func (s *suite) logprobs(t *testing.T, ctx context.Context) {
	p := s.params()
	p.Logprobs, p.TopLogprobs = sdk.Bool(true), sdk.Int(5)
	var answer *sdk.ChatCompletion
	var streamed sdk.ChatCompletionAccumulator
	s.settled(t, ctx, func() { answer, streamed = s.ask(t, ctx, p), s.read(t, ctx, p) })
	entries := answer.Choices[0].Logprobs.Content
	if int64(len(entries)) != answer.Usage.CompletionTokens {
		t.Fatalf("got %d entries for %d tokens", len(entries), answer.Usage.CompletionTokens)
	}
	var text []byte
	for _, e := range entries {
		for _, b := range e.Bytes {
			text = append(text, byte(b))
		}
		if e.Logprob > 0 || len(e.TopLogprobs) != 5 || e.TopLogprobs[0].Logprob < e.Logprob {
			t.Errorf("token %q: log-probability %v beside %+v", e.Token, e.Logprob, e.TopLogprobs)
		}
		if !slices.IsSortedFunc(e.TopLogprobs, func(a, b sdk.ChatCompletionTokenLogprobTopLogprob) int {
			return int(math.Copysign(1, b.Logprob-a.Logprob))
		}) {
			t.Errorf("token %q: alternatives %+v are not sorted", e.Token, e.TopLogprobs)
		}
	}
	if content := answer.Choices[0].Message.Content; utf8.Valid(text) && !strings.HasPrefix(strings.TrimSpace(string(text)), strings.TrimSpace(content)) {
		t.Errorf("the tokens spell %q; the content is %q", text, content)
	}
	for i, e := range streamed.Choices[0].Logprobs.Content {
		if i >= len(entries) || e.Token != entries[i].Token || e.Logprob != entries[i].Logprob {
			t.Errorf("streamed entry %d is %q %v; want that of %+v", i, e.Token, e.Logprob, entries)
		}
	}
}

// A stop string ends the text right before its first occurrence, streamed or not.
func (s *suite) stop(t *testing.T, ctx context.Context) {
	p := s.params()
	full := []rune(s.ask(t, ctx, p).Choices[0].Message.Content)
	if len(full) < 4 {
		t.Fatalf("the answer %q is too short to cut", string(full))
	}
	stop := string(full[len(full)/2 : len(full)/2+2])
	want, _, _ := strings.Cut(string(full), stop)
	p.Stop = sdk.ChatCompletionNewParamsStopUnion{OfStringArray: []string{stop, "never\x00said"}}
	for _, got := range []sdk.ChatCompletionChoice{s.ask(t, ctx, p).Choices[0], s.read(t, ctx, p).Choices[0]} {
		if got.Message.Content != want || got.FinishReason != "stop" {
			t.Errorf("got %q (%s); want %q (stop) from %q cut at %q", got.Message.Content, got.FinishReason, want, string(full), stop)
		}
	}
}

// complete sends a text completion that must succeed.
func (s *suite) complete(t *testing.T, ctx context.Context, p sdk.CompletionNewParams) *sdk.Completion {
	t.Helper()
	p.Model, p.Seed = sdk.CompletionNewParamsModel(s.Model), sdk.Int(3)
	answer, err := s.client.Completions.New(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// tokens asks the server how it spells a text in token ids.
func (s *suite) tokens(t *testing.T, ctx context.Context, text string) []int64 {
	t.Helper()
	p := sdk.CompletionNewParams{Prompt: sdk.CompletionNewParamsPromptUnion{OfString: sdk.String(text)}, MaxTokens: sdk.Int(1)}
	p.SetExtraFields(map[string]any{"return_token_ids": true})
	var ids []int64
	raw := s.complete(t, ctx, p).Choices[0].JSON.ExtraFields["prompt_token_ids"].Raw()
	for _, field := range strings.FieldsFunc(raw, func(r rune) bool { return r < '0' || r > '9' }) {
		id := int64(0)
		for _, digit := range field {
			id = 10*id + int64(digit-'0')
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		t.Fatalf("got prompt_token_ids %q", raw)
	}
	return ids
}

// All four forms of a prompt give the same answer.
func (s *suite) promptForms(t *testing.T, ctx context.Context) {
	ids := s.tokens(t, ctx, s.User)
	forms := []sdk.CompletionNewParamsPromptUnion{{OfString: sdk.String(s.User)}, {OfArrayOfStrings: []string{s.User, s.User}}, {OfArrayOfTokens: ids},
		{OfArrayOfTokenArrays: [][]int64{ids, ids}}}
	want := s.complete(t, ctx, sdk.CompletionNewParams{Prompt: forms[0]}).Choices[0].Text
	for i, form := range forms {
		answer := s.complete(t, ctx, sdk.CompletionNewParams{Prompt: form})
		if len(answer.Choices) != 1+i%2 {
			t.Errorf("form %d: got %d choices", i, len(answer.Choices))
		}
		for _, choice := range answer.Choices {
			if choice.Text != want {
				t.Errorf("form %d: got %q; want %q", i, choice.Text, want)
			}
		}
	}
}

// With echo, log-probabilities cover the prompt: the first token has none, offsets point into the text.
func (s *suite) echo(t *testing.T, ctx context.Context) {
	ids := s.tokens(t, ctx, s.User)
	prompt := sdk.CompletionNewParamsPromptUnion{OfArrayOfTokens: ids}
	plain := s.complete(t, ctx, sdk.CompletionNewParams{Prompt: prompt, MaxTokens: sdk.Int(4), N: sdk.Int(2)})
	answer := s.complete(t, ctx, sdk.CompletionNewParams{Prompt: prompt, MaxTokens: sdk.Int(4), N: sdk.Int(2), Echo: sdk.Bool(true), Logprobs: sdk.Int(2)})
	for i, choice := range answer.Choices {
		if !strings.HasSuffix(choice.Text, plain.Choices[i].Text) || len(choice.Text) <= len(plain.Choices[i].Text) {
			t.Errorf("choice %d: got %q; want a prompt and then %q", i, choice.Text, plain.Choices[i].Text)
		}
		checkEcho(t, choice.Logprobs.RawJSON(), len(ids), utf8.RuneCountInString(choice.Text))
	}
}

// checkEcho reads the lists itself, since the client's types have no null.
func checkEcho(t *testing.T, raw string, promptTokens, chars int) {
	t.Helper()
	var lists struct {
		Tokens        []string             `json:"tokens"`
		TokenLogprobs []*float64           `json:"token_logprobs"`
		TopLogprobs   []map[string]float64 `json:"top_logprobs"`
		TextOffset    []int                `json:"text_offset"`
	}
	if err := json.Unmarshal([]byte(raw), &lists); err != nil {
		t.Fatal(err)
	}
	n := len(lists.Tokens)
	if n <= promptTokens || len(lists.TokenLogprobs) != n || len(lists.TopLogprobs) != n || len(lists.TextOffset) != n {
		t.Fatalf("%d prompt tokens: the lists differ in length: %s", promptTokens, raw)
	}
	if !slices.IsSorted(lists.TextOffset) || lists.TextOffset[n-1] > chars {
		t.Errorf("got offsets %v in %d characters", lists.TextOffset, chars)
	}
	for i, p := range lists.TokenLogprobs {
		if none := i == 0; (p == nil) != none || (lists.TopLogprobs[i] == nil) != none {
			t.Errorf("token %d has no log-probability where it should, or one where it should not: %s", i, raw)
		}
	}
}

// A streamed completion adds up to the whole one.
func (s *suite) completionStream(t *testing.T, ctx context.Context) {
	p := sdk.CompletionNewParams{Model: sdk.CompletionNewParamsModel(s.Model), Seed: sdk.Int(3), N: sdk.Int(2), Echo: sdk.Bool(true),
		Prompt: sdk.CompletionNewParamsPromptUnion{OfArrayOfStrings: []string{s.User, s.User}}}
	want := s.complete(t, ctx, p)
	texts, reasons := make([]string, 4), make([]string, 4)
	stream := s.client.Completions.NewStreaming(ctx, p)
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			texts[choice.Index] += choice.Text
			if choice.FinishReason != "" {
				reasons[choice.Index] = string(choice.FinishReason)
			}
		}
	}
	if stream.Err() != nil {
		t.Fatal(stream.Err())
	}
	for i, choice := range want.Choices {
		if texts[i] != choice.Text || reasons[i] != string(choice.FinishReason) {
			t.Errorf("choice %d: streamed %q (%s); whole %q (%s)", i, texts[i], reasons[i], choice.Text, choice.FinishReason)
		}
	}
}

// Errors reach the client as error objects with OpenAI's codes.
func (s *suite) errors(t *testing.T, ctx context.Context) {
	for name, c := range map[string]struct {
		change      func(p *sdk.ChatCompletionNewParams)
		status      int
		param, code string
	}{
		"unknown model":  {func(p *sdk.ChatCompletionNewParams) { p.Model = "nope" }, 404, "model", "model_not_found"},
		"temperature":    {func(p *sdk.ChatCompletionNewParams) { p.Temperature = sdk.Float(2.5) }, 400, "temperature", "decimal_above_max_value"},
		"no messages":    {func(p *sdk.ChatCompletionNewParams) { p.Messages = []sdk.ChatCompletionMessageParamUnion{} }, 400, "messages", "empty_array"},
		"too long":       {func(p *sdk.ChatCompletionNewParams) { p.MaxCompletionTokens = sdk.Int(1 << 23) }, 400, "messages", "context_length_exceeded"},
		"logit bias":     {func(p *sdk.ChatCompletionNewParams) { p.LogitBias = map[string]int64{"2000000000": 1} }, 400, "logit_bias", "invalid_value"},
		"no audio here":  {func(p *sdk.ChatCompletionNewParams) { p.Modalities = []string{"text", "audio"} }, 400, "modalities", "unsupported_parameter"},
		"stop too often": {func(p *sdk.ChatCompletionNewParams) { p.Stop.OfStringArray = []string{"a", "b", "c", "d", "e"} }, 400, "stop", "array_above_max_length"},
	} {
		p := s.params()
		c.change(&p)
		for _, err := range []error{second(s.client.Chat.Completions.New(ctx, p)), s.client.Chat.Completions.NewStreaming(ctx, p).Err()} {
			var failure *sdk.Error
			if !errors.As(err, &failure) || failure.StatusCode != c.status || failure.Code != c.code || failure.Param != c.param || failure.Message == "" {
				t.Errorf("%s: got %v; want %d %s about %s", name, err, c.status, c.code, c.param)
			}
		}
	}
}

// tools: a call that the client names follows the tool's schema, whole and streamed alike. A vocabulary that cannot spell JSON is told
// apart from a server that cannot.
func (s *suite) tools(t *testing.T, ctx context.Context) {
	p := s.params()
	p.Tools = []sdk.ChatCompletionToolUnionParam{sdk.ChatCompletionFunctionTool(sdk.FunctionDefinitionParam{Name: "f", Parameters: sdk.FunctionParameters{
		"type": "object", "properties": map[string]any{"x": map[string]any{"enum": []int{1, 2}}}, "required": []string{"x"}, "additionalProperties": false}})}
	p.ToolChoice = sdk.ToolChoiceOptionFunctionToolChoice(sdk.ChatCompletionNamedToolChoiceFunctionParam{Name: "f"})
	answer, err := s.client.Chat.Completions.New(ctx, p)
	var failure *sdk.Error
	if errors.As(err, &failure) && failure.Code == "impossible_schema" {
		t.Skip("this model's vocabulary cannot spell JSON")
	}
	if err != nil {
		t.Fatal(err)
	}
	all := s.read(t, ctx, p)
	for _, message := range []sdk.ChatCompletionMessage{answer.Choices[0].Message, all.Choices[0].Message} {
		if calls := message.ToolCalls; len(calls) != 1 || calls[0].Function.Name != "f" || calls[0].ID == "" || !strings.HasPrefix(calls[0].Function.Arguments, `{"x":`) {
			t.Errorf("got %s", message.RawJSON())
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A client that stops reading leaves the server able to answer the next one.
func (s *suite) cancel(t *testing.T, ctx context.Context) {
	for range 4 {
		short, cancel := context.WithCancel(ctx)
		p := s.params()
		p.N = sdk.Int(8)
		stream := s.client.Chat.Completions.NewStreaming(short, p)
		stream.Next()
		cancel()
		for stream.Next() {
		}
		stream.Close()
	}
	s.ask(t, ctx, s.params())
}
