package openai

import "encoding/json"

// MaxStopSequences bounds stop_sequences.
const MaxStopSequences = 16

// MessagesRequest is a decoded and validated body of Anthropic's POST /v1/messages: a chat.
type MessagesRequest struct{ ChatRequest }

// messagesUnsupported are parameters of /v1/messages that this server does not have. The values listed mean "as without it".
var messagesUnsupported = map[string][]string{
	"stop": nil, "stream_options": nil, "container": nil, "context_management": nil, "mcp_servers": {"[]"}, "output_config": {"{}"}, "output_format": nil,
}

// DecodeMessagesRequest reads and validates a body; an error is always one for the client.
func DecodeMessagesRequest(body []byte) (*MessagesRequest, *Error) {
	q, maxTokens, err := readMessagesRequest(body)
	if err == nil && maxTokens < 0 {
		err = missing("max_tokens")
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

// DecodeCountRequest reads a body of POST /v1/messages/count_tokens: the same, of which nothing is generated.
func DecodeCountRequest(body []byte) (*MessagesRequest, *Error) {
	q, _, err := readMessagesRequest(body)
	return q, err
}

func readMessagesRequest(body []byte) (q *MessagesRequest, maxTokens int, err *Error) {
	q, maxTokens = &MessagesRequest{ChatRequest{Options: defaultOptions(), Tooling: Tooling{ParallelCall: true}}}, -1
	system := ""
	err = readRequest(body, &q.Options, func(r *reader, key string) bool {
		switch key {
		case "max_tokens":
			maxTokens = int(r.integer(1, MaxTokens))
		case "messages":
			q.readTurns(r)
		case "system":
			system = readContent(r, "text")
		default:
			return q.readParameter(r, key)
		}
		return true
	})
	if err == nil && system != "" {
		q.Messages = append([]Message{{Role: "system", Content: system}}, q.Messages...)
	}
	if err == nil {
		q.continueLast()
		err = q.finishForeign(maxTokens)
	}
	return q, maxTokens, err
}

// readParameter handles what is no part of the conversation.
func (q *MessagesRequest) readParameter(r *reader, key string) bool {
	switch key {
	case "temperature":
		q.Temperature = r.decimal(0, 1)
	case "top_k":
		q.TopK = int(r.integer(0, maxTokenID))
	case "stop_sequences":
		r.array(MaxStopSequences, func(int) { q.Stop = append(q.Stop, readStopString(r)) })
	case "tools":
		r.array(MaxTools, func(int) { q.Tools = append(q.Tools, readMessagesTool(r)) })
	case "tool_choice":
		q.readToolChoice(r)
	case "thinking":
		readThinking(r)
	case "cache_control": // prefixes are always cached
		r.skip()
	case "metadata":
		q.Metadata = readMetadata(r)
		q.User = q.Metadata["user_id"] // the one that Anthropic knows names an end user; it is not kept
		delete(q.Metadata, "user_id")
	default:
		return q.readForeign(r, key, messagesUnsupported)
	}
	return true
}

// continueLast has the answer go on with a last message of the assistant, as Anthropic does.
func (q *MessagesRequest) continueLast() {
	if n := len(q.Messages); n > 0 && !q.addGiven {
		last := &q.Messages[n-1]
		q.ContinueFinalMessage = q.ContinueFinalMessage || last.Role == "assistant" && len(last.ToolCalls) == 0
	}
}

// readMessagesTool reads {"name": ..., "input_schema": ...}; tools that Anthropic would run itself have another type and are refused.
func readMessagesTool(r *reader) Tool {
	var f flatTool
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "type":
			readWord(r, "custom")
		default:
			f.member(r, key, "input_schema")
		}
	})
	if r.err == nil && f.schema == nil {
		r.err = missing(r.param() + ".input_schema")
	}
	return f.tool(r)
}

// readToolChoice reads {"type": "auto" | "any" | "tool" | "none", ...}.
func (q *MessagesRequest) readToolChoice(r *reader) {
	modes := map[string]ToolMode{"auto": ToolsAuto, "any": ToolsRequired, "tool": ToolsNamed, "none": ToolsNone}
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "type":
			q.Choice.Mode = modes[readWord(r, "auto", "any", "tool", "none")]
		case key == "name":
			q.Choice.Name = readToolName(r)
		case key == "disable_parallel_tool_use":
			q.ParallelCall = !r.boolean()
		default:
			q.ignore(r)
		}
	})
	switch {
	case r.err != nil:
	case q.Choice.Mode == "":
		r.err = missing("tool_choice.type")
	case q.Choice.Mode == ToolsNamed && q.Choice.Name == "":
		r.err = missing("tool_choice.name")
	}
}

// readThinking takes the one mode that there is: none.
func readThinking(r *reader) {
	kind := ""
	r.object(func(key string) {
		if key == "type" {
			kind = r.text(MaxModelBytes)
			return
		}
		r.skip()
	})
	switch {
	case r.err != nil:
	case kind == "":
		r.err = missing("thinking.type")
	case kind != "disabled":
		r.fail("unsupported_parameter", "Unsupported parameter: 'thinking' is not supported by this server with this value; it takes the type 'disabled' only.")
	}
}

