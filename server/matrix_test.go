package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"astro/engine"
	"astro/openai"
)

// asked are the features of requests: members of a chat, and whether a text completion has them too.
var asked = []struct {
	member string
	text   bool
}{
	{`"n":3`, true}, {`"logprobs":true,"top_logprobs":2`, false}, {`"prompt_logprobs":2`, true}, {`"presence_penalty":1,"frequency_penalty":-1,"repetition_penalty":1.5`, true}, {`"temperature":0`, true}, {`"top_k":5,"top_p":0.5,"min_p":0.1`, true},
	{`"stop":["a","bc"]`, true}, {`"stop":"c","include_stop_str_in_output":true`, true}, {`"stop_token_ids":[70,71,72]`, true}, {`"logit_bias":{"70":50,"1":-100}`, true}, {`"min_tokens":5`, true}, {`"ignore_eos":true`, true},
	{`"allowed_token_ids":[0,70,71,72,73]`, true}, {`"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"array","items":{"enum":[1,2,"é"]},"maxItems":3}}}`, true}, {`"structured_outputs":{"regex":"[ab]{2,8}"}`, true},
	{`"tools":[{"type":"function","function":{"name":"add","parameters":{"type":"object","properties":{"a":{"enum":[1,2]}},"required":["a"],"additionalProperties":false}}}],"tool_choice":"required"`, false},
	{`"priority":7`, true}, {`"cache_salt":"x"`, true}, {`"stream":true`, true}, {`"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}`, true}, {`"return_token_ids":true,"return_weight_versions":true`, true}, {`"truncate_prompt_tokens":3`, true},
	{`"echo":true`, true}, {`"max_tokens":200`, true}, {`"chat_template_kwargs":{"x":1}`, false},
}

// pairBody is a request with two features; ok = both are there for that endpoint, and no member is there twice.
func pairBody(i, j int, text bool) (body string, ok bool) {
	members := asked[i].member
	if i != j {
		members += "," + asked[j].member
	}
	if !strings.Contains(members, "max_tokens") {
		members += `,"max_tokens":24`
	}
	body = chatWith(`,"seed":5,` + members)
	if text {
		body = textWith(`,"seed":5,` + members)
	}
	body = strings.Replace(body, `"hi"`, `"a prompt that takes several pages"`, 1)
	a, _, _ := strings.Cut(asked[i].member, ":")
	b, _, _ := strings.Cut(asked[j].member, ":")
	return body, (i == j || a != b) && (!text || asked[i].text && asked[j].text)
}

// essence is what an answer says, without what differs from one time to the next; of a stream, the sum of its events by choice.
func essence(t *testing.T, r reply) string {
	t.Helper()
	if !strings.HasPrefix(r.header.Get("Content-Type"), "text/event-stream") {
		return fmt.Sprint(r.status, changing.ReplaceAllString(string(r.body), ""))
	}
	texts, ends := map[int]string{}, map[int]string{}
	for _, e := range events(t, r.body) {
		var chunk struct {
			Error   json.RawMessage
			Choices []struct {
				Index        int
				Text         string
				FinishReason string `json:"finish_reason"`
				Delta        struct {
					Content   string
					ToolCalls []openai.ToolCall `json:"tool_calls"`
				}
			}
		}
		if err := json.Unmarshal([]byte(e), &chunk); err != nil || chunk.Error != nil {
			t.Errorf("%s: %v", e, err)
		}
		for _, c := range chunk.Choices {
			texts[c.Index] += c.Text + c.Delta.Content
			for _, call := range c.Delta.ToolCalls {
				texts[c.Index] += call.Function.Name + call.Function.Arguments
			}
			ends[c.Index] += c.FinishReason
		}
	}
	return fmt.Sprint(texts, ends)
}

// R6: every pair of features, over HTTP. On a server that has little room, reads prompts in pieces of one token, preempts, and answers
// sixteen at a time, each request gets what it gets alone: the same answer or the same refusal. Nothing dies, no page is lost.
func TestSec_R06PairsOfFeatures(t *testing.T) {
	alone := start(t, setup{options: func(o *engine.Options) { o.Config.PrefixCache = false }})
	crowd := start(t, setup{options: func(o *engine.Options) { o.Config.ChunkTokens, o.Config.Pages, o.Config.MaxSlots = 3, 80, 5 }})
	type question struct{ path, body, want string }
	questions := make(chan question, 16)
	answered, refused := 0, 0
	var clients sync.WaitGroup
	for range cap(questions) {
		clients.Go(func() {
			for q := range questions {
				if got := essence(t, crowd.send(t, "POST", q.path, q.body)); got != q.want {
					t.Errorf("%s: got %s; alone %s", q.body, got, q.want)
				}
			}
		})
	}
	for i := range asked {
		for j := range i + 1 {
			for _, text := range []bool{false, true} {
				body, ok := pairBody(i, j, text)
				path := map[bool]string{false: "/v1/chat/completions", true: "/v1/completions"}[text]
				if !ok {
					continue
				}
				r := alone.send(t, "POST", path, body)
				if r.status != 200 && r.status != 400 {
					t.Errorf("%s: got %d %s", body, r.status, r.body)
				}
				if answered++; r.status == 400 {
					refused++
				}
				questions <- question{path, body, essence(t, r)}
			}
		}
		const inputs = `{"model":"fake","input":["a prompt that takes several pages","b"]}`
		questions <- question{"/v1/embeddings", inputs, essence(t, alone.send(t, "POST", "/v1/embeddings", inputs))}
	}
	close(questions)
	clients.Wait()
	t.Logf("%d requests, %d of them refused alike; %d preemptions, %d cached tokens", answered, refused, crowd.Engine.Stats().Preemptions, crowd.Engine.Stats().CachedTokens)
	if stats := crowd.Engine.Stats(); refused*5 > answered || stats.Preemptions == 0 || stats.CachedTokens == 0 || stats.Failures > 0 {
		t.Errorf("the crowd was no crowd: %+v", stats)
	}
	eventually(t, "all pages are given back", func() bool { s := crowd.Engine.Stats(); return s.Sequences() == 0 && s.Pages.Held == 0 })
}
