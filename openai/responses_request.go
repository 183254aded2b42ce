package openai

import "encoding/json"

// Limits of metadata, as OpenAI has them.
const (
	MaxMetadata           = 16  // entries
	MaxMetadataKeyBytes   = 64  // of each
	MaxMetadataValueBytes = 512 // of each

	MaxMetadataBytes = 16 << 10 // of all, as JSON with its escapes
)

// ResponsesRequest is a decoded and validated body of POST /v1/responses: a chat, and what its answer repeats of it.
type ResponsesRequest struct {
	ChatRequest
	Settings ResponseSettings
}

// ResponseSettings are the members of a Response that repeat what was asked for, defaults filled in.
type ResponseSettings struct {
	Instructions      *string           `json:"instructions"`
	MaxOutputTokens   *int              `json:"max_output_tokens"`
	Metadata          map[string]string `json:"metadata"`
	ParallelToolCalls bool              `json:"parallel_tool_calls"`
	Temperature       float64           `json:"temperature"`
	TopP              float64           `json:"top_p"`
	Text              ResponseText      `json:"text"`
	ToolChoice        json.RawMessage   `json:"tool_choice"`
	Tools             []json.RawMessage `json:"tools"`
	User              string            `json:"user,omitempty"`
}

// ResponseText says what the text of a Response must be.
type ResponseText struct {
	Format json.RawMessage `json:"format"`
}

// responsesUnsupported are parameters of /v1/responses that need what this server does not have: state between requests, tools that it
// runs itself, reasoning. The values listed mean "as without it".
var responsesUnsupported = map[string][]string{
	"previous_response_id": nil, "conversation": nil, "prompt": nil, "background": {"false"}, "include": {"[]"}, "truncation": {`"disabled"`},
	"reasoning": {"{}"}, "context_management": {"[]"}, "top_logprobs": {"0"},
}

// responsesHarmless cannot change an answer here: no tool runs on this side.
var responsesHarmless = map[string]func(r *reader){
	"max_tool_calls": func(r *reader) { r.integer(1, MaxTokens) },
}

// DecodeResponsesRequest reads and validates a body; an error is always one for the client.
func DecodeResponsesRequest(body []byte) (*ResponsesRequest, *Error) {
	q := &ResponsesRequest{ChatRequest: ChatRequest{Options: defaultOptions(), Tooling: Tooling{ParallelCall: true}}}
	q.Settings = ResponseSettings{Metadata: map[string]string{}, Tools: []json.RawMessage{}, ToolChoice: json.RawMessage(`"auto"`),
		Text: ResponseText{Format: json.RawMessage(`{"type":"text"}`)}}
	maxTokens := -1
	err := readRequest(body, &q.Options, func(r *reader, key string) bool {
		switch key {
		case "input":
			q.readInput(r)
		case "instructions":
			text := r.text(len(r.data))
			q.Settings.Instructions = &text
		case "max_output_tokens":
			maxTokens = int(r.integer(1, MaxTokens))
			q.Settings.MaxOutputTokens = &maxTokens
		default:
			return q.readSetting(r, key)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return q, q.finish(maxTokens)
}

// readSetting handles the parameters that an answer repeats and those that other APIs read in the same way.
func (q *ResponsesRequest) readSetting(r *reader, key string) bool {
	start := r.mark()
	switch key {
	case "text":
		q.readTextOptions(r)
	case "tools":
		r.array(MaxTools, func(int) { q.readTool(r) })
	case "tool_choice":
		q.Choice = readFlatToolChoice(r)
		q.Settings.ToolChoice = json.RawMessage(r.since(start))
	case "parallel_tool_calls":
		q.ParallelCall = r.boolean()
	case "metadata":
		q.Settings.Metadata = readMetadata(r)
		q.Metadata = q.Settings.Metadata
	case "user":
		q.Settings.User = r.text(MaxModelBytes)
		q.User = q.Settings.User
	default:
		if read := responsesHarmless[key]; read != nil {
			read(r)
			return true
		}
		return q.readForeign(r, key, responsesUnsupported)
	}
	return true
}

// finish puts the instructions in front, and fills in and checks the rest as for every chat.
func (q *ResponsesRequest) finish(maxTokens int) *Error {
	if q.Messages == nil {
		return missing("input")
	}
	if q.Settings.Instructions != nil {
		q.Messages = append([]Message{{Role: "system", Content: *q.Settings.Instructions}}, q.Messages...)
	}
	q.Settings.ParallelToolCalls, q.Settings.Temperature, q.Settings.TopP = q.ParallelCall, q.Temperature, q.TopP
	return q.finishForeign(maxTokens)
}

// readTextOptions reads {"format": ..., "verbosity": ...}.
func (q *ResponsesRequest) readTextOptions(r *reader) {
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "format":
			start := r.mark()
			readTextFormat(r, &q.Options)
			q.Settings.Text.Format = json.RawMessage(r.since(start))
		case key == "verbosity":
			readWord(r, "low", "medium", "high") // how a model of OpenAI's writes, not what
		default:
			q.ignore(r)
		}
	})
}

