package openai

// Response is the body of an answer of POST /v1/responses, and what the first and last events of its stream hold.
type Response struct {
	ID          string             `json:"id"`     // resp_ and 128 bits in hex
	Object      string             `json:"object"` // "response"
	CreatedAt   int64              `json:"created_at"`
	CompletedAt *int64             `json:"completed_at"` // null unless it is completed
	Status      ResponseStatus     `json:"status"`
	Error       *ResponseError     `json:"error"`
	Incomplete  *IncompleteDetails `json:"incomplete_details"`
	Model       string             `json:"model"`
	Output      []any              `json:"output"` // OutputMessage and OutputCall, in the order in which the model wrote them
	Usage       *ResponseUsage     `json:"usage"`  // null until it is over
	ResponseSettings
	responseConstants
}

// ResponseObject is the value of "object".
const ResponseObject = "response"

// ResponseStatus says how far a Response or an item of it is.
type ResponseStatus string

// The statuses.
const (
	ResponseInProgress ResponseStatus = "in_progress"
	ResponseCompleted  ResponseStatus = "completed"
	ResponseIncomplete ResponseStatus = "incomplete" // the limit of tokens came first
	ResponseFailed     ResponseStatus = "failed"
)

// responseConstants are members that are the same in every answer of a server that keeps nothing.
type responseConstants struct {
	Background  bool   `json:"background"`
	Previous    *Null  `json:"previous_response_id"`
	Reasoning   *Null  `json:"reasoning"`
	ServiceTier string `json:"service_tier"`
	Store       bool   `json:"store"`
	TopLogprobs int    `json:"top_logprobs"`
	Truncation  string `json:"truncation"`
}

// NewResponse is a Response in progress.
func NewResponse(id, model string, createdAt int64, settings ResponseSettings) *Response {
	return &Response{ID: id, Object: ResponseObject, CreatedAt: createdAt, Status: ResponseInProgress, Model: model, Output: []any{},
		ResponseSettings: settings, responseConstants: responseConstants{ServiceTier: "default", Truncation: "disabled"}}
}

// IncompleteDetails says why a Response is incomplete.
type IncompleteDetails struct {
	Reason string `json:"reason"` // max_output_tokens
}

// ResponseError says why a Response failed, once its stream had begun.
type ResponseError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ResponseUsage counts tokens under the names of this API.
type ResponseUsage struct {
	InputTokens   int           `json:"input_tokens"`
	InputDetails  PromptDetails `json:"input_tokens_details"`
	OutputTokens  int           `json:"output_tokens"`
	OutputDetails OutputDetails `json:"output_tokens_details"`
	TotalTokens   int           `json:"total_tokens"`
}

// OutputDetails says how many of the output tokens are hidden: none.
type OutputDetails struct {
	ReasoningTokens int `json:"reasoning_tokens"`
}

// NewResponseUsage translates counts.
func NewResponseUsage(u Usage) *ResponseUsage {
	return &ResponseUsage{InputTokens: u.PromptTokens, InputDetails: u.PromptDetails, OutputTokens: u.CompletionTokens, TotalTokens: u.TotalTokens}
}

// OutputMessage is an item that holds text.
type OutputMessage struct {
	ID      string         `json:"id"`
	Type    string         `json:"type"` // "message"
	Status  ResponseStatus `json:"status"`
	Role    string         `json:"role"`    // "assistant"
	Content []OutputText   `json:"content"` // one; none as long as there is no text
}

// OutputText is the content of an OutputMessage.
type OutputText struct {
	Type        string     `json:"type"` // "output_text"
	Text        string     `json:"text"`
	Annotations []struct{} `json:"annotations"` // none
	Logprobs    []struct{} `json:"logprobs"`    // none
}

// NewOutputText is text as content.
func NewOutputText(text string) OutputText {
	return OutputText{Type: "output_text", Text: text, Annotations: []struct{}{}, Logprobs: []struct{}{}}
}

// OutputCall is an item that calls a function.
type OutputCall struct {
	ID        string         `json:"id"`
	Type      string         `json:"type"` // "function_call"
	Status    ResponseStatus `json:"status"`
	CallID    string         `json:"call_id"` // what the result must name
	Name      string         `json:"name"`
	Arguments string         `json:"arguments"`
}

// ResponseEvent is one event of a streamed Response; which members it has follows from its type, which is its name too.
type ResponseEvent struct {
	Type         string      `json:"type"`
	Sequence     int         `json:"sequence_number"`
	Response     *Response   `json:"response,omitempty"`
	OutputIndex  *int        `json:"output_index,omitempty"`
	ItemID       string      `json:"item_id,omitempty"`
	ContentIndex *int        `json:"content_index,omitempty"`
	Item         any         `json:"item,omitempty"`
	Part         *OutputText `json:"part,omitempty"`
	Delta        string      `json:"delta,omitempty"`
	Text         *string     `json:"text,omitempty"`
	Name         string      `json:"name,omitempty"`
	Arguments    *string     `json:"arguments,omitempty"`
	Logprobs     []struct{}  `json:"logprobs,omitzero"`
}

// ResponseErrorEvent is the event that ends a stream which failed without a Response.
type ResponseErrorEvent struct {
	Type     string  `json:"type"` // "error"
	Sequence int     `json:"sequence_number"`
	Code     *string `json:"code"`
	Message  string  `json:"message"`
	Param    *string `json:"param"`
}

// NewResponseErrorEvent is the event of an Error.
func NewResponseErrorEvent(e *Error, sequence int) ResponseErrorEvent {
	return ResponseErrorEvent{Type: "error", Sequence: sequence, Code: orNull(e.Code), Message: e.Message, Param: orNull(e.Param)}
}
