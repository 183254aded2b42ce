package openai

// inputItem is one entry of input: a message, a call of a function, or what came of one.
type inputItem struct {
	kind      string // "" = message
	role      string
	content   *string
	callID    string
	name      string
	arguments *string
	output    *string
}

// readInput reads a text of the user, or a conversation in items.
func (q *ResponsesRequest) readInput(r *reader) {
	switch r.kind() {
	case '"':
		q.Messages = []Message{{Role: "user", Content: r.text(len(r.data))}}
	case '[':
		r.array(MaxMessages, func(int) { q.addItem(r, q.readItem(r)) })
		if len(q.Messages) == 0 {
			r.fail("empty_array", "Invalid 'input': an array cannot be empty.")
		}
	default:
		r.wrongType("a string or an array of items")
	}
}

// readItem reads one entry.
func (q *ResponsesRequest) readItem(r *reader) (item inputItem) {
	text := func(s string) *string { return &s }
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "type":
			item.kind = r.text(MaxModelBytes)
		case key == "role":
			item.role = readWord(r, "system", "developer", "user", "assistant")
		case key == "content":
			item.content = text(readContent(r, "input_text", "output_text"))
		case key == "call_id":
			item.callID = r.text(MaxModelBytes)
		case key == "name":
			item.name = r.text(MaxToolNameBytes)
		case key == "arguments":
			item.arguments = text(r.text(len(r.data)))
		case key == "output":
			item.output = text(readContent(r, "input_text", "output_text"))
		case key == "id" || key == "status" || key == "phase": // of an earlier answer, sent back as it came
			r.skip()
		default:
			q.ignore(r)
		}
	})
	return item
}

// addItem makes a message of an item. A call belongs to the message of the assistant before it, as in chats.
func (q *ResponsesRequest) addItem(r *reader, item inputItem) {
	if r.err == nil {
		r.err = item.check(r.param())
	}
	if r.err != nil {
		return
	}
	switch item.kind {
	case "function_call":
		last := len(q.Messages) - 1
		if last < 0 || q.Messages[last].Role != "assistant" {
			q.Messages = append(q.Messages, Message{Role: "assistant", NoContent: true})
			last++
		}
		call := ToolCall{ID: item.callID, Type: "function", Function: FunctionCall{Name: item.name, Arguments: *item.arguments}}
		q.Messages[last].ToolCalls = append(q.Messages[last].ToolCalls, call)
		if len(q.Messages[last].ToolCalls) > MaxTools {
			r.fail("array_above_max_length", "Invalid '%s': one turn has at most %d calls.", r.param(), MaxTools)
		}
	case "function_call_output":
		q.Messages = append(q.Messages, Message{Role: "tool", Content: *item.output, ToolCallID: item.callID})
	default:
		q.Messages = append(q.Messages, Message{Role: item.role, Content: *item.content})
	}
}

// check tests what a kind of item needs; path is where it stands.
func (i *inputItem) check(path string) *Error {
	needed := map[string]map[string]bool{
		"":                     {".role": i.role != "", ".content": i.content != nil},
		"message":              {".role": i.role != "", ".content": i.content != nil},
		"function_call":        {".call_id": i.callID != "", ".name": i.name != "", ".arguments": i.arguments != nil},
		"function_call_output": {".call_id": i.callID != "", ".output": i.output != nil},
	}[i.kind]
	if needed == nil {
		return Invalid(path+".type", "unsupported_content",
			"Unsupported item in '%s': this server takes items of type 'message', 'function_call' and 'function_call_output' only.", path)
	}
	for _, name := range []string{".role", ".content", ".call_id", ".name", ".arguments", ".output"} {
		if there, wanted := needed[name]; wanted && !there {
			return missing(path + name)
		}
	}
	return nil
}