// readTextFormat reads OpenAI's three formats, in the form that has all members in one object.
func readTextFormat(r *reader, o *Options) {
	kind, name, c := "", "", Constraint{Kind: JSONSchema, Param: "text.format"}
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "type":
			kind = r.text(MaxModelBytes)
		case key == "name":
			name = r.text(MaxModelBytes)
		case key == "schema":
			c.Schema = readSchema(r)
		case key == "strict":
			r.boolean() // a schema is always followed to the letter
		default:
			r.skip()
		}
	})
	switch {
	case r.err != nil || kind != string(JSONSchema):
	case name == "":
		r.err = missing("text.format.name")
	case c.Schema == nil:
		r.err = missing("text.format.schema")
	}
	o.useFormat(r, kind, c)
}

// readTool reads {"type": "function", "name": ..., ...}; tools that OpenAI would run itself are refused.
func (q *ResponsesRequest) readTool(r *reader) {
	var f flatTool
	typed, start := false, r.mark()
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "type":
			readFunctionType(r)
			typed = true
		default:
			f.member(r, key, "parameters")
		}
	})
	if r.err == nil && !typed {
		r.err = missing(r.param() + ".type")
	}
	q.Tools = append(q.Tools, f.tool(r))
	q.Settings.Tools = append(q.Settings.Tools, json.RawMessage(r.since(start)))
}

// readFlatToolChoice reads a mode or {"type": "function", "name": ...}.
func readFlatToolChoice(r *reader) ToolChoice {
	if r.kind() != '{' {
		return readToolChoice(r)
	}
	c := ToolChoice{Mode: ToolsNamed}
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "type":
			readFunctionType(r)
		case key == "name":
			c.Name = readToolName(r)
		default:
			r.skip()
		}
	})
	if r.err == nil && c.Name == "" {
		r.err = missing("tool_choice.name")
	}
	return c
}

// readMetadata reads texts by their names.
func readMetadata(r *reader) map[string]string {
	all := map[string]string{}
	r.object(func(key string) {
		switch {
		case r.null():
		case len(all) == MaxMetadata:
			r.fail("object_above_max_properties", "Invalid 'metadata': expected at most %d entries.", MaxMetadata)
		case len(key) > MaxMetadataKeyBytes:
			r.fail("string_above_max_length", "Invalid 'metadata': a key has at most %d bytes.", MaxMetadataKeyBytes)
		default:
			all[key] = r.text(MaxMetadataValueBytes)
		}
	})
	if r.err == nil && len(Encode(all)) > MaxMetadataBytes {
		r.fail("string_above_max_length", "Invalid 'metadata': it has more than %d bytes as JSON.", MaxMetadataBytes)
	}
	return all
}
