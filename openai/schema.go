package openai

import "maps"

// Object is a part of an OpenAPI 3.1 document.
type Object map[string]any

func number(low, high float64) Object {
	return Object{"type": "number", "minimum": low, "maximum": high}
}
func integer(low, high int64) Object {
	return Object{"type": "integer", "minimum": low, "maximum": high}
}
func text(maxBytes int) Object { return Object{"type": "string", "maxLength": maxBytes} }
func list(of Object, from, to int) Object {
	return Object{"type": "array", "items": of, "minItems": from, "maxItems": to}
}
func oneOf(kinds ...Object) Object { return Object{"anyOf": kinds} }
func words(all ...string) Object   { return Object{"type": "string", "enum": all} }
func ref(name string) Object       { return Object{"$ref": "#/components/schemas/" + name} }

// members is an object with these properties, each of which may also be null, which means that it is not given.
func members(properties map[string]Object, needed ...string) Object {
	all := Object{}
	for name, schema := range properties {
		all[name] = oneOf(schema, Object{"type": "null"})
	}
	for _, name := range needed {
		all[name] = properties[name]
	}
	o := Object{"type": "object", "properties": all}
	if len(needed) > 0 {
		o["required"] = needed
	}
	return o
}

var (
	boolean  = Object{"type": "boolean"}
	anything = Object{"type": "object"}
	tokenIDs = list(integer(0, maxTokenID), 0, 1<<20)
)

// optionSchemas describe what optionFields read; a test compares the names.
var optionSchemas = map[string]Object{
	"model":                      {"type": "string", "minLength": 1, "maxLength": MaxModelBytes},
	"temperature":                number(0, 2),
	"top_p":                      number(smallestPositive, 1),
	"top_k":                      integer(-1, maxTokenID),
	"min_p":                      number(0, 1),
	"presence_penalty":           number(-2, 2),
	"frequency_penalty":          number(-2, 2),
	"repetition_penalty":         number(smallestPositive, 100),
	"logit_bias":                 {"type": "object", "additionalProperties": number(-100, 100), "propertyNames": Object{"pattern": "^(0|[1-9][0-9]{0,8})$"}, "maxProperties": MaxLogitBiases},
	"seed":                       integer(-1<<63, 1<<63-1),
	"n":                          integer(1, MaxChoicesPerPrompt),
	"min_tokens":                 integer(0, MaxTokens),
	"stop":                       oneOf(stopSchema, list(stopSchema, 0, MaxStopStrings)),
	"stop_token_ids":             list(integer(0, maxTokenID), 0, MaxStopTokens),
	"ignore_eos":                 boolean,
	"stream":                     boolean,
	"stream_options":             members(map[string]Object{"include_usage": boolean, "include_obfuscation": boolean, "continuous_usage_stats": boolean}),
	"return_token_ids":           boolean,
	"allowed_token_ids":          list(integer(0, maxTokenID), 1, 1<<20),
	"prompt_logprobs":            integer(0, MaxTopLogprobs),
	"truncate_prompt_tokens":     integer(1, MaxTokens),
	"return_tokens_as_token_ids": boolean,
	"return_weight_versions":     boolean,
	"priority":                   integer(-MaxPriority, MaxPriority),
	"cache_salt":                 {"type": "string", "minLength": 1, "maxLength": MaxSaltBytes, "pattern": `^[^@/\\\u0000]+$`},
	"request_id":                 {"type": "string", "pattern": `^[A-Za-z0-9._-]{1,64}$`},
	"response_format": members(map[string]Object{"type": words("text", string(JSONObject), string(JSONSchema)),
		"json_schema": members(map[string]Object{"name": {"type": "string", "minLength": 1, "maxLength": MaxModelBytes}, "schema": anything, "strict": boolean, "description": text(MaxSchemaBytes)}, "name")}, "type"),
	"structured_outputs": members(map[string]Object{"json": anything, "regex": text(MaxPatternSize), "choice": list(Object{"type": "string", "minLength": 1, "maxLength": MaxChoiceBytes}, 1, MaxAlternative),
		"json_object": boolean}),
	"include_stop_str_in_output": boolean,
	"store":                      boolean,
	"user":                       {"type": "string"},
	"metadata":                   metadataSchema,
}

// metadataSchema has limits in characters, which are up to four bytes each.
var metadataSchema = Object{"type": "object", "maxProperties": MaxMetadata, "propertyNames": Object{"maxLength": MaxMetadataKeyBytes / 4},
	"additionalProperties": Object{"type": "string", "maxLength": MaxMetadataValueBytes / 4}}

