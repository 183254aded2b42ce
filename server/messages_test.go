package server

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/openai"
	"astro/server/auth"
)

// messageWith makes a body of /v1/messages with extra members.
func messageWith(extra string) string {
	return `{"model":"fake","max_tokens":60,"messages":[{"role":"user","content":"hi"}]` + extra + `}`
}

// namedEvent is one event of a stream with names.
type namedEvent struct{ name, data string }

// namedEvents reads such a stream, which holds nothing else but comments.
func namedEvents(t testing.TB, body []byte) (all []namedEvent) {
	t.Helper()
	for _, frame := range strings.Split(strings.TrimSuffix(string(body), "\n\n"), "\n\n") {
		if strings.HasPrefix(frame, ":") {
			continue
		}
		name, data, both := strings.Cut(frame, "\ndata: ")
		name, named := strings.CutPrefix(name, "event: ")
		var payload struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal([]byte(data), &payload); err != nil || !both || !named || payload.Type != name {
			t.Fatalf("got the frame %q (%v)", frame, err)
		}
		all = append(all, namedEvent{name, data})
	}
	return all
}

// message is an answer as clients see it.
type message struct {
	Content      []messageBlock      `json:"content"`
	StopReason   string              `json:"stop_reason"`
	StopSequence *string             `json:"stop_sequence"`
	Usage        openai.MessageUsage `json:"usage"`
}

type messageBlock struct {
	Type, Text, Name string
	Input            json.RawMessage
}

// sumMessage adds up a stream as clients do, and checks that blocks are opened, filled and closed in order.
func sumMessage(t testing.TB, body []byte) (m message) {
	t.Helper()
	open, arguments := -1, ""
	for _, e := range namedEvents(t, body) {
		var v struct {
			Index   int          `json:"index"`
			Message message      `json:"message"`
			Block   messageBlock `json:"content_block"`
			Delta   struct {
				Text         string  `json:"text"`
				PartialJSON  string  `json:"partial_json"`
				StopReason   string  `json:"stop_reason"`
				StopSequence *string `json:"stop_sequence"`
			} `json:"delta"`
			Usage openai.MessageUsage `json:"usage"`
		}
		if err := json.Unmarshal([]byte(e.data), &v); err != nil {
			t.Fatal(err)
		}
		switch e.name {
		case "message_start":
			m = v.Message
		case "content_block_start":
			if open >= 0 || v.Index != len(m.Content) {
				t.Fatalf("block %d is opened while %d is open", v.Index, open)
			}
			open, arguments, m.Content = v.Index, "", append(m.Content, v.Block)
		case "content_block_delta", "content_block_stop":
			if open != v.Index {
				t.Fatalf("%s of block %d while %d is open", e.name, v.Index, open)
			}
			m.Content[open].Text += v.Delta.Text
			arguments += v.Delta.PartialJSON
			if e.name == "content_block_stop" {
				if json.Valid([]byte(arguments)) {
					m.Content[open].Input = json.RawMessage(openai.Encode(json.RawMessage(arguments)))
				}
				open = -1
			}
		case "message_delta":
			m.StopReason, m.StopSequence, m.Usage = v.Delta.StopReason, v.Delta.StopSequence, v.Usage
		}
	}
	return m
}

var messageID = regexp.MustCompile(`msg_[0-9a-f]{32}`)

// A streamed answer, byte for byte.
func TestMessagesStreamBytes(t *testing.T) {
	h := start(t, setup{runner: saying("Hi!")})
	got := h.send(t, "POST", "/v1/messages", messageWith(`,"stream":true,"stop_sequences":["!"]`), "x-request-id", "r1")
	id := messageID.FindString(string(got.body))
	want := strings.ReplaceAll(`event: message_start
data: {"type":"message_start","message":{"id":"ID","type":"message","role":"assistant","model":"fake","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}

event: ping
data: {"type":"ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"H"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"i"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"!"},"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":3}}

event: message_stop
data: {"type":"message_stop"}

`, "ID", id)
	if string(got.body) != want || got.header.Get("Content-Type") != openai.EventType {
		t.Errorf("got\n%s", got.body)
	}
	whole := h.send(t, "POST", "/v1/messages", messageWith(`,"stop_sequences":["!"],"cache_salt":"other"`))
	if got := messageID.ReplaceAllString(string(whole.body), "ID"); got != `{"id":"ID","type":"message","role":"assistant","model":"fake","content":[{"type":"text","text":"Hi"}],"stop_reason":"stop_sequence","stop_sequence":"!","usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":3}}` {
		t.Errorf("got %s", got)
	}
}

