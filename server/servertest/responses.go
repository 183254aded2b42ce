package servertest

import (
	"context"
	"errors"
	"strings"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
)

// responseParams is a request of at most 24 tokens with a fixed seed.
func (s *suite) responseParams() responses.ResponseNewParams {
	p := responses.ResponseNewParams{Model: s.Model, MaxOutputTokens: sdk.Int(24), Metadata: map[string]string{"from": "a test"},
		Input: responses.ResponseNewParamsInputUnion{OfString: sdk.String(s.User)}}
	p.SetExtraFields(map[string]any{"seed": 7})
	return p
}

// respond sends a request that must succeed.
func (s *suite) respond(t *testing.T, ctx context.Context, p responses.ResponseNewParams) *responses.Response {
	t.Helper()
	answer, err := s.client.Responses.New(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// A response says what a chat says; a stream of one adds up to it, and the client reads every event of it.
func (s *suite) responses(t *testing.T, ctx context.Context) {
	want, whole := s.ask(t, ctx, s.params()), s.respond(t, ctx, s.responseParams())
	if text := want.Choices[0].Message.Content; whole.OutputText() != text || !strings.HasPrefix(whole.ID, "resp_") || whole.Metadata["from"] != "a test" ||
		whole.Usage.OutputTokens != want.Usage.CompletionTokens || (whole.Status == "incomplete") != (want.Choices[0].FinishReason == "length") {
		t.Errorf("got %s; a chat says %q (%s)", whole.RawJSON(), text, want.Choices[0].FinishReason)
	}
	stream := s.client.Responses.NewStreaming(ctx, s.responseParams())
	text, sequence, last := "", int64(0), ""
	for ; stream.Next(); sequence++ {
		e := stream.Current()
		if e.SequenceNumber != sequence {
			t.Errorf("event %d has number %d", sequence, e.SequenceNumber)
		}
		switch event := e.AsAny().(type) {
		case responses.ResponseTextDeltaEvent:
			text += event.Delta
		case responses.ResponseCompletedEvent:
			last = event.Response.OutputText()
		case responses.ResponseIncompleteEvent:
			last = event.Response.OutputText()
		}
	}
	if stream.Err() != nil {
		t.Fatal(stream.Err())
	}
	if text != whole.OutputText() || last != text {
		t.Errorf("streamed %q, in the end %q; whole %q", text, last, whole.OutputText())
	}
}

// A conversation in items is read as a chat's messages are; what needs state is refused by name.
func (s *suite) responseItems(t *testing.T, ctx context.Context) {
	p := s.responseParams()
	p.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{
		responses.ResponseInputItemParamOfMessage(s.User, responses.EasyInputMessageRoleUser)}}
	if got, want := s.respond(t, ctx, p), s.respond(t, ctx, s.responseParams()); got.OutputText() != want.OutputText() || got.Usage.InputTokens != want.Usage.InputTokens {
		t.Errorf("got %s; a text alone gave %s", got.RawJSON(), want.RawJSON())
	}
	p.PreviousResponseID = sdk.String("resp_1")
	var failure *sdk.Error
	if _, err := s.client.Responses.New(ctx, p); !errors.As(err, &failure) || failure.StatusCode != 400 || failure.Param != "previous_response_id" {
		t.Errorf("got %v", err)
	}
}
