package server

import (
	"fmt"
	"strings"
)

func (b *badSet) syntax() {
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for _, text := range []string{"[]", `"x"`, "1", "null", "true", "{", "{]", `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1}x`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":+1}`, `{"a":NaN}`, `{"a":Infinity}`, `{"a":tru}`, `{"a":"\x"}`, `{"a":"\ud800"}`,
		`{"a":"\ud800\u0041"}`, `{"a":"\udc00"}`, `{"a":"\u12"}`, "{\"a\":\"\n\"}", "{\"a\":\"\xff\"}", "{\"\xff\":1}", "{\"a\":\"\xc0\xaf\"}", "{\"a\":\"\xed\xa0\x80\"}", "\xef\xbb\xbf{}", "\xff\xfe{\x00}\x00", `{'a':1}`, `{"a":1 "b":2}`, `{"a":[1 2]}`, `{"a":"`, `{"a":` + deep + `}`,
		strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000), `{}{}`, `{"model":"fake"} {}`, "{\"a\":\"\x00\"}", `{/**/}`, `{"a":1e}`, `{"a":--1}`, `{"a":0x1}`, `{a:1}`, "\x00{}", `{"a":1,"a":1}`, `{"model":"fake","model":"fake"}`, `{"a":{"b":1,"\u0062":2}}`} {
		b.post("07 JSON syntax", "/v1/chat/completions", "", text)
		b.post("07 JSON syntax", "/v1/completions", "", text)
	}
}

// types are values of a kind that the field does not have.
func (b *badSet) types() {
	for _, name := range []string{"temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "min_tokens", "seed", "priority", "top_k"} {
		for _, value := range []string{`"1"`, "true", "[]", "{}", `[1]`} {
			b.members("08 wrong types", 4, fmt.Sprintf("%q:%s", name, value))
		}
	}
	for _, name := range []string{"stop_token_ids", "allowed_token_ids", "logit_bias", "cache_salt", "request_id", "stream", "ignore_eos", "structured_outputs"} {
		for _, value := range []string{"7", `[[]]`, `{"a":{}}`, "1.5"} {
			if name != "structured_outputs" || value != `{"a":{}}` { // an unknown constraint, which is ignored
				b.members("08 wrong types", 4, fmt.Sprintf("%q:%s", name, value))
			}
		}
	}
	for _, body := range []string{`{"model":7,"prompt":"hi"}`, `{"model":null,"prompt":"hi"}`, `{"model":["fake"],"prompt":"hi"}`, `{"model":"fake","prompt":7}`, `{"model":"fake","prompt":{}}`, `{"model":"fake","prompt":true}`, `{"model":"fake","prompt":null}`} {
		b.post("08 wrong types", "/v1/completions", "", body)
	}
}

// edge is a number with the values just outside its range.
type edge struct {
	name         string
	below, above string
	whole        bool
}

// edges are the numbers of every generating endpoint, then those of chats and texts alone.
var edges = []edge{{"top_p", "0", "1.0000001", false}, {"min_p", "-0.0001", "1.0001", false}, {"presence_penalty", "-2.01", "2.01", false}, {"frequency_penalty", "-2.01", "2.01", false}, {"repetition_penalty", "0", "100.1", false},
	{"min_tokens", "-1", "16777217", true}, {"priority", "-1048577", "1048577", true}, {"seed", "-9223372036854775809", "9223372036854775808", true}, {"top_k", "-2", "2147483648", true},
	{"temperature", "-0.01", "2.01", false}, {"n", "0", "129", true}, {"max_tokens", "-1", "16777217", true}, {"prompt_logprobs", "-1", "21", true}, {"truncate_prompt_tokens", "0", "16777217", true}}

// everywhere is how many of the edges all four generating endpoints have.
const everywhere = 9

func (b *badSet) numbers() {
	for i, e := range edges {
		values := []string{e.below, e.above, "1e999", "-1e999", "1e308", "-1e308", "18446744073709551616", `"1"`, "[1]", "{}", "true", `""`, "1_000", "0b1", "1e", "- 1"}
		if e.whole {
			values = append(values, "1.5", "1e-1", "9007199254740993.5", "0.9999999999999999")
		}
		for _, value := range values {
			endpoints := 2
			if i < everywhere {
				endpoints = 4
			}
			b.members("09 numbers", endpoints, fmt.Sprintf("%q:%s", e.name, value))
		}
	}
}

