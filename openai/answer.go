package openai

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Usage counts tokens of a whole request: all prompts, all choices.
type Usage struct {
	PromptTokens     int           `json:"prompt_tokens"`
	CompletionTokens int           `json:"completion_tokens"`
	TotalTokens      int           `json:"total_tokens"`
	PromptDetails    PromptDetails `json:"prompt_tokens_details"`
}

// PromptDetails says how many of the prompt tokens came from the prefix cache.
type PromptDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

// StreamUsage is the usage field of a stream chunk: absent unless it was asked for, and then null in all but the last chunk.
type StreamUsage struct {
	Wanted bool
	Value  *Usage // nil = null
}

// IsZero leaves the field out where no usage was asked for.
func (u StreamUsage) IsZero() bool { return !u.Wanted }

// MarshalJSON writes the counts or null.
func (u StreamUsage) MarshalJSON() ([]byte, error) { return json.Marshal(u.Value) }

// UnmarshalJSON reads the counts or null.
func (u *StreamUsage) UnmarshalJSON(data []byte) error {
	u.Wanted = true
	return json.Unmarshal(data, &u.Value)
}

// Null is a field that is always null, where the specification requires its presence.
type Null struct{}

// MarshalJSON writes null.
func (*Null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// Logprob is a log-probability on the wire. JSON has no infinities: what is below -9999 is sent as -9999, as OpenAI does.
type Logprob float32

// MarshalJSON writes the shortest decimal that is the same float32.
func (p Logprob) MarshalJSON() ([]byte, error) {
	v := float64(p)
	if math.IsNaN(v) || v < -9999 {
		v = -9999
	}
	return strconv.AppendFloat(nil, min(v, 0), 'g', -1, 32), nil
}

// TokenText is how a token is spelled in log-probabilities: its text where its bytes are valid UTF-8, else "bytes:\xe2\x80".
func TokenText(token []byte) string {
	if utf8.Valid(token) {
		return string(token)
	}
	var b strings.Builder
	b.WriteString("bytes:")
	for _, c := range token {
		b.WriteString(`\x`)
		b.WriteString(strconv.FormatUint(uint64(c)|0x100, 16)[1:])
	}
	return b.String()
}

// byteValues is a token's bytes as numbers, never null.
func byteValues(token []byte) []int {
	values := make([]int, len(token))
	for i, c := range token {
		values[i] = int(c)
	}
	return values
}

// Encode is the JSON of any answer of this package, without HTML escaping. Invalid UTF-8 in text becomes U+FFFD, so that a frame
// is always valid JSON on one line.
func Encode(answer any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(answer); err != nil {
		panic("BUG: got an answer that has no JSON form (" + err.Error() + "); want plain structs")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Frames of a server-sent event stream.
const (
	Done      = "data: [DONE]\n\n"  // ends the streams of chats and text completions
	KeepAlive = ": keep-alive\n\n"  // a comment; keeps proxies from cutting a silent stream
	EventType = "text/event-stream" // media type of a stream
	JSONType  = "application/json"  // media type of everything else
	FormType  = "multipart/form-data"
)

// Frame is one server-sent event that carries an answer: a chunk or an Error.
func Frame(answer any) []byte {
	frame := append([]byte("data: "), Encode(answer)...)
	return append(frame, "\n\n"...)
}

// NamedFrame is one server-sent event that has a name.
func NamedFrame(name string, answer any) []byte {
	return append([]byte("event: "+name+"\n"), Frame(answer)...)
}
