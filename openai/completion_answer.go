package openai

import (
	"bytes"
	"encoding/json"
)

// CompletionObject is the value of "object", streamed or not.
const CompletionObject = "text_completion"

// CompletionAnswer is the body of a text completion, and also one event of a streamed one.
type CompletionAnswer struct {
	ID                string             `json:"id"` // cmpl- and 128 bits in hex
	Object            string             `json:"object"`
	Created           int64              `json:"created"` // Unix seconds
	Model             string             `json:"model"`
	Choices           []CompletionChoice `json:"choices"`
	Usage             StreamUsage        `json:"usage,omitzero"`
	SystemFingerprint string             `json:"system_fingerprint"`
}

// CompletionChoice is one sample; in a stream, what one event adds to it.
type CompletionChoice struct {
	Index          int                 `json:"index"` // prompt index * n + sample index
	Text           string              `json:"text"`
	Logprobs       *CompletionLogprobs `json:"logprobs"`
	FinishReason   *string             `json:"finish_reason"`
	PromptTokenIDs []int32             `json:"prompt_token_ids,omitempty"` // with return_token_ids; in a stream once per choice
	TokenIDs       []int32             `json:"token_ids,omitempty"`        // with return_token_ids
	PromptLogprobs PromptScores        `json:"prompt_logprobs,omitempty"`  // with prompt_logprobs
	Versions       []VersionSpan       `json:"weight_versions,omitempty"`  // with return_weight_versions; in a stream in the last event
}

// CompletionLogprobs are parallel lists with one entry per token, echoed prompt tokens included.
type CompletionLogprobs struct {
	Tokens        []string   `json:"tokens"`
	TokenLogprobs []*Logprob `json:"token_logprobs"` // null for the first token of a prompt
	TopLogprobs   []Top      `json:"top_logprobs"`   // null for the first token of a prompt
	TextOffset    []int      `json:"text_offset"`    // in characters of the choice's whole text, where the token's first byte is
}

// Top are the alternatives of one token, best first; it encodes as an object from token to log-probability, in that order.
type Top []TokenLogprob

// MarshalJSON writes the object; of tokens with the same spelling the best one is kept.
func (t Top) MarshalJSON() ([]byte, error) {
	if t == nil {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	seen := map[string]bool{}
	b.WriteByte('{')
	for _, alternative := range t {
		if seen[alternative.Token] {
			continue
		}
		if len(seen) > 0 {
			b.WriteByte(',')
		}
		seen[alternative.Token] = true
		b.Write(Encode(alternative.Token))
		b.WriteByte(':')
		b.Write(Encode(alternative.Logprob))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads the object; the order is not kept and Bytes stay empty.
func (t *Top) UnmarshalJSON(data []byte) error {
	var values map[string]Logprob
	if err := json.Unmarshal(data, &values); err != nil || values == nil {
		return err
	}
	*t = Top{}
	for token, p := range values {
		*t = append(*t, TokenLogprob{Token: token, Logprob: p})
	}
	return nil
}

// Append adds one token: its spelling, its log-probability and alternatives (nil logprob = null for both) and its text offset.
func (l *CompletionLogprobs) Append(token string, logprob *Logprob, top Top, offset int) {
	l.Tokens = append(l.Tokens, token)
	l.TokenLogprobs = append(l.TokenLogprobs, logprob)
	l.TopLogprobs = append(l.TopLogprobs, top)
	l.TextOffset = append(l.TextOffset, offset)
}

// NewCompletionLogprobs is empty lists, never null on the wire.
func NewCompletionLogprobs() *CompletionLogprobs {
	return &CompletionLogprobs{Tokens: []string{}, TokenLogprobs: []*Logprob{}, TopLogprobs: []Top{}, TextOffset: []int{}}
}