// The sum of a stream is the whole answer, and both say what a chat says.
func TestMessagesStreamIsWhole(t *testing.T) {
	h, rng := start(t, setup{}), rand.New(rand.NewPCG(7, 8))
	reasons := map[string]int{}
	for range 60 {
		seed, tokens, stop := rng.IntN(1000), 1+rng.IntN(60), randomStop(rng)
		options := fmt.Sprintf(`,"seed":%d,"stop_sequences":%s`, seed, openai.Encode(append([]string{}, stop...)))
		body := strings.Replace(messageWith(options), "60", fmt.Sprint(tokens), 1)
		whole := decode[message](t, h.send(t, "POST", "/v1/messages", body))
		parts := sumMessage(t, h.send(t, "POST", "/v1/messages", body[:len(body)-1]+`,"stream":true}`).body)
		for _, m := range []*message{&whole, &parts} { // the second finds the prompt in the cache
			m.Usage.InputTokens, m.Usage.CacheReadTokens = m.Usage.InputTokens+m.Usage.CacheReadTokens, 0
		}
		if !reflect.DeepEqual(parts, whole) {
			t.Fatalf("%s: streamed %s\nwhole %s", body, openai.Encode(parts), openai.Encode(whole))
		}
		chat := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions",
			chatWith(fmt.Sprintf(`,"seed":%d,"max_tokens":%d,"stop":%s`, seed, tokens, openai.Encode(append([]string{}, stop...))))))
		if c := chat.Choices[0]; len(whole.Content) != 1 || whole.Content[0].Text != c.Message.Content || (whole.StopReason == "max_tokens") != (c.FinishReason == "length") ||
			whole.Usage.OutputTokens != chat.Usage.CompletionTokens || whole.Usage.InputTokens != chat.Usage.PromptTokens {
			t.Fatalf("%s: got %s; a chat says %s", body, openai.Encode(whole), openai.Encode(chat))
		}
		reasons[whole.StopReason]++
	}
	if reasons["end_turn"] == 0 || reasons["max_tokens"] == 0 || reasons["stop_sequence"] == 0 {
		t.Errorf("only %v", reasons)
	}
}

const messageTools = `,"tools":[{"name":"add","input_schema":{"type":"object","properties":{"a":{"enum":[1,2]}},"required":["a"],"additionalProperties":false}},
	{"name":"stop_it","input_schema":{"type":"object"}}]`

// What a model writes becomes blocks in its order, whole and streamed alike.
func TestMessagesTools(t *testing.T) {
	input := func(s string) json.RawMessage { return json.RawMessage(s) }
	for said, want := range map[string]message{
		`{"name": "add", "parameters": {"a": 1}}; {"name": "stop_it", "parameters": {}}`: {StopReason: "tool_use",
			Content: []messageBlock{{Type: "tool_use", Name: "add", Input: input(`{"a":1}`)}, {Type: "tool_use", Name: "stop_it", Input: input(`{}`)}}},
		`Look: <tool_call>{"name": "add", "arguments": {"a": 2}}</tool_call> so`: {StopReason: "tool_use",
			Content: []messageBlock{{Type: "text", Text: "Look: "}, {Type: "tool_use", Name: "add", Input: input(`{"a":2}`)}, {Type: "text", Text: "so"}}},
		`{"name": "other"} is unknown`: {StopReason: "end_turn", Content: []messageBlock{{Type: "text", Text: `{"name": "other"} is unknown`}}},
		"":                             {StopReason: "end_turn", Content: []messageBlock{{Type: "text"}}},
	} {
		h := start(t, setup{runner: saying(said)})
		body := strings.Replace(messageWith(messageTools), "60", "200", 1)
		whole := decode[message](t, h.send(t, "POST", "/v1/messages", body))
		parts := sumMessage(t, h.send(t, "POST", "/v1/messages", body[:len(body)-1]+`,"stream":true}`).body)
		for _, got := range []message{whole, parts} {
			if got.Usage = want.Usage; !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %s", said, openai.Encode(got))
			}
		}
	}
}

