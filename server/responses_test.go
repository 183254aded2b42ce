package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/openai"
)

// responseWith makes a body of /v1/responses with extra members.
func responseWith(extra string) string { return `{"model":"fake","input":"hi"` + extra + `}` }

// What differs from one answer to the next.
var (
	responseIDs   = regexp.MustCompile(`(resp|msg|fc|call)_[0-9a-f]+`)
	responseTimes = regexp.MustCompile(`(created|completed)_at":[0-9]+`)
)

func plainResponse(text string) string {
	return responseTimes.ReplaceAllString(responseIDs.ReplaceAllString(text, "${1}_"), `${1}_at":0`)
}

// A streamed answer, event for event.
func TestResponsesStreamBytes(t *testing.T) {
	h := start(t, setup{runner: saying("Hi")})
	const settings = `"instructions":"be kind","max_output_tokens":40,"metadata":{"a":"b"},"parallel_tool_calls":true,"temperature":0.5,"top_p":1,"text":{"format":{"type":"text"}},` +
		`"tool_choice":"auto","tools":[],"user":"u","background":false,"previous_response_id":null,"reasoning":null,"service_tier":"default","store":false,"top_logprobs":0,"truncation":"disabled"`
	const begun = `{"id":"resp_","object":"response","created_at":0,"completed_at":null,"status":"in_progress","error":null,"incomplete_details":null,"model":"fake","output":[],"usage":null,` + settings + `}`
	const text = `"text":"Hi","annotations":[],"logprobs":[]}`
	const item = `{"id":"msg_","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text",` + text + `]}`
	const done = `{"id":"resp_","object":"response","created_at":0,"completed_at":0,"status":"completed","error":null,"incomplete_details":null,"model":"fake","output":[` + item +
		`],"usage":{"input_tokens":25,"input_tokens_details":{"cached_tokens":0},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":28},` + settings + `}`
	want := []namedEvent{{"created", `"response":` + begun}, {"in_progress", `"response":` + begun},
		{"output_item.added", `"output_index":0,"item":{"id":"msg_","type":"message","status":"in_progress","role":"assistant","content":[]}`},
		{"content_part.added", `"output_index":0,"item_id":"msg_","content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}`},
		{"output_text.delta", `"output_index":0,"item_id":"msg_","content_index":0,"delta":"H","logprobs":[]`},
		{"output_text.delta", `"output_index":0,"item_id":"msg_","content_index":0,"delta":"i","logprobs":[]`},
		{"output_text.done", `"output_index":0,"item_id":"msg_","content_index":0,"text":"Hi","logprobs":[]`},
		{"content_part.done", `"output_index":0,"item_id":"msg_","content_index":0,"part":{"type":"output_text",` + text},
		{"output_item.done", `"output_index":0,"item":` + item}, {"completed", `"response":` + done}}
	const extra = `,"instructions":"be kind","temperature":0.5,"max_output_tokens":40,"metadata":{"a":"b"},"user":"u","store":true,"cache_salt":"`
	events := namedEvents(t, h.send(t, "POST", "/v1/responses", responseWith(extra+`1","stream":true`)).body)
	for i, e := range events {
		if i >= len(want) || plainResponse(e.data) != fmt.Sprintf(`{"type":"response.%s","sequence_number":%d,%s}`, want[i].name, i, want[i].data) {
			t.Errorf("event %d is\n%s", i, plainResponse(e.data))
		}
	}
	if len(events) != len(want) {
		t.Errorf("got %d events; want %d", len(events), len(want))
	}
	if got := plainResponse(string(h.send(t, "POST", "/v1/responses", responseWith(extra+`2"`)).body)); got != done {
		t.Errorf("whole: got\n%s\nwant\n%s", got, done)
	}
}

// response is an answer as clients see it.
type response struct {
	Status string `json:"status"`
	Output []struct {
		Type, Status, Name, Arguments string
		CallID                        string `json:"call_id"`
		Content                       []struct{ Text string }
	} `json:"output"`
	Incomplete *openai.IncompleteDetails `json:"incomplete_details"`
	Error      *openai.ResponseError     `json:"error"`
	Usage      openai.ResponseUsage      `json:"usage"`
}

