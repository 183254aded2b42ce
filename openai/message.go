package openai

import (
	"slices"
	"strings"
)

// Message is one turn of a conversation. Content parts of type text are joined.
type Message struct {
	Role       string     // system, developer, user, assistant or tool
	Content    string     //
	NoContent  bool       // an assistant's message that has no text, only ToolCalls
	Name       string     // of who speaks; "" = not given
	ToolCalls  []ToolCall // of an assistant
	ToolCallID string     // of a tool's answer
}

// ToolCall is a call of a function that an assistant made, in requests and in answers.
type ToolCall struct {
	Index    *int         `json:"index,omitempty"` // in streams only
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"` // "function"
	Function FunctionCall `json:"function"`
}

// FunctionCall is the name of a function and its arguments, the text of a JSON object.
type FunctionCall struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// roles are the roles of messages that can be rendered.
var roles = []string{"system", "developer", "user", "assistant", "tool"}

// readMessages reads a conversation.
func readMessages(r *reader, o *Options) (all []Message) {
	r.array(MaxMessages, func(int) { all = append(all, readMessage(r, o)) })
	if len(all) == 0 {
		r.fail("empty_array", "Invalid 'messages': an array cannot be empty.")
	}
	return all
}

// readMessage reads one message.
func readMessage(r *reader, o *Options) Message {
	m := Message{NoContent: true}
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "role":
			m.Role = readRole(r)
		case key == "content":
			m.Content, m.NoContent = readContent(r, "text"), false
		case key == "name":
			m.Name = r.text(MaxToolNameBytes)
		case key == "tool_calls":
			r.array(MaxTools, func(int) { m.ToolCalls = append(m.ToolCalls, readToolCall(r)) })
		case key == "tool_call_id":
			m.ToolCallID = r.text(MaxModelBytes)
		case key == "annotations":
			readUnsupported(r, "[]")
		case key == "function_call" || key == "audio" || key == "refusal":
			readUnsupported(r)
		default:
			o.ignore(r)
		}
	})
	m.check(r)
	return m
}

// check tests what a role needs.
func (m *Message) check(r *reader) {
	path := r.param()
	switch {
	case r.err != nil:
	case m.Role == "":
		r.err = missing(path + ".role")
	case len(m.ToolCalls) > 0 && m.Role != "assistant":
		r.err = Invalid(path+".tool_calls", "invalid_value", "Invalid '%s.tool_calls': only messages of the assistant have tool calls.", path)
	case m.Role == "tool" && m.ToolCallID == "":
		r.err = missing(path + ".tool_call_id")
	case m.NoContent && (m.Role != "assistant" || len(m.ToolCalls) == 0):
		r.err = missing(path + ".content")
	}
}

// readRole reads a role that can be rendered.
func readRole(r *reader) string {
	role := r.text(MaxModelBytes)
	if r.err == nil && !slices.Contains(roles, role) {
		r.fail("invalid_value", "Invalid value for '%s': supported values are 'system', 'developer', 'user', 'assistant' and 'tool'.", r.param())
	}
	return role
}

// readToolCall reads a call of an earlier answer.
func readToolCall(r *reader) ToolCall {
	var c ToolCall
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "id":
			c.ID = r.text(MaxModelBytes)
		case key == "type":
			c.Type = readFunctionType(r)
		case key == "function":
			c.Function = readFunctionCall(r)
		default:
			r.skip()
		}
	})
	if r.err == nil && c.Function.Name == "" {
		r.err = missing(r.param() + ".function")
	}
	return c
}

func readFunctionCall(r *reader) (f FunctionCall) {
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "name":
			f.Name = r.text(MaxToolNameBytes)
		case key == "arguments":
			f.Arguments = r.text(len(r.data))
		default:
			r.skip()
		}
	})
	if r.err == nil && f.Name == "" {
		r.err = missing(r.param() + ".name")
	}
	return f
}

// readContent reads a string, or parts of the given types, all of which hold text; it joins them.
func readContent(r *reader, types ...string) string {
	switch r.kind() {
	case '"':
		return r.text(len(r.data))
	case '[':
		var text strings.Builder
		r.array(MaxContentParts, func(int) { text.WriteString(readPart(r, types)) })
		return text.String()
	}
	r.wrongType("a string or an array of content parts")
	return ""
}

// readPart reads one content part; only text can be rendered.
func readPart(r *reader, types []string) string {
	var kind, text string
	var hasText bool
	r.object(func(key string) {
		switch key {
		case "type":
			kind = r.text(MaxModelBytes)
		case "text":
			text, hasText = r.text(len(r.data)), true
		default:
			r.skip()
		}
	})
	switch {
	case r.err != nil:
	case kind == "":
		r.err = missing(r.param() + ".type")
	case !slices.Contains(types, kind):
		r.unsupportedContent(types...)
	case !hasText:
		r.err = missing(r.param() + ".text")
	}
	return text
}

// unsupportedContent refuses a content part, since only text can be rendered.
func (r *reader) unsupportedContent(types ...string) {
	r.fail("unsupported_content", "Unsupported content in '%s': this server takes parts of type '%s' only.", r.param(), strings.Join(types, "' and '"))
}
