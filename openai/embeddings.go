package openai

import (
	"encoding/base64"
	"encoding/binary"
	"math"
)

// EmbeddingsRequest is a decoded and validated body of POST /v1/embeddings.
type EmbeddingsRequest struct {
	Options
	Inputs []Prompt // 1 to MaxPrompts
	Base64 bool     // encoding_format is base64: little-endian f32
	Last   bool     // pooling is "last": the last token's state instead of the mean of all
}

// DecodeEmbeddingsRequest reads and validates a body. pooling is an extension.
func DecodeEmbeddingsRequest(body []byte) (*EmbeddingsRequest, *Error) {
	q := &EmbeddingsRequest{Options: defaultOptions()}
	err := readRequest(body, &q.Options, func(r *reader, key string) bool {
		switch key {
		case "input":
			q.Inputs = readPrompts(r)
		case "encoding_format":
			q.Base64 = readWord(r, "float", "base64") == "base64"
		case "pooling":
			q.Last = readWord(r, "mean", "last") == "last"
		case "dimensions":
			readUnsupported(r)
		default:
			return false
		}
		return true
	})
	if err == nil && q.Inputs == nil {
		err = missing("input")
	}
	if err == nil {
		err = q.check()
	}
	if err != nil {
		return nil, err
	}
	q.Stream, q.N, q.MaxTokens, q.MinTokens = false, 1, 0, 0
	return q, nil
}

// EmbeddingList is the body of an answer.
type EmbeddingList struct {
	Object string          `json:"object"` // "list"
	Data   []EmbeddingItem `json:"data"`   // by index of the input
	Model  string          `json:"model"`
	Usage  Usage           `json:"usage"`
}

// EmbeddingItem is one input's vector.
type EmbeddingItem struct {
	Object    string `json:"object"` // "embedding"
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32, or base64
}

// NewEmbeddingItem encodes a vector.
func NewEmbeddingItem(index int, vector []float32, inBase64 bool) EmbeddingItem {
	item := EmbeddingItem{Object: "embedding", Index: index, Embedding: vector}
	if inBase64 {
		var raw []byte
		for _, v := range vector {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		item.Embedding = base64.StdEncoding.EncodeToString(raw)
	}
	return item
}