func (b *badSet) messages() {
	for _, m := range []string{`{}`, `"a"`, `[]`, `null`, `7`, `{"role":"user"}`, `{"content":"a"}`, `{"role":"","content":"a"}`, `{"role":"root","content":"a"}`, `{"role":"USER","content":"a"}`, `{"role":7,"content":"a"}`, `{"role":["user"],"content":"a"}`, `{"role":"user","content":7}`, `{"role":"user","content":null}`,
		`{"role":"user","content":{}}`, `{"role":"user","content":[7]}`, `{"role":"user","content":[{}]}`, `{"role":"user","content":[{"type":"text"}]}`, `{"role":"user","content":[{"type":"text","text":7}]}`, `{"role":"user","content":[{"type":"video","text":"x"}]}`, `{"role":"user","content":[{"text":"a"}]}`,
		`{"role":"user","content":[{"type":"text","text":"a","type":"image_url"}]}`, `{"role":"tool","content":"a"}`, `{"role":"tool","content":"a","tool_call_id":7}`, `{"role":"assistant","tool_calls":[]}`, `{"role":"assistant","content":"a","tool_calls":[{}]}`, `{"role":"assistant","tool_calls":[{"type":"x"}]}`,
		`{"role":"assistant","tool_calls":[{"function":{"arguments":"{}"}}]}`, `{"role":"user","content":"a","tool_calls":[{"function":{"name":"f","arguments":""}}]}`, `{"role":"user","content":"refuse me"}`, `{"role":"user","content":"a","name":7}`, `{"role":"user","content":"a","role":"system"}`} {
		b.post("10 messages", "/v1/chat/completions", "", `{"model":"fake","messages":[`+m+`]}`)
		b.post("10 messages", "/tokenize", "", `{"model":"fake","messages":[`+m+`]}`)
	}
	b.post("10 messages", "/v1/chat/completions", "", `{"model":"fake"}`, `{"model":"fake","messages":[]}`, `{"model":"fake","messages":{}}`, `{"model":"fake","messages":"hi"}`, `{"model":"fake","messages":[`+strings.Repeat(`{"role":"user","content":"a"},`, 4096)+`{"role":"user","content":"a"}]}`)
	b.post("10 messages", "/v1/messages", "", `{"model":"fake","messages":[{"role":"user","content":"a"}]}`, `{"model":"fake","max_tokens":0,"messages":[{"role":"user","content":"a"}]}`, `{"model":"fake","max_tokens":5,"messages":[{"role":"system","content":7}]}`, `{"model":"fake","max_tokens":5,"messages":[]}`)
	b.post("10 messages", "/v1/responses", "", `{"model":"fake"}`, `{"model":"fake","input":[]}`, `{"model":"fake","input":7}`, `{"model":"fake","input":[{"type":"nothing"}]}`, `{"model":"fake","input":"hi","previous_response_id":"resp_1"}`)
}

// ids are tokens outside the vocabulary of 258, as ids that index something.
func (b *badSet) ids() {
	for _, id := range []string{"-1", "258", "2147483647", "2147483648", "-2147483649", "4294967296", "99999999999999999999", "1.5", `"1"`} {
		b.members("11 token ids", 4, `"stop_token_ids":[`+id+`]`, `"allowed_token_ids":[1,`+id+`]`)
		b.post("11 token ids", "/detokenize", "", `{"tokens":[`+id+`]}`)
		if !strings.HasPrefix(id, `"`) {
			b.post("11 token ids", "/v1/completions", "", `{"model":"fake","prompt":[1,`+id+`]}`)
			b.members("11 token ids", 4, `"logit_bias":{"`+id+`":1}`)
		}
	}
	b.members("11 token ids", 4, `"logit_bias":{"":1}`, `"logit_bias":{"01":1}`, `"logit_bias":{"+1":1}`, `"logit_bias":{"1":101}`, `"logit_bias":{"1":-1e308}`, `"logit_bias":{"1":null}`, `"allowed_token_ids":[]`, `"stop_token_ids":[`+strings.Repeat("1,", 128)+`1]`)
}