// sumResponse adds up the deltas of a stream by item and returns them beside the answer that its last event holds.
func sumResponse(t testing.TB, body []byte) (deltas []string, last response) {
	t.Helper()
	for i, e := range namedEvents(t, body) {
		var v struct {
			Sequence int             `json:"sequence_number"`
			Index    int             `json:"output_index"`
			Delta    string          `json:"delta"`
			Response json.RawMessage `json:"response"`
		}
		if err := json.Unmarshal([]byte(e.data), &v); err != nil || v.Sequence != i {
			t.Fatalf("event %d is %s (%v)", i, e.data, err)
		}
		switch e.name {
		case "response.output_item.added":
			deltas = append(deltas, "")
		case "response.output_text.delta", "response.function_call_arguments.delta":
			deltas[v.Index] += v.Delta
		case "response.completed", "response.incomplete", "response.failed":
			if err := json.Unmarshal(v.Response, &last); err != nil {
				t.Fatal(err)
			}
		}
	}
	return deltas, last
}

// said are the texts, or arguments, of the items.
func (r *response) said() (all []string) {
	for _, item := range r.Output {
		text := item.Arguments
		for _, part := range item.Content {
			text += part.Text
		}
		all = append(all, text)
	}
	return all
}

// The sum of a stream is the whole answer, and both say what a chat says.
func TestResponsesStreamIsWhole(t *testing.T) {
	h, rng := start(t, setup{}), rand.New(rand.NewPCG(9, 10))
	statuses := map[string]int{}
	for range 60 {
		options := fmt.Sprintf(`,"seed":%d,"stop":%s`, rng.IntN(1000), openai.Encode(append([]string{}, randomStop(rng)...)))
		tokens := 1 + rng.IntN(60)
		body := responseWith(fmt.Sprintf(`%s,"max_output_tokens":%d`, options, tokens))
		whole := decode[response](t, h.send(t, "POST", "/v1/responses", body))
		deltas, last := sumResponse(t, h.send(t, "POST", "/v1/responses", body[:len(body)-1]+`,"stream":true}`).body)
		last.Usage.InputDetails, whole.Usage.InputDetails = openai.PromptDetails{}, openai.PromptDetails{}
		if a, b := string(openai.Encode(last)), string(openai.Encode(whole)); a != b || strings.Join(deltas, "|") != strings.Join(whole.said(), "|") {
			t.Fatalf("%s: streamed %q, in the end %s\nwhole %s", body, deltas, a, b)
		}
		chat := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(fmt.Sprintf(`%s,"max_tokens":%d`, options, tokens))))
		if c := chat.Choices[0]; whole.said()[0] != c.Message.Content || (whole.Status == "incomplete") != (c.FinishReason == "length") || (whole.Incomplete == nil) != (c.FinishReason != "length") ||
			whole.Usage.OutputTokens != chat.Usage.CompletionTokens || whole.Usage.InputTokens != chat.Usage.PromptTokens || whole.Output[0].Status != whole.Status {
			t.Fatalf("%s: got %s; a chat says %s", body, openai.Encode(whole), openai.Encode(chat))
		}
		statuses[whole.Status]++
	}
	if statuses["completed"] == 0 || statuses["incomplete"] == 0 {
		t.Errorf("only %v", statuses)
	}
}

