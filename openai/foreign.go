package openai

import "encoding/json"

// What the bodies of /v1/responses and /v1/messages share: both become a ChatRequest, so that one validation and one path serve all.

// chatOnly are parameters of chats that the answers of other APIs have no place for. The values listed mean "as without it".
var chatOnly = map[string][]string{
	"n": {"1"}, "response_format": nil, "prompt_logprobs": nil, "truncate_prompt_tokens": nil, "return_token_ids": {"false"},
	"return_tokens_as_token_ids": {"false"}, "return_weight_versions": {"false"},
}

// readForeign handles what is read alike in both; false = key is a common parameter of all requests, or an unknown one. others are
// parameters of the API that this server does not have.
func (q *ChatRequest) readForeign(r *reader, key string, others map[string][]string) bool {
	for _, refused := range []map[string][]string{others, chatOnly} {
		if allowed, known := refused[key]; known {
			readUnsupported(r, allowed...)
			return true
		}
	}
	return readRendering(r, key, &q.Rendering)
}

// finishForeign is finish, for a limit that has one spelling. A choice between no tools is none.
func (q *ChatRequest) finishForeign(maxTokens int) *Error {
	if len(q.Tools) == 0 && q.Choice.Mode == ToolsAuto {
		q.Choice = ToolChoice{}
	}
	return q.finish(chatLimit{completion: maxTokens, legacy: -1})
}

// flatTool is a function as other APIs describe it: all in one object.
type flatTool struct {
	name        string
	description *string
	schema      json.RawMessage
}

// member reads one of the members that all APIs have; schemaKey is the name of the schema's.
func (f *flatTool) member(r *reader, key, schemaKey string) {
	switch key {
	case "name":
		f.name = readToolName(r)
	case "description":
		text := r.text(len(r.data))
		f.description = &text
	case schemaKey:
		if r.kind() != '{' {
			r.wrongType("an object")
			return
		}
		f.schema = json.RawMessage(r.raw())
	case "strict":
		r.boolean() // arguments of required and named calls always follow the schema
	default:
		r.skip()
	}
}

// tool is the function as chats have it, which is the form that templates know.
func (f *flatTool) tool(r *reader) Tool {
	if r.err == nil && f.name == "" {
		r.err = missing(r.param() + ".name")
	}
	if r.err != nil {
		return Tool{}
	}
	type function struct {
		Name        string          `json:"name"`
		Description *string         `json:"description,omitempty"`
		Parameters  json.RawMessage `json:"parameters,omitempty"`
	}
	raw := Encode(struct {
		Type     string   `json:"type"`
		Function function `json:"function"`
	}{"function", function{f.name, f.description, f.schema}})
	return Tool{Name: f.name, Parameters: f.schema, Raw: raw}
}