func (b *badSet) constraints() {
	b.members("12 stops and schemas", 2, `"stop":""`, `"stop":["a",""]`, `"stop":["a","b","c","d","e"]`, `"stop":[1]`, `"stop":{"a":1}`, `"stop":"`+strings.Repeat("x", 4097)+`"`)
	for _, schema := range []string{`7`, `[]`, `{"type":"strin"}`, `{"pattern":"("}`, `{"pattern":"(?=a)"}`, `{"pattern":"(a{1,1000}){1,1000}"}`, `{"$ref":"#"}`, `{"$ref":"http://localhost/x"}`, `{"$ref":"file:///etc/passwd"}`, `{"not":{}}`, `{"minLength":1e12}`, `{"minimum":1e999}`, `{"enum":[]}`, `{"type":"array","uniqueItems":true}`, `{"multipleOf":0}`,
		strings.Repeat(`{"items":`, 70) + "{}" + strings.Repeat("}", 70), strings.Repeat(`{"items":`, 10_000) + "{}" + strings.Repeat("}", 10_000), `{"type":"string","type":"null"}`, `{"enum":[` + strings.Repeat(`"x",`, 70_000) + `"x"]}`} {
		b.members("12 stops and schemas", 4, `"structured_outputs":{"json":`+schema+`}`)
		b.members("12 stops and schemas", 1, `"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":`+schema+`}}`)
	}
	b.members("12 stops and schemas", 4, `"structured_outputs":{"regex":"(a+"}`, `"structured_outputs":{"regex":"((a{1,30}){1,30}){1,30}"}`, `"structured_outputs":{"regex":"(?R)"}`, `"structured_outputs":{"choice":[]}`, `"structured_outputs":{"choice":["a",""]}`, `"structured_outputs":{"grammar":"root ::= x"}`,
		`"structured_outputs":{"json":{},"regex":"a"}`, `"structured_outputs":{"choice":["a"]},"ignore_eos":true`)
}

// specials are names of special tokens where they would steer something.
func (b *badSet) specials() {
	for _, name := range []string{"<bos>", "<eos>", "<|im_start|>system", "<|eot_id|>"} {
		b.post("13 special tokens", "/v1/chat/completions", "", `{"model":"`+name+`","messages":[{"role":"user","content":"hi"}]}`, `{"model":"fake","messages":[{"role":"`+name+`","content":"hi"}]}`, chatWith(`,"tools":[{"type":"function","function":{"name":"`+name+`"}}]`), chatWith(`,"chat_template_kwargs":{"bos_token":"`+name+`"}`))
		b.members("13 special tokens", 4, `"request_id":"`+name+`"`, `"stop_token_ids":["`+name+`"]`, `"logit_bias":{"`+name+`":1}`)
	}
}

func (b *badSet) lengths() {
	long := strings.Repeat("x", 300)
	b.post("14 lengths", "/v1/completions", "", `{"model":"fake","prompt":""}`, `{"model":"fake","prompt":[]}`, `{"model":"fake","prompt":[[]]}`, `{"model":"fake","prompt":["a",""]}`, `{"model":"fake","prompt":"`+long+`"}`, `{"model":"fake","prompt":["a","`+long+`"]}`, textWith(`,"max_tokens":1000`), textWith(`,"min_tokens":1000`),
		textWith(`,"min_tokens":9,"max_tokens":8`), textWith(`,"n":128,"max_tokens":240`), textWith(`,"max_tokens":0`), `{"model":"fake","prompt":"`+strings.Repeat("x", 250)+`","min_tokens":20}`, `{"model":"`+long+`","prompt":"hi"}`)
	b.post("14 lengths", "/v1/chat/completions", "", strings.Replace(chatWith(""), "hi", long, 1), chatWith(`,"max_completion_tokens":1000`), chatWith(`,"max_tokens":1,"max_completion_tokens":2`))
	b.post("14 lengths", "/v1/embeddings", "", `{"model":"fake","input":""}`, `{"model":"fake","input":[]}`, `{"model":"fake","input":"`+long+`"}`, `{"model":"fake","input":[[-1]]}`, `{"model":"fake","input":[999]}`, `{"model":"fake","input":7}`)
}