// A call that the client demands follows its schema; one that the limit cuts has an empty input, since the wire demands an object.
func TestMessagesForcedTools(t *testing.T) {
	h := start(t, setup{options: longContext})
	for seed := range 4 {
		for _, choice := range []string{`{"type":"tool","name":"add"}`, `{"type":"any","disable_parallel_tool_use":true}`} {
			body := strings.Replace(messageWith(fmt.Sprintf(`%s,"seed":%d,"tool_choice":%s`, messageTools, seed, choice)), "60", "300", 1)
			m := decode[message](t, h.send(t, "POST", "/v1/messages", body))
			if len(m.Content) != 1 || m.Content[0].Type != "tool_use" || m.StopReason != "tool_use" && m.StopReason != "max_tokens" {
				t.Fatalf("%s: got %s", choice, openai.Encode(m))
			}
			if in := string(m.Content[0].Input); m.StopReason == "tool_use" && m.Content[0].Name == "add" && in != `{"a":1}` && in != `{"a":2}` {
				t.Errorf("%s: got %s", choice, in)
			}
		}
	}
	m := decode[message](t, h.send(t, "POST", "/v1/messages", strings.Replace(messageWith(messageTools+`,"tool_choice":{"type":"tool","name":"add"}`), "60", "2", 1)))
	if m.StopReason != "max_tokens" || string(m.Content[0].Input) != "{}" {
		t.Errorf("got %s", openai.Encode(m))
	}
}

// Counting counts the prompt that would be read, and generates nothing; a last message of the assistant is continued.
func TestCountTokens(t *testing.T) {
	h := start(t, setup{})
	count := decode[openai.CountAnswer](t, h.send(t, "POST", "/v1/messages/count_tokens", `{"model":"fake","system":"be kind","messages":[{"role":"user","content":"hi"}]}`))
	if count.InputTokens != 1+len("system: be kinduser: hi?") {
		t.Errorf("got %+v", count)
	}
	prefilled := strings.Replace(messageWith(""), `"hi"}`, `"hi"},{"role":"assistant","content":"yo"}`, 1)
	count = decode[openai.CountAnswer](t, h.send(t, "POST", "/v1/messages/count_tokens", prefilled))
	m := decode[message](t, h.send(t, "POST", "/v1/messages", prefilled))
	if want := 1 + len("user: hiassistant: yo"); count.InputTokens != want || m.Usage.InputTokens != want {
		t.Errorf("got %+v, then %+v; want %d tokens", count, m.Usage, want)
	}
	if stats := h.Engine.Stats(); stats.PromptTokens != uint64(m.Usage.InputTokens) {
		t.Errorf("counting read %d tokens", stats.PromptTokens)
	}
}

// The prefix cache shows in the usage: the prompt's tokens are those that were read and those that were found.
func TestMessagesCachedTokens(t *testing.T) {
	h := start(t, setup{})
	body := strings.Replace(messageWith(""), `"hi"`, `"`+strings.Repeat("long ", 20)+`"`, 1)
	first := decode[message](t, h.send(t, "POST", "/v1/messages", body)).Usage
	again := decode[message](t, h.send(t, "POST", "/v1/messages", body)).Usage
	if first.CacheReadTokens != 0 || again.CacheReadTokens == 0 || again.InputTokens+again.CacheReadTokens != first.InputTokens {
		t.Errorf("got %+v, then %+v", first, again)
	}
}

// wantMessageError checks an error in Anthropic's form.
func (r reply) wantMessageError(t testing.TB, status int, kind string) {
	t.Helper()
	var e openai.MessageError
	if err := json.Unmarshal(r.body, &e); err != nil || r.status != status || e.Type != "error" || e.Error.Type != kind || e.Error.Message == "" ||
		e.RequestID == nil || *e.RequestID != r.header.Get("x-request-id") {
		t.Errorf("got %d %s (id %s); want %d %s", r.status, r.body, r.header.Get("x-request-id"), status, kind)
	}
}

