package openai

// ChatAnswer is the body of an answer that is not streamed.
type ChatAnswer struct {
	ID                string       `json:"id"` // chatcmpl- and 128 bits in hex
	Object            string       `json:"object"`
	Created           int64        `json:"created"` // Unix seconds
	Model             string       `json:"model"`
	Choices           []ChatChoice `json:"choices"`
	Usage             Usage        `json:"usage"`
	ServiceTier       string       `json:"service_tier"`
	SystemFingerprint string       `json:"system_fingerprint"`
	PromptTokenIDs    []int32      `json:"prompt_token_ids,omitempty"` // with return_token_ids
	PromptLogprobs    PromptScores `json:"prompt_logprobs,omitempty"`  // with prompt_logprobs
}

// ChatObject and ChunkObject are the values of "object".
const (
	ChatObject  = "chat.completion"
	ChunkObject = "chat.completion.chunk"
)

// ChatChoice is one sample of a ChatAnswer.
type ChatChoice struct {
	Index        int           `json:"index"`
	Message      AnswerMessage `json:"message"`
	Logprobs     *ChatLogprobs `json:"logprobs"`
	FinishReason string        `json:"finish_reason"`       // stop or length
	TokenIDs     []int32       `json:"token_ids,omitempty"` // with return_token_ids
	Versions     []VersionSpan `json:"weight_versions,omitempty"`
}

// AnswerMessage is what the model said.
type AnswerMessage struct {
	Role      string     `json:"role"`
	Content   string     `json:"content"` // null where only tools are called
	Refusal   *string    `json:"refusal"`
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`
}

// MarshalJSON writes null for the content of a message that only calls tools.
func (m AnswerMessage) MarshalJSON() ([]byte, error) {
	type plain AnswerMessage
	if m.Content != "" || m.ToolCalls == nil {
		return Encode(plain(m)), nil
	}
	return Encode(struct {
		plain
		Content *Null `json:"content"`
	}{plain(m), &Null{}}), nil
}

// ChatLogprobs holds one entry per generated token.
type ChatLogprobs struct {
	Content []ChatLogprob `json:"content"`
	Refusal *string       `json:"refusal"`
}

// ChatLogprob is a token, its log-probability and the best alternatives at its place.
type ChatLogprob struct {
	TokenLogprob
	TopLogprobs []TokenLogprob `json:"top_logprobs"`
}

// TokenLogprob is one token with its bytes.
type TokenLogprob struct {
	Token   string  `json:"token"`
	Logprob Logprob `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

// NewTokenLogprob spells a token of the given bytes.
func NewTokenLogprob(token []byte, logprob float32) TokenLogprob {
	return TokenLogprob{TokenText(token), Logprob(logprob), byteValues(token)}
}

// ChatChunk is one event of a streamed answer.
type ChatChunk struct {
	ID                string        `json:"id"`
	Object            string        `json:"object"`
	Created           int64         `json:"created"`
	Model             string        `json:"model"`
	ServiceTier       string        `json:"service_tier"`
	SystemFingerprint string        `json:"system_fingerprint"`
	Choices           []ChunkChoice `json:"choices"` // one; none in the usage chunk
	Usage             StreamUsage   `json:"usage,omitzero"`
	PromptTokenIDs    []int32       `json:"prompt_token_ids,omitempty"` // in the first chunk, with return_token_ids
}

// ChunkChoice is what one event adds to one sample.
type ChunkChoice struct {
	Index        int           `json:"index"`
	Delta        Delta         `json:"delta"`
	Logprobs     *ChatLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"` // null until the last
	TokenIDs     []int32       `json:"token_ids,omitempty"`
	Versions     []VersionSpan `json:"weight_versions,omitempty"` // in the last
}

// Delta is the added part of the message; the first of a sample has the role, the last is empty.
type Delta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
	Refusal *Null   `json:"refusal,omitempty"`

	ToolCalls []ToolCall `json:"tool_calls,omitempty"` // the first part of a call has its id and name, the others more of its arguments
}

// FirstDelta opens a sample.
func FirstDelta() Delta {
	empty := ""
	return Delta{Role: "assistant", Content: &empty, Refusal: &Null{}}
}