// Calls are items in the order in which the model wrote them.
func TestResponsesTools(t *testing.T) {
	h := start(t, setup{runner: saying(`So: <tool_call>{"name": "add", "arguments": {"a": 2}}</tool_call><tool_call>{"name": "stop_it"}</tool_call>`)})
	body := responseWith(`,"tools":[{"type":"function","name":"add","parameters":{"type":"object"}},{"type":"function","name":"stop_it"}]`)
	deltas, last := sumResponse(t, h.send(t, "POST", "/v1/responses", body[:len(body)-1]+`,"stream":true}`).body)
	for _, got := range []response{last, decode[response](t, h.send(t, "POST", "/v1/responses", body))} {
		said := strings.Join(got.said(), "|")
		if said != `So: |{"a": 2}|{}` || said != strings.Join(deltas, "|") || got.Output[1].Name != "add" || got.Output[2].Name != "stop_it" || !strings.HasPrefix(got.Output[1].CallID, "call_") ||
			got.Output[1].Type != "function_call" || got.Status != "completed" || got.Output[2].Status != "completed" {
			t.Errorf("got %s, deltas %q", openai.Encode(got), deltas)
		}
	}
	forced := start(t, setup{options: longContext})
	const schema = `{"type":"object","properties":{"a":{"enum":[1,2]}},"required":["a"],"additionalProperties":false}`
	want := regexp.MustCompile(`^\{"a": ?[12]\}$`)
	for _, extra := range []string{`"text":{"format":{"type":"json_schema","name":"x","schema":` + schema + `}}`,
		`"tools":[{"type":"function","name":"add","parameters":` + schema + `}],"tool_choice":{"type":"function","name":"add"}`} {
		got := decode[response](t, forced.send(t, "POST", "/v1/responses", responseWith(`,"max_output_tokens":200,"seed":3,`+extra)))
		if said := got.said(); len(said) != 1 || !want.MatchString(said[0]) || got.Status != "completed" {
			t.Errorf("%s: got %s", extra, openai.Encode(got))
		}
	}
}

// Errors before a stream are OpenAI's objects; nothing is kept that could be asked for.
func TestResponsesErrors(t *testing.T) {
	h := start(t, setup{})
	h.send(t, "POST", "/v1/responses", responseWith(`,"previous_response_id":"resp_1"`)).wantError(t, 400, "unsupported_parameter")
	h.send(t, "POST", "/v1/responses", responseWith(`,"max_output_tokens":10000,"stream":true`)).wantError(t, 400, "context_length_exceeded")
	h.send(t, "POST", "/v1/responses", strings.Replace(responseWith(""), "hi", "refuse me", 1)).wantError(t, 400, "invalid_value")
	h.send(t, "POST", "/v1/responses", strings.Replace(responseWith(""), "fake", "nope", 1)).wantError(t, 404, "model_not_found")
	h.send(t, "GET", "/v1/responses/resp_1", "").wantError(t, 404, "unknown_url")
	if got := h.send(t, "POST", "/v1/responses", responseWith(`,"max_output_tokens":1,"new_thing":1`)); got.status != 200 || got.header.Get("x-ignored-params") != "new_thing" {
		t.Errorf("got %d %v", got.status, got.header)
	}
}

// An engine that fails in the middle ends the stream with what there is.
func TestResponsesFailInTheStream(t *testing.T) {
	h := start(t, setup{runner: func(r *enginetest.Runner) {
		r.OnRun = func(step int, _ *engine.Plan) error {
			if step == 3 {
				return errors.New("on fire")
			}
			return nil
		}
	}})
	deltas, last := sumResponse(t, h.send(t, "POST", "/v1/responses", responseWith(`,"stream":true,"ignore_eos":true`)).body)
	if last.Status != "failed" || last.Error == nil || last.Error.Code != "server_error" || strings.Contains(last.Error.Message, "fire") ||
		last.Output[0].Status != "incomplete" || last.said()[0] != deltas[0] {
		t.Errorf("got %s after %q", openai.Encode(last), deltas)
	}
}

// A panic in a stream is said in the API's own words.
func TestSec_R23PanicsInNamedStreams(t *testing.T) {
	broken := func(s *Server, ctx *fasthttp.RequestCtx, id string) *openai.Error {
		s.startStream(ctx, id, func(*eventWriter) { panic("secret detail") })
		return nil
	}
	withRoutes(t, route{method: "GET", path: "/one", open: true, dialect: ofResponses, handle: broken}, route{method: "GET", path: "/two", open: true, dialect: ofAnthropic, handle: broken})
	h := start(t, setup{})
	for path, want := range map[string]string{"/one": `"code":"internal_error"`, "/two": `"error":{"type":"api_error"`} {
		events := namedEvents(t, h.send(t, "GET", path, "").body)
		if len(events) != 1 || events[0].name != "error" || !strings.Contains(events[0].data, want) || strings.Contains(events[0].data, "secret") {
			t.Errorf("%s: got %+v", path, events)
		}
	}
}
