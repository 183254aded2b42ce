package openai

import (
	"slices"
	"strings"
)

// ChatRequest is a decoded and validated body of POST /v1/chat/completions.
type ChatRequest struct {
	Options
	Messages    []Message // at least one
	Logprobs    bool
	TopLogprobs int // 0 to MaxTopLogprobs
}

// Message is one turn of a conversation. Content parts of type text are joined.
type Message struct {
	Role    string `json:"role"` // system, developer, user or assistant
	Content string `json:"content"`
}

// roles are the roles of messages that can be rendered; tool and function messages come with tools.
var roles = []string{"system", "developer", "user", "assistant"}

// DecodeChatRequest reads and validates a body; an error is always one for the client.
func DecodeChatRequest(body []byte) (*ChatRequest, *Error) {
	q := &ChatRequest{Options: defaultOptions()}
	limit := chatLimit{completion: -1, legacy: -1}
	err := readRequest(body, &q.Options, func(r *reader, key string) bool {
		switch key {
		case "messages":
			q.readMessages(r)
		case "max_completion_tokens":
			limit.completion = int(r.integer(1, MaxTokens))
		case "max_tokens":
			limit.legacy = int(r.integer(1, MaxTokens))
		case "logprobs":
			q.Logprobs = r.boolean()
		case "top_logprobs":
			q.TopLogprobs = int(r.integer(0, MaxTopLogprobs))
		case "echo":
			readUnsupported(r, "false")
		default:
			return false
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if err := q.finish(limit); err != nil {
		return nil, err
	}
	return q, nil
}

// chatLimit holds both spellings of the same limit; -1 = not given.
type chatLimit struct{ completion, legacy int }

// finish fills in defaults and checks what concerns several parameters.
func (q *ChatRequest) finish(limit chatLimit) *Error {
	q.MaxTokens = max(limit.completion, limit.legacy)
	switch {
	case q.Messages == nil:
		return missing("messages")
	case limit.completion >= 0 && limit.legacy >= 0 && limit.completion != limit.legacy:
		return Invalid("max_tokens", "invalid_value", "Invalid 'max_tokens': it differs from 'max_completion_tokens'. Send only one of them.")
	case q.TopLogprobs > 0 && !q.Logprobs:
		return Invalid("top_logprobs", "invalid_value", "Invalid 'top_logprobs': it is only allowed when 'logprobs' is true.")
	}
	return q.check()
}

// readMessages reads the conversation.
func (q *ChatRequest) readMessages(r *reader) {
	r.array(MaxMessages, func(int) { q.Messages = append(q.Messages, readMessage(r, &q.Options)) })
	if len(q.Messages) == 0 {
		r.fail("empty_array", "Invalid 'messages': an array cannot be empty.")
	}
}

// readMessage reads one message.
func readMessage(r *reader, o *Options) Message {
	var m Message
	var hasContent bool
	r.object(func(key string) {
		switch {
		case key != "content" && r.null():
		case key == "role":
			m.Role = readRole(r)
		case key == "content":
			m.Content, hasContent = readContent(r), true
		case key == "tool_calls" || key == "annotations":
			readUnsupported(r, "[]")
		case key == "function_call" || key == "tool_call_id" || key == "audio" || key == "refusal":
			readUnsupported(r)
		default:
			o.ignore(r)
		}
	})
	switch {
	case r.err != nil:
	case m.Role == "":
		r.err = missing(r.param() + ".role")
	case !hasContent:
		r.err = missing(r.param() + ".content")
	}
	return m
}

// readRole reads a role that can be rendered.
func readRole(r *reader) string {
	role := r.text(MaxModelBytes)
	if r.err == nil && !slices.Contains(roles, role) {
		r.fail("invalid_value", "Invalid value for '%s': supported values are 'system', 'developer', 'user' and 'assistant'.", r.param())
	}
	return role
}

// readContent reads a string, or parts of type text, which it joins.
func readContent(r *reader) string {
	switch r.kind() {
	case '"':
		return r.text(len(r.data))
	case '[':
		var text strings.Builder
		r.array(MaxContentParts, func(int) { text.WriteString(readPart(r)) })
		return text.String()
	}
	r.wrongType("a string or an array of content parts")
	return ""
}

// readPart reads one content part; only text can be rendered.
func readPart(r *reader) string {
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
	case kind != "text":
		r.fail("unsupported_content", "Unsupported content in '%s': this server takes parts of type 'text' only.", r.param())
	case !hasText:
		r.err = missing(r.param() + ".text")
	}
	return text
}
