package openai

// shared are the common parameters that a foreign API reads too; see readForeign.
func shared(own map[string]Object, others map[string][]string) map[string]Object {
	all := joined(optionSchemas, renderingSchemas)
	for _, left := range []map[string][]string{chatOnly, others} {
		for name := range left {
			delete(all, name)
		}
	}
	return joined(all, own)
}

var (
	someName  = Object{"type": "string", "minLength": 1, "maxLength": MaxModelBytes}
	aCallID   = Object{"type": "string", "minLength": 1, "maxLength": MaxModelBytes}
	aToolName = Object{"type": "string", "minLength": 1, "maxLength": MaxToolNameBytes}
)

// responsesSchemas describe what DecodeResponsesRequest reads besides the common parameters.
var responsesSchemas = map[string]Object{
	"input":               oneOf(Object{"type": "string"}, list(itemSchema(), 1, MaxMessages)),
	"instructions":        {"type": "string"},
	"max_output_tokens":   integer(1, MaxTokens),
	"parallel_tool_calls": boolean,
	"max_tool_calls":      integer(1, MaxTokens),
	"user":                text(MaxModelBytes),
	"tools": list(members(map[string]Object{"type": words("function"), "name": toolNameSchema, "description": {"type": "string"}, "parameters": anything,
		"strict": boolean}, "type", "name"), 0, MaxTools),
	"tool_choice": oneOf(words(string(ToolsNone), string(ToolsAuto), string(ToolsRequired)),
		members(map[string]Object{"type": words("function"), "name": toolNameSchema}, "name")),
	"text": members(map[string]Object{"verbosity": words("low", "medium", "high"), "format": oneOf(
		members(map[string]Object{"type": words("text", string(JSONObject))}, "type"),
		members(map[string]Object{"type": words(string(JSONSchema)), "name": someName, "schema": anything, "strict": boolean,
			"description": {"type": "string"}}, "type", "name", "schema"))}),
}

// itemSchema is an entry of input.
func itemSchema() Object {
	content := oneOf(Object{"type": "string"}, list(members(map[string]Object{"type": words("input_text", "output_text"), "text": {"type": "string"}},
		"type", "text"), 0, MaxContentParts))
	// Every field is read wherever it stands, so that each kind of item has them all.
	item := func(kind string, needs ...string) Object {
		return members(map[string]Object{"type": words(kind), "role": words("system", "developer", "user", "assistant"), "content": content, "call_id": aCallID, "name": aToolName,
			"arguments": {"type": "string"}, "output": content}, needs...)
	}
	return oneOf(item("message", "role", "content"), item("function_call", "type", "call_id", "name", "arguments"), item("function_call_output", "type", "call_id", "output"))
}

// messagesSchemas describe what DecodeMessagesRequest reads besides the common parameters.
var messagesSchemas = map[string]Object{
	"max_tokens":     integer(1, MaxTokens),
	"messages":       list(turnSchema(), 1, MaxMessages),
	"system":         oneOf(Object{"type": "string"}, list(textBlockSchema, 0, MaxContentParts)),
	"temperature":    number(0, 1),
	"top_k":          integer(0, maxTokenID),
	"stop_sequences": list(stopSchema, 0, MaxStopSequences),
	"tools": list(members(map[string]Object{"type": words("custom"), "name": toolNameSchema, "description": {"type": "string"}, "input_schema": anything},
		"name", "input_schema"), 0, MaxTools),
	"tool_choice": oneOf(members(map[string]Object{"type": words("auto", "any", "none"), "disable_parallel_tool_use": boolean}, "type"),
		members(map[string]Object{"type": words("tool"), "name": toolNameSchema, "disable_parallel_tool_use": boolean}, "type", "name")),
	"thinking": members(map[string]Object{"type": words("disabled")}, "type"),
}

var textBlockSchema = members(map[string]Object{"type": words("text"), "text": {"type": "string"}}, "type", "text")

// turnSchema is a message by its role.
func turnSchema() Object {
	content := func(other Object) Object {
		return oneOf(Object{"type": "string"}, list(oneOf(textBlockSchema, other), 0, MaxContentParts))
	}
	said := oneOf(Object{"type": "string"}, list(textBlockSchema, 0, MaxContentParts))
	result := members(map[string]Object{"type": words("tool_result"), "tool_use_id": aCallID, "content": said, "is_error": boolean}, "type", "tool_use_id")
	use := members(map[string]Object{"type": words("tool_use"), "id": aCallID, "name": aToolName, "input": anything}, "type", "id", "name", "input")
	return oneOf(members(map[string]Object{"role": words("user"), "content": content(result)}, "role", "content"),
		members(map[string]Object{"role": words("assistant"), "content": content(use)}, "role", "content"))
}

// foreignSchemas are the components of both APIs.
func foreignSchemas() map[string]Object {
	plain, count := Object{"type": "string"}, integer(0, maxTokenID)
	orNull := func(schema Object) Object { return oneOf(schema, Object{"type": "null"}) }
	messages := shared(messagesSchemas, messagesUnsupported)
	return map[string]Object{
		"ResponsesRequest": members(shared(responsesSchemas, responsesUnsupported), "model", "input"),
		"Response": members(map[string]Object{"id": plain, "object": words(ResponseObject), "created_at": integer(0, 1<<40), "model": plain,
			"status": words(string(ResponseCompleted), string(ResponseIncomplete)), "output": list(anything, 0, 1<<20),
			"usage": members(map[string]Object{"input_tokens": count, "input_tokens_details": anything, "output_tokens": count,
				"output_tokens_details": anything, "total_tokens": count}, "input_tokens", "output_tokens", "total_tokens"),
		}, "id", "object", "created_at", "model", "status", "output", "usage"),
		"MessagesRequest": members(messages, "model", "max_tokens", "messages"),
		"CountRequest":    members(messages, "model", "messages"),
		"MessageAnswer": members(map[string]Object{"id": plain, "type": words("message"), "role": words("assistant"), "model": plain,
			"content": list(anything, 0, 1<<20), "stop_reason": words(StopEndTurn, StopMaxTokens, StopSequence, StopToolUse), "stop_sequence": orNull(plain),
			"usage": members(map[string]Object{"input_tokens": count, "output_tokens": count, "cache_creation_input_tokens": count, "cache_read_input_tokens": count},
				"input_tokens", "output_tokens")}, "id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"),
		"CountAnswer": members(map[string]Object{"input_tokens": count}, "input_tokens"),
		"MessageError": members(map[string]Object{"type": words("error"), "request_id": plain,
			"error": members(map[string]Object{"type": plain, "message": plain}, "type", "message")}, "type", "error"),
	}
}
