package openai

import (
	"reflect"
	"strings"
	"testing"
)

func TestFeedbackRequest(t *testing.T) {
	one, minus := 1.0, -1.0
	for body, want := range map[string]*FeedbackRequest{
		`{"completion_id":"c","reward":1}`:            {CompletionID: "c", Reward: &one},
		`{"completion_id":"c","verdict":"correct"}`:   {CompletionID: "c", Reward: &one},
		`{"completion_id":"c","verdict":"incorrect"}`: {CompletionID: "c", Reward: &minus},
		`{"completion_id":"c","grader": {"type":"math"},"answer":"4","choice":2,"rater":"ann","idempotency_key":"k","supersede":true,"metadata":{"a":"b"},"reward":null}`: {CompletionID: "c",
			Grader: []byte(`{"type":"math"}`), Answer: "4", Choice: 2, Rater: "ann", Idempotency: "k", Supersede: true, Metadata: map[string]string{"a": "b"}},
		`{"completion_id":"c","grader":"math"}`: {CompletionID: "c", Grader: []byte(`"math"`)},
	} {
		if got, err := DecodeFeedbackRequest([]byte(body)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", body, got, err)
		}
	}
	for _, c := range [][3]string{
		{`"reward":1.5`, "reward", "decimal_above_max_value"}, {`"reward":-2`, "reward", "decimal_below_min_value"}, {`"reward":"1"`, "reward", "invalid_type"}, {`"reward":1e999`, "reward", "invalid_value"},
		{`"verdict":"good"`, "verdict", "invalid_value"}, {`"reward":1,"verdict":"correct"`, "reward", "invalid_value"}, {`"choice":0`, "reward", "missing_required_parameter"}, {`"grader":1`, "grader", "invalid_type"},
		{`"grader":{"a":"` + strings.Repeat("x", 1<<16) + `"}`, "grader", "string_above_max_length"}, {`"reward":1,"answer":"x"`, "answer", "invalid_value"}, {`"reward":1,"x":1`, "x", "unknown_parameter"},
		{`"reward":1,"metadata":{"a":1}`, "metadata.a", "invalid_type"}, {`"reward":1,"choice":-1`, "choice", "integer_below_min_value"}, {`"reward":1,"rater":""`, "rater", "string_below_min_length"},
	} {
		if _, err := DecodeFeedbackRequest([]byte(`{"completion_id":"c",` + c[0] + `}`)); err == nil || err.Param != c[1] || err.Code != c[2] {
			t.Errorf("%.60s: got %+v; want %s about %s", c[0], err, c[2], c[1])
		}
	}
}

// store and metadata mean the same in every API; an end user's name is not kept.
func TestStoreAndMetadata(t *testing.T) {
	with := func(o *Options, err *Error) {
		t.Helper()
		if err != nil || !o.NoStore || !reflect.DeepEqual(o.Metadata, map[string]string{"answer": "4"}) {
			t.Errorf("got %+v, %v", o, err)
		}
	}
	const members = `,"store":false,"metadata":{"answer":"4","user_id":null}`
	chat, err := DecodeChatRequest([]byte(chatBody(members)))
	with(&chat.Options, err)
	text, err := DecodeCompletionRequest([]byte(promptBody(members)))
	with(&text.Options, err)
	response, err := DecodeResponsesRequest([]byte(goodResponse[:len(goodResponse)-1] + members + "}"))
	with(&response.Options, err)
	if !reflect.DeepEqual(response.Settings.Metadata, response.Metadata) {
		t.Errorf("the answer repeats %v", response.Settings.Metadata)
	}
	message, err := DecodeMessagesRequest([]byte(goodMessage[:len(goodMessage)-1] + strings.Replace(members, "null", `"somebody"`, 1) + "}"))
	with(&message.Options, err)
	if q, err := DecodeChatRequest([]byte(chatBody(`,"store":true`))); err != nil || q.NoStore {
		t.Errorf("got %+v, %v", q, err)
	}
	var escaped []string
	for i := range 16 {
		escaped = append(escaped, `"`+string(rune('a'+i))+`":"`+strings.Repeat(`\u0001`, 300)+`"`)
	}
	if _, err := DecodeChatRequest([]byte(chatBody(`,"metadata":{` + strings.Join(escaped, ",") + `}`))); err == nil || err.Param != "metadata" {
		t.Errorf("metadata that is longer than the store takes: got %v", err)
	}
}

// The other requests, and what is wrong with them.
func TestLearningRequests(t *testing.T) {
	if percent, err := DecodeCanaryRequest([]byte(`{"percent":10}`)); err != nil || percent != 10 {
		t.Errorf("got %d, %v", percent, err)
	}
	if q, err := DecodeGraphRequest([]byte(`{"text":"a","format":"dot"}`)); err != nil || q != (GraphRequest{Text: "a", DOT: true}) {
		t.Errorf("got %+v, %v", q, err)
	}
	if q, err := DecodeSessionRequest([]byte(`{"task_id":"t","api_key":"0123456789abcdef"}`)); err != nil || q != (SessionRequest{"t", "0123456789abcdef"}) {
		t.Errorf("got %+v, %v", q, err)
	}
	if q, err := DecodeRewardRequest([]byte(`{"reward":0.5,"interaction_id":"c"}`)); err != nil || q != (RewardRequest{0.5, "c"}) {
		t.Errorf("got %+v, %v", q, err)
	}
	for body, decode := range map[string]func([]byte) *Error{
		`{"percent":101}`: func(b []byte) *Error { _, err := DecodeCanaryRequest(b); return err }, `{"text":"a","format":"svg"}`: func(b []byte) *Error { _, err := DecodeGraphRequest(b); return err },
		`{"task_id":"t","api_key":"0123456789 abcdef"}`: func(b []byte) *Error { _, err := DecodeSessionRequest(b); return err }, `{"reward":"1"}`: func(b []byte) *Error { _, err := DecodeRewardRequest(b); return err },
	} {
		for _, bad := range []string{body, "{}", "[]", "", `{"x":1}`} {
			if err := decode([]byte(bad)); err == nil || err.Status != 400 {
				t.Errorf("%s, read as %s: got %v", bad, body, err)
			}
		}
	}
}