var stopSchema = Object{"type": "string", "minLength": 1, "maxLength": MaxStopBytes}

// renderingSchemas and toolSchemas describe what readRendering and readTooling read.
var (
	renderingSchemas = map[string]Object{"add_generation_prompt": boolean, "continue_final_message": boolean, "chat_template_kwargs": {"type": "object",
		"propertyNames": Object{"pattern": "^[A-Za-z][A-Za-z0-9_]{0,63}$"}}}
	toolSchemas = map[string]Object{"tools": list(ref("Tool"), 1, MaxTools), "parallel_tool_calls": boolean,
		"tool_choice": oneOf(words(string(ToolsNone), string(ToolsAuto), string(ToolsRequired)),
			members(map[string]Object{"type": words("function"), "function": members(map[string]Object{"name": toolNameSchema}, "name")}, "function"))}
	chatSchemas = map[string]Object{"messages": list(ref("Message"), 1, MaxMessages), "max_completion_tokens": integer(1, MaxTokens),
		"max_tokens": integer(1, MaxTokens), "logprobs": boolean, "top_logprobs": integer(0, MaxTopLogprobs)}
	completionSchemas = map[string]Object{"prompt": oneOf(Object{"type": "string"}, list(Object{"type": "string"}, 1, MaxPrompts), list(integer(0, maxTokenID), 1, 1<<20),
		list(list(integer(0, maxTokenID), 1, 1<<20), 1, MaxPrompts)), "max_tokens": integer(0, MaxTokens), "echo": boolean,
		"logprobs": integer(0, MaxTopLogprobs), "best_of": integer(1, MaxChoicesPerPrompt)}
	embeddingSchemas = map[string]Object{"model": optionSchemas["model"], "input": completionSchemas["prompt"], "encoding_format": words("float", "base64"),
		"pooling": words("mean", "last"), "user": {"type": "string"}}
	tokenizeSchemas = map[string]Object{"model": optionSchemas["model"], "prompt": {"type": "string"}, "messages": chatSchemas["messages"],
		"add_special_tokens": boolean, "return_token_strs": boolean}
	toolNameSchema = Object{"type": "string", "pattern": `^[A-Za-z0-9_-]{1,64}$`}
)

func joined(all ...map[string]Object) map[string]Object {
	sum := map[string]Object{}
	for _, m := range all {
		maps.Copy(sum, m)
	}
	return sum
}

// Schemas are the components of the OpenAPI document: what requests may hold, and what answers hold.
func Schemas() map[string]Object {
	logprob := members(map[string]Object{"token": {"type": "string"}, "logprob": {"type": "number"}, "bytes": list(integer(0, 255), 0, 1<<20)}, "token", "logprob")
	return joined(foreignSchemas(), learningSchemas(), finetuneSchemas(), map[string]Object{
		"ChatCompletionRequest": members(joined(optionSchemas, renderingSchemas, toolSchemas, chatSchemas), "model", "messages"),
		"CompletionRequest":     members(joined(optionSchemas, completionSchemas), "model", "prompt"),
		"EmbeddingsRequest":     members(embeddingSchemas, "model", "input"),
		"EmbeddingList": members(map[string]Object{"object": words("list"), "model": {"type": "string"}, "usage": ref("Usage"),
			"data": list(members(map[string]Object{"object": words("embedding"), "index": integer(0, MaxPrompts),
				"embedding": oneOf(list(Object{"type": "number"}, 1, 1<<20), Object{"type": "string"})}, "object", "index", "embedding"), 1, MaxPrompts)}, "object", "data", "model", "usage"),
		"TokenizeRequest":   tokenizeSchema(),
		"DetokenizeRequest": members(map[string]Object{"model": optionSchemas["model"], "tokens": tokenIDs}, "tokens"),
		"Message":           messageSchema(),
		"ToolCall": members(map[string]Object{"id": {"type": "string"}, "type": words("function"),
			"function": members(map[string]Object{"name": {"type": "string", "minLength": 1, "maxLength": MaxToolNameBytes}, "arguments": {"type": "string"}}, "name")}, "function"),
		"Tool": members(map[string]Object{"type": words("function"), "function": members(map[string]Object{"name": toolNameSchema,
			"description": {"type": "string"}, "parameters": anything, "strict": boolean}, "name")}, "type", "function"),
		"Usage": members(map[string]Object{"prompt_tokens": integer(0, maxTokenID), "completion_tokens": integer(0, maxTokenID), "total_tokens": integer(0, maxTokenID),
			"prompt_tokens_details": anything}, "prompt_tokens", "completion_tokens", "total_tokens"),
		"ChatCompletion":   answer("ChatChoice", "service_tier", "usage"),
		"Completion":       answer("CompletionChoice", "usage"),
		"ChatChoice":       choiceSchema("message", anything),
		"CompletionChoice": choiceSchema("text", Object{"type": "string"}),
		"Logprob":          logprob,
		"TokenizeAnswer": members(map[string]Object{"count": integer(0, maxTokenID), "max_model_len": integer(0, maxTokenID), "tokens": tokenIDs,
			"token_strs": list(Object{"type": "string"}, 0, 1<<20)}, "count", "max_model_len", "tokens"),
		"DetokenizeAnswer": members(map[string]Object{"prompt": {"type": "string"}}, "prompt"),
		"Model": members(map[string]Object{"id": {"type": "string"}, "object": words("model"), "created": integer(0, 1<<40), "owned_by": {"type": "string"},
			"max_model_len": integer(1, maxTokenID), "policy_version": integer(0, 1<<53)}, "id", "object", "created", "owned_by"),
		"ModelList": members(map[string]Object{"object": words("list"), "data": list(ref("Model"), 1, 1<<10)}, "object", "data"),
		"Error": members(map[string]Object{"error": members(map[string]Object{"message": {"type": "string"}, "type": {"type": "string"}, "param": {"type": "string"},
			"code": {"type": "string"}}, "message", "type")}, "error"),
	})
}

