package server

import (
	"fmt"
	"strings"
)

// hostile is a request that must be refused, whatever the route.
type hostile struct{ path, body string }

// badRequests are requests that clients got other servers into trouble with, for both generating routes and the tokenizer's. None of
// them is answered with 200 or 5xx.
func badRequests() (all []hostile) {
	add := func(path, body string) { all = append(all, hostile{path, body}) }
	both := func(extra string) {
		add("/v1/chat/completions", chatWith(extra))
		add("/v1/completions", textWith(extra))
	}
	for _, name := range []string{"temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "n", "max_tokens", "min_tokens",
		"top_k", "prompt_logprobs", "truncate_prompt_tokens", "priority"} {
		for _, value := range []string{"1e400", "-1e400", "NaN", "Infinity", "-3000000", "99999999999999999999", `"1"`, "[]", "{}", "true", "0.5.5", "0x10", "--1"} {
			both(fmt.Sprintf(`,%q:%s`, name, value))
		}
	}
	for _, name := range []string{"stop", "stop_token_ids", "allowed_token_ids", "logit_bias", "response_format", "stream_options", "model", "cache_salt", "request_id"} {
		for _, value := range []string{"7", "true", `{"a":`, `[[[[]]]]`, `{"x":{"y":{}}}`, `["a",1,null]`, strings.Repeat("[", 100) + strings.Repeat("]", 100)} {
			both(fmt.Sprintf(`,%q:%s`, name, value))
		}
	}
	for _, ids := range []string{"[-1]", "[258]", "[2147483648]", "[99999999999999999999]", `["1"]`, "[1.5]"} {
		both(`,"stop_token_ids":` + ids)
		both(`,"allowed_token_ids":` + ids)
		if !strings.Contains(ids, `"`) { // else it is a text
			add("/v1/completions", `{"model":"fake","prompt":`+ids+`}`)
		}
		add("/detokenize", `{"tokens":`+ids+`}`)
	}
	for _, text := range []string{"", " ", "{", "}", "null", "[]", `"x"`, "{}", `{"model":"fake"}`, `{"model":"fake"}{}`, "\x00", "\xff\xfe{\x00}\x00", `{"model":"fake",}`,
		`{"model":"fa` + "\xc3\x28" + `"}`, `{"a":"\ud800"}`, "\ufeff{}", `{"model":"` + strings.Repeat("m", 1000) + `","prompt":"x","messages":[{"role":"user","content":"x"}]}`} {
		if text != "" {
			add("/v1/chat/completions", text)
			add("/v1/completions", text)
			add("/tokenize", text)
			add("/v1/responses", text)
			add("/v1/messages", text)
			add("/v1/messages/count_tokens", text)
		}
	}
	for _, m := range []string{`{}`, `{"role":"user"}`, `{"role":"root","content":"x"}`, `{"role":"user","content":7}`, `{"role":"user","content":[{"type":"text"}]}`,
		`{"role":"user","content":[{"type":"video","text":"x"}]}`, `{"role":"tool","content":"x","tool_call_id":7}`, `{"role":"user","content":"refuse me"}`} {
		add("/v1/chat/completions", `{"model":"fake","messages":[`+m+`]}`)
	}
	for _, value := range []string{"7", "true", `"x"`, `[[[[]]]]`, `[{"type":"image","source":{"url":"file:///etc/passwd"}}]`, `[{"type":"tool_use","input":{}}]`, `[{"role":7}]`} {
		for _, name := range []string{"input", "tools", "tool_choice", "text", "metadata", "include"} {
			if name != "input" || value[0] != '"' {
				add("/v1/responses", strings.Replace(responseWith(fmt.Sprintf(`,%q:%s`, name, value)), `"input":"hi",`, `"seed":1,`, map[bool]int{true: 1}[name == "input"]))
			}
		}
		for _, name := range []string{"tools", "tool_choice", "thinking", "stop_sequences", "temperature"} {
			add("/v1/messages", messageWith(fmt.Sprintf(`,%q:%s`, name, value)))
		}
		add("/v1/messages", `{"model":"fake","max_tokens":5,"messages":`+value+`}`)
	}
	both(`,"n":128,"max_tokens":255,"min_tokens":255`)
	both(`,"min_tokens":9,"max_tokens":8`)
	both(`,"max_tokens":10000`)
	both(`,"response_format":{"type":"/etc/passwd"}`)
	both(`,"model":"../../etc/passwd"`)
	return all
}

// outbound are requests that name an address, as servers were made to call; url is put where they look.
func outbound(url string) (all []hostile) {
	quoted := fmt.Sprintf("%q", url)
	add := func(body string) { all = append(all, hostile{"/v1/chat/completions", body}) }
	add(`{"model":"fake","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":` + quoted + `}}]}]}`)
	add(`{"model":"fake","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":` + quoted + `}}]}]}`)
	add(`{"model":"fake","messages":[{"role":"user","content":[{"type":"file","file":{"file_data":` + quoted + `}}]}]}`)
	all = append(all, hostile{"/v1/responses", `{"model":"fake","input":[{"role":"user","content":[{"type":"input_image","image_url":` + quoted + `}]}]}`},
		hostile{"/v1/messages", `{"model":"fake","max_tokens":5,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","image_url":` + quoted + `}}]}]}`})
	add(`{"model":` + quoted + `,"messages":[{"role":"user","content":"hi"}]}`)
	add(chatWith(`,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"$ref":` + quoted + `}}}`))
	add(chatWith(`,"tools":[{"type":"function","function":{"name":"f","parameters":{"$schema":` + quoted + `,"$ref":` + quoted + `}}}]`))
	add(chatWith(`,"max_tokens":1,"chat_template":"{% include ` + strings.ReplaceAll(url, `"`, "") + ` %}"`))
	add(chatWith(`,"max_tokens":1,"kv_transfer_params":{"remote_host":` + quoted + `},"webhook":` + quoted + `,"metadata":{"callback":` + quoted + `}`))
	return all
}
