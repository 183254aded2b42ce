package openai

import "encoding/json"

// MessageAnswer is the body of an answer of Anthropic's POST /v1/messages, and what the first event of its stream holds.
type MessageAnswer struct {
	ID           string       `json:"id"`   // msg_ and 128 bits in hex
	Type         string       `json:"type"` // "message"
	Role         string       `json:"role"` // "assistant"
	Model        string       `json:"model"`
	Content      []any        `json:"content"`       // TextBlock and ToolUse, in the order in which the model wrote them
	StopReason   *string      `json:"stop_reason"`   // null in the first event
	StopSequence *string      `json:"stop_sequence"` // the one that ended it
	Usage        MessageUsage `json:"usage"`
}

// NewMessageAnswer is an answer that has no content yet.
func NewMessageAnswer(id, model string, usage MessageUsage) *MessageAnswer {
	return &MessageAnswer{ID: id, Type: "message", Role: "assistant", Model: model, Content: []any{}, Usage: usage}
}

// Stop reasons of messages.
const (
	StopEndTurn   = "end_turn"
	StopMaxTokens = "max_tokens"
	StopSequence  = "stop_sequence"
	StopToolUse   = "tool_use"
)

// MessageUsage counts tokens under Anthropic's names: the prompt's are the sum of the first three.
type MessageUsage struct {
	InputTokens         int `json:"input_tokens"`
	CacheCreationTokens int `json:"cache_creation_input_tokens"` // none are counted: nothing is paid for
	CacheReadTokens     int `json:"cache_read_input_tokens"`
	OutputTokens        int `json:"output_tokens"`
}

// NewMessageUsage translates counts.
func NewMessageUsage(u Usage) MessageUsage {
	cached := u.PromptDetails.CachedTokens
	return MessageUsage{InputTokens: u.PromptTokens - cached, CacheReadTokens: cached, OutputTokens: u.CompletionTokens}
}

// TextBlock is a part of an answer that is text.
type TextBlock struct {
	Type string `json:"type"` // "text"
	Text string `json:"text"`
}

// ToolUse is a part of an answer that calls a tool.
type ToolUse struct {
	Type  string          `json:"type"` // "tool_use"
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"` // an object
}

// NewToolUse is the call of a tool. Arguments that are no object, since they were cut or the model erred, become an empty one, as the
// wire demands an object.
func NewToolUse(id, name, arguments string) ToolUse {
	input := json.RawMessage(arguments)
	if len(input) == 0 || input[0] != '{' || !json.Valid(input) {
		input = json.RawMessage("{}")
	}
	return ToolUse{Type: "tool_use", ID: id, Name: name, Input: input}
}

// MessageEvent is one event of a streamed answer; which members it has follows from its type, which is its name too.
type MessageEvent struct {
	Type    string         `json:"type"`
	Message *MessageAnswer `json:"message,omitempty"`
	Index   *int           `json:"index,omitempty"`
	Block   any            `json:"content_block,omitempty"`
	Delta   any            `json:"delta,omitempty"` // TextDelta, InputDelta or StopDelta
	Usage   *MessageUsage  `json:"usage,omitempty"`
}

// TextDelta adds to a TextBlock.
type TextDelta struct {
	Type string `json:"type"` // "text_delta"
	Text string `json:"text"`
}

// InputDelta adds to the text of a ToolUse's input.
type InputDelta struct {
	Type        string `json:"type"` // "input_json_delta"
	PartialJSON string `json:"partial_json"`
}

// StopDelta says why an answer ended.
type StopDelta struct {
	StopReason   string  `json:"stop_reason"`
	StopSequence *string `json:"stop_sequence"`
}

// CountAnswer is the body of an answer of POST /v1/messages/count_tokens.
type CountAnswer struct {
	InputTokens int `json:"input_tokens"`
}

// MessageError is an Error in Anthropic's form.
type MessageError struct {
	Type      string            `json:"type"` // "error"
	Error     MessageErrorCause `json:"error"`
	RequestID *string           `json:"request_id"`
}

// MessageErrorCause is what a MessageError says.
type MessageErrorCause struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// messageErrorTypes are Anthropic's types by HTTP status; others below 500 are invalid_request_error, from 500 on api_error.
var messageErrorTypes = map[int]string{401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large",
	429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error"}

// NewMessageError translates an Error; requestID "" becomes null.
func NewMessageError(e *Error, requestID string) MessageError {
	kind := messageErrorTypes[e.Status]
	switch {
	case kind != "":
	case e.Status < 500:
		kind = "invalid_request_error"
	default:
		kind = "api_error"
	}
	return MessageError{Type: "error", Error: MessageErrorCause{kind, e.Message}, RequestID: orNull(requestID)}
}
