package openai

import (
	"bytes"
	"strconv"
)

// VersionSpan says which version of the weights drew the output tokens from Start (included) to End (not included) of a choice.
type VersionSpan struct {
	Version int64 `json:"version"`
	Start   int   `json:"start"`
	End     int   `json:"end"`
}

// PromptScores holds one entry per prompt token, in vLLM's form: null for the first, then an object from token ids to their scores.
type PromptScores []PromptScore

// PromptScore are a prompt token's log-probability and the best alternatives at its place; nil encodes as null.
type PromptScore []ScoredToken

// ScoredToken is one entry of a PromptScore.
type ScoredToken struct {
	ID      int32
	Logprob Logprob
	Rank    int    // 1 = the most probable; 0 = it is not among the best ones, and not sent
	Text    string // the token's spelling, as in other log-probabilities
}

// MarshalJSON writes {"id": {"logprob": ..., "rank": ..., "decoded_token": ...}} in the given order, or null.
func (s PromptScore) MarshalJSON() ([]byte, error) {
	if s == nil {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, t := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + strconv.Itoa(int(t.ID)) + `":`)
		b.Write(Encode(struct {
			Logprob Logprob `json:"logprob"`
			Rank    int     `json:"rank,omitempty"`
			Text    string  `json:"decoded_token"`
		}{t.Logprob, t.Rank, t.Text}))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