// block is one part of a turn.
type block struct {
	kind  string
	text  *string // of a text
	id    string  // of a call, or of the one whose result this is
	name  string  // of a tool
	input json.RawMessage
	said  string // a result
}

// readTurns reads a conversation.
func (q *MessagesRequest) readTurns(r *reader) {
	turns := 0
	r.array(MaxMessages, func(int) {
		turns++
		role, blocks, given := "", []block(nil), false
		r.object(func(key string) {
			switch {
			case r.null():
			case key == "role":
				role = readWord(r, "user", "assistant")
			case key == "content":
				blocks, given = q.readBlocks(r), true
			default:
				q.ignore(r)
			}
		})
		switch {
		case r.err != nil:
		case role == "":
			r.err = missing(r.param() + ".role")
		case !given:
			r.err = missing(r.param() + ".content")
		default:
			q.addTurn(r, role, blocks)
		}
	})
	if turns == 0 {
		r.fail("empty_array", "Invalid 'messages': an array cannot be empty.")
	}
}

// readBlocks reads a text, or blocks.
func (q *MessagesRequest) readBlocks(r *reader) (all []block) {
	switch r.kind() {
	case '"':
		text := r.text(len(r.data))
		return []block{{kind: "text", text: &text}}
	case '[':
		r.array(MaxContentParts, func(int) { all = append(all, q.readBlock(r)) })
		return all
	}
	r.wrongType("a string or an array of content blocks")
	return nil
}

func (q *MessagesRequest) readBlock(r *reader) (b block) {
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "type":
			b.kind = r.text(MaxModelBytes)
		case key == "text":
			text := r.text(len(r.data))
			b.text = &text
		case key == "id" || key == "tool_use_id":
			b.id = r.text(MaxModelBytes)
		case key == "name":
			b.name = r.text(MaxToolNameBytes)
		case key == "input":
			b.input = json.RawMessage(r.raw())
		case key == "content":
			b.readResult(r)
		case key == "is_error":
			r.boolean() // the text says it, too; templates have no word for it
		case key == "cache_control" || key == "citations" || key == "caller":
			r.skip()
		default:
			q.ignore(r)
		}
	})
	b.check(r)
	return b
}

// readResult reads what a tool said. Other blocks with content, such as those of searches, are refused for their type.
func (b *block) readResult(r *reader) {
	if b.kind != "tool_result" && b.kind != "" {
		r.skip()
		return
	}
	b.said = readContent(r, "text")
}

// check tests what a type of block needs.
func (b *block) check(r *reader) {
	path := r.param()
	switch {
	case r.err != nil:
	case b.kind == "":
		r.err = missing(path + ".type")
	case b.kind != "text" && b.kind != "tool_use" && b.kind != "tool_result":
		r.unsupportedContent("text", "tool_use", "tool_result")
	case b.kind == "text" && b.text == nil:
		r.err = missing(path + ".text")
	case b.kind == "tool_use" && b.name == "":
		r.err = missing(path + ".name")
	case b.kind == "tool_use" && (b.input == nil || b.input[0] != '{'):
		r.err = Invalid(path+".input", "invalid_type", "Invalid type for '%s.input': expected an object.", path)
	case b.kind == "tool_use" && b.id == "":
		r.err = missing(path + ".id")
	case b.kind == "tool_result" && b.id == "":
		r.err = missing(path + ".tool_use_id")
	}
}

// addTurn makes messages of a turn: what tools said becomes messages of their own, in order with the user's text.
func (q *MessagesRequest) addTurn(r *reader, role string, blocks []block) {
	m := Message{Role: role}
	open := len(blocks) == 0
	for _, b := range blocks {
		switch {
		case b.kind == "text":
			m.Content += *b.text
			open = true
		case b.kind == "tool_use" && role == "assistant":
			m.ToolCalls = append(m.ToolCalls, ToolCall{ID: b.id, Type: "function", Function: FunctionCall{Name: b.name, Arguments: string(b.input)}})
		case b.kind == "tool_result" && role == "user":
			if open {
				q.Messages = append(q.Messages, m)
				m, open = Message{Role: role}, false
			}
			q.Messages = append(q.Messages, Message{Role: "tool", Content: b.said, ToolCallID: b.id})
		default:
			r.fail("invalid_value", "Invalid '%s': a turn of the %s has no blocks of type '%s'.", r.param(), role, b.kind)
		}
	}
	if m.NoContent = !open; open || len(m.ToolCalls) > 0 {
		q.Messages = append(q.Messages, m)
	}
	if len(m.ToolCalls) > MaxTools {
		r.fail("array_above_max_length", "Invalid '%s': one turn has at most %d calls.", r.param(), MaxTools)
	}
}
