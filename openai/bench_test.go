package openai

import "testing"

// BenchmarkFrame is what one token of a stream costs.
func BenchmarkFrame(b *testing.B) {
	text := " hello"
	for b.Loop() {
		Frame(ChatChunk{ID: "chatcmpl-0123456789abcdef0123456789abcdef", Object: ChunkObject, Created: 1700000000, Model: "model", ServiceTier: "default",
			SystemFingerprint: "astro-1-v1", Choices: []ChunkChoice{{Delta: Delta{Content: &text}}}})
	}
}

// BenchmarkDecodeChatRequest is what a request of 8 KiB of text costs.
func BenchmarkDecodeChatRequest(b *testing.B) {
	text := make([]byte, 8<<10)
	for i := range text {
		text[i] = 'a'
	}
	body := []byte(`{"model":"m","messages":[{"role":"user","content":"` + string(text) + `"}],"temperature":0.5,"stream":true}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := DecodeChatRequest(body); err != nil {
			b.Fatal(err)
		}
	}
}