func (b *badSet) kwargs() {
	for _, kwargs := range []string{"7", `"x"`, "[]", `{"messages":[]}`, `{"tools":1}`, `{"bos_token":"x"}`, `{"eos_token":"x"}`, `{"chat_template":"{{ 1 }}"}`, `{"add_generation_prompt":false}`, `{"raise_exception":1}`, `{"range":1}`, `{"namespace":1}`, `{"loop":1}`, `{"self":1}`, `{"__class__":1}`, `{"_x":1}`, `{"a b":1}`, `{"":1}`, `{"1a":1}`,
		`{"x":[[[[[[[[[1]]]]]]]]]}`, `{"` + strings.Repeat("k", 65) + `":1}`, `{"x":"` + strings.Repeat("x", 33<<10) + `"}`} {
		b.post("15 template kwargs", "/v1/chat/completions", "", chatWith(`,"chat_template_kwargs":`+kwargs))
	}
	b.post("15 template kwargs", "/v1/chat/completions", "unsupported_parameter", chatWith(`,"chat_template":"{% include '/etc/passwd' %}"`), chatWith(`,"chat_template":"{{ ''.__class__.__mro__ }}"`), chatWith(`,"documents":[{"text":"x"}]`))
}

func (b *badSet) batches() {
	many := strings.Repeat(`"a",`, 256)
	b.post("17 batches", "/v1/completions", "", `{"model":"fake","prompt":[`+many+`"a"]}`, `{"model":"fake","prompt":["a",1]}`, `{"model":"fake","prompt":[1,"a"]}`, `{"model":"fake","prompt":[[1],[]]}`, `{"model":"fake","prompt":[[1],[-1]]}`, `{"model":"fake","prompt":[[[1]]]}`, `{"model":"fake","prompt":[null]}`,
		`{"model":"fake","prompt":[{}]}`, `{"model":"fake","prompt":[true]}`, `{"model":"fake","prompt":["a","b"],"n":129}`, `{"model":"fake","prompt":[`+many[:4*9-1]+`],"n":128}`, `{"model":"fake","prompt":[`+many[:4*255-1]+`],"max_tokens":200}`, textWith(`,"best_of":2`), textWith(`,"best_of":0`), textWith(`,"use_beam_search":true`))
	b.post("17 batches", "/v1/embeddings", "", `{"model":"fake","input":[`+many+`"a"]}`, `{"model":"fake","input":["a",1]}`, `{"model":"fake","input":[null]}`)
}

func (b *badSet) unsupported() {
	part := func(p string) string { return `{"model":"fake","messages":[{"role":"user","content":[` + p + `]}]}` }
	b.post("18 unsupported", "/v1/chat/completions", "unsupported_content", part(`{"type":"image_url","image_url":{"url":"http://localhost/x"}}`), part(`{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}`), part(`{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}`),
		part(`{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}`), part(`{"type":"file","file":{"file_id":"x"}}`))
	b.post("18 unsupported", "/v1/chat/completions", "", chatWith(`,"response_format":{"type":"xml"}`), chatWith(`,"response_format":{}`), chatWith(`,"response_format":"json"`), chatWith(`,"response_format":{"type":"json_schema"}`), chatWith(`,"response_format":{"type":"json_schema","json_schema":{"schema":{}}}`), chatWith(`,"tools":[]`), chatWith(`,"tools":[{"type":"retrieval"}]`),
		chatWith(`,"tools":[{"type":"function","function":{"name":"a","parameters":[]}}]`), chatWith(`,"tool_choice":"any"`), chatWith(`,"tool_choice":{"type":"function","function":{"name":"b"}}`), chatWith(`,"tools":[{"type":"function","function":{"name":"a","parameters":{"$ref":"http://x"}}}],"tool_choice":"required"`))
	b.members("18 unsupported", 2, `"functions":[{}]`, `"function_call":"auto"`, `"guided_json":{}`, `"guided_regex":"a"`, `"guided_grammar":"x"`, `"audio":{}`, `"modalities":["audio"]`, `"web_search_options":{}`, `"logits_processors":["os.system"]`, `"bad_words":["x"]`, `"skip_special_tokens":false`, `"stream_options":{"include_usage":true}`, `"length_penalty":2`)
	b.post("18 unsupported", "/v1/completions", "", textWith(`,"suffix":"x"`), `{"model":"nope","prompt":"hi"}`, `{"model":"../../etc/passwd","prompt":"hi"}`)
}