// messageSchema is a message by its role: only an assistant's, which called tools, has no content, and only a tool's says which call
// it answers.
func messageSchema() Object {
	content := oneOf(Object{"type": "string"}, list(members(map[string]Object{"type": words("text"), "text": {"type": "string"}}, "type", "text"), 0, MaxContentParts))
	calls, name, nothing := list(ref("ToolCall"), 0, MaxTools), text(MaxToolNameBytes), Object{"type": "null"}
	assistant := map[string]Object{"role": words("assistant"), "content": content, "name": name, "tool_calls": calls}
	calling := joined(assistant, map[string]Object{"tool_calls": list(ref("ToolCall"), 1, MaxTools)})
	return oneOf(members(map[string]Object{"role": words("system", "developer", "user"), "content": content, "name": name, "tool_calls": nothing}, "role", "content"),
		members(assistant, "role", "content"), members(calling, "role", "tool_calls"),
		members(map[string]Object{"role": words("tool"), "content": content, "name": name, "tool_calls": nothing,
			"tool_call_id": {"type": "string", "minLength": 1, "maxLength": MaxModelBytes}}, "role", "content", "tool_call_id"))
}

// EventSchema is one event of a stream, since a document of version 3.1 describes streams by what they repeat.
// Events with names have their type as name.
func EventSchema(named bool) Object {
	data, name := Object{"type": "string"}, Object{"type": "string"}
	if named {
		data["description"] = "An object, as JSON, whose type is the event's name."
		return Object{"type": "object", "required": []string{"event", "data"}, "properties": Object{"event": name, "data": data}}
	}
	data["description"] = "A chunk of the answer or an error object, as JSON; [DONE] ends the stream."
	return Object{"type": "object", "required": []string{"data"}, "properties": Object{"data": data}}
}

// tokenizeSchema is a text or a conversation.
func tokenizeSchema() Object {
	text, talk := maps.Clone(tokenizeSchemas), joined(tokenizeSchemas, renderingSchemas, toolSchemas)
	delete(text, "messages")
	delete(talk, "prompt")
	return oneOf(members(text, "prompt"), members(talk, "messages"))
}

// answer is the body of a completion, chat or text.
func answer(choice string, extra ...string) Object {
	properties := map[string]Object{"id": {"type": "string"}, "object": {"type": "string"}, "created": integer(0, 1<<40), "model": {"type": "string"},
		"choices": list(ref(choice), 1, MaxChoices), "usage": ref("Usage"), "system_fingerprint": {"type": "string"}, "service_tier": {"type": "string"}}
	return members(properties, append([]string{"id", "object", "created", "model", "choices"}, extra...)...)
}

func choiceSchema(name string, content Object) Object {
	return members(map[string]Object{"index": integer(0, MaxChoices), name: content, "logprobs": anything, "finish_reason": {"type": "string"}}, "index", name, "finish_reason")
}