// Every error of these routes has Anthropic's form, whoever found it; the key may come in Anthropic's header, there alone.
func TestMessagesErrors(t *testing.T) {
	h, secrets := keyed(t, setup{config: func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.BodyBytes = 4000
	}})
	key := secrets[auth.Inference]
	for _, path := range []string{"/v1/messages", "/v1/messages/count_tokens"} {
		h.send(t, "POST", path, messageWith(""), "x-api-key", "wrong").wantMessageError(t, 401, "authentication_error")
		h.send(t, "POST", path, messageWith("")).wantMessageError(t, 401, "authentication_error")
		h.send(t, "POST", path, messageWith(""), "x-api-key", secrets[auth.Admin]).wantMessageError(t, 403, "permission_error")
		h.send(t, "POST", path, messageWith(""), "Host", "evil.example").wantMessageError(t, 403, "permission_error")
		h.send(t, "GET", path, "", "x-api-key", key).wantMessageError(t, 405, "invalid_request_error")
		h.send(t, "POST", path, messageWith(""), "x-api-key", key, "Content-Type", "text/plain").wantMessageError(t, 415, "invalid_request_error")
		h.send(t, "POST", path, strings.Replace(messageWith(""), "fake", "nope", 1), "x-api-key", key).wantMessageError(t, 404, "not_found_error")
		h.send(t, "POST", path, `{"model":"fake"`, "x-api-key", key).wantMessageError(t, 400, "invalid_request_error")
		h.send(t, "POST", path, strings.Repeat(" ", 5000), "x-api-key", key).wantMessageError(t, 413, "request_too_large")
		for _, header := range [][2]string{{"x-api-key", key}, {"Authorization", "Bearer " + key}} {
			if got := h.send(t, "POST", path, messageWith(""), header[0], header[1], "anthropic-version", "2023-06-01"); got.status != 200 {
				t.Errorf("%s with %s: got %d %s", path, header[0], got.status, got.body)
			}
		}
	}
	h.send(t, "POST", "/v1/chat/completions", chatWith(""), "x-api-key", key).wantError(t, 401, "invalid_api_key")
	h.send(t, "POST", "/v1/messages", messageWith(`,"thinking":{"type":"enabled"}`), "x-api-key", key, "x-request-id", "mine").wantMessageError(t, 400, "invalid_request_error")
}

// An engine that fails in the middle of a stream ends it with an error event.
func TestMessagesFailInTheStream(t *testing.T) {
	h := start(t, setup{runner: func(r *enginetest.Runner) {
		r.OnRun = func(step int, _ *engine.Plan) error {
			if step == 3 {
				return fmt.Errorf("on fire")
			}
			return nil
		}
	}})
	events := namedEvents(t, h.send(t, "POST", "/v1/messages", messageWith(`,"stream":true,"ignore_eos":true`), "x-request-id", "r7").body)
	if last := events[len(events)-1]; last.name != "error" || !strings.Contains(last.data, `"type":"api_error"`) || !strings.Contains(last.data, `"request_id":"r7"`) {
		t.Errorf("the stream ended with %+v", last)
	}
	h.send(t, "POST", "/v1/messages", messageWith("")) // the engine goes on
}

// A stream that waits sends pings, and a client that goes away is noticed.
func TestMessagesPingAndCancel(t *testing.T) {
	g := newGate()
	h := start(t, setup{runner: g.hold(0), config: func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.KeepAliveInterval = 5 * time.Millisecond
	}})
	defer g.open()
	r, err := http.Post(h.url+"/v1/messages", "application/json", strings.NewReader(messageWith(`,"stream":true,"ignore_eos":true`)))
	if err != nil {
		t.Fatal(err)
	}
	seen := ""
	for buffer := make([]byte, 512); strings.Count(seen, "event: ping") < 4; {
		n, err := r.Body.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		seen += string(buffer[:n])
	}
	r.Body.Close()
	eventually(t, "the server has noticed", func() bool { return h.inFlightCalls() == 0 })
	g.open()
	eventually(t, "the request is cancelled", func() bool { return h.finished(engine.FinishCancel) == 1 })
}
