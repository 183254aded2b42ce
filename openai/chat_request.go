package openai

// ChatRequest is a decoded and validated body of POST /v1/chat/completions.
type ChatRequest struct {
	Options
	Rendering
	Tooling
	Messages    []Message // at least one
	Logprobs    bool
	TopLogprobs int // 0 to MaxTopLogprobs
}

// DecodeChatRequest reads and validates a body; an error is always one for the client.
func DecodeChatRequest(body []byte) (*ChatRequest, *Error) {
	q := &ChatRequest{Options: defaultOptions(), Tooling: Tooling{ParallelCall: true}}
	limit := chatLimit{completion: -1, legacy: -1}
	err := readRequest(body, &q.Options, func(r *reader, key string) bool {
		switch key {
		case "messages":
			q.Messages = readMessages(r, &q.Options)
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
			return readRendering(r, key, &q.Rendering) || readTooling(r, key, &q.Tooling)
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
	for _, check := range []func() *Error{q.Options.check, q.Rendering.check, q.Tooling.check} {
		if err := check(); err != nil {
			return err
		}
	}
	if mode := q.Choice.Mode; q.Constraint.Kind != AnyText && (mode == ToolsRequired || mode == ToolsNamed) {
		return Invalid("tool_choice", "invalid_value", "Invalid 'tool_choice': an answer that must call a tool cannot follow '%s' as well.", q.Constraint.Param)
	}
	return nil
}
