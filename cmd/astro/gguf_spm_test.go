package main

import (
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"astro/model/gguf"
	"astro/model/gguf/gguftest"
	"astro/model/modeltest"
	"astro/openai"
)

// spmModel is a small GGUF file of random weights with the tokenizer and the template of a SentencePiece model.
func spmModel(t *testing.T) string {
	t.Helper()
	f, err := gguf.OpenFile(filepath.Join("..", "..", "model", "tokenizer", "testdata", "spm-gguf.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const hidden, ffn, heads = 64, 96, 2
	k := f.Keys()
	names := k.Texts("tokenizer.ggml.tokens")
	file := gguftest.File{Keys: map[string]any{"general.architecture": "llama", "llama.context_length": uint32(512), "llama.embedding_length": uint32(hidden),
		"llama.block_count": uint32(1), "llama.feed_forward_length": uint32(ffn), "llama.attention.head_count": uint32(heads), "llama.rope.freq_base": float32(10000),
		"llama.attention.layer_norm_rms_epsilon": float32(1e-5), "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": names,
		"tokenizer.ggml.scores": k.Floats("tokenizer.ggml.scores"), "tokenizer.ggml.token_type": k.Ints("tokenizer.ggml.token_type"),
		"tokenizer.chat_template": k.Text("tokenizer.chat_template"), "tokenizer.ggml.bos_token_id": uint32(1), "tokenizer.ggml.eos_token_id": uint32(2)}}
	if k.Err != nil {
		t.Fatal(k.Err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	shapes := map[string][]int{"token_embd": {len(names), hidden}, "output_norm": {hidden}, "output": {len(names), hidden}, "blk.0.attn_norm": {hidden},
		"blk.0.attn_q": {hidden, hidden}, "blk.0.attn_k": {hidden, hidden}, "blk.0.attn_v": {hidden, hidden}, "blk.0.attn_output": {hidden, hidden},
		"blk.0.ffn_norm": {hidden}, "blk.0.ffn_gate": {ffn, hidden}, "blk.0.ffn_up": {ffn, hidden}, "blk.0.ffn_down": {hidden, ffn}}
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		n := 1
		for _, dim := range shapes[name] {
			n *= dim
		}
		values := make([]float32, n)
		for i := range values {
			values[i] = 0.1 * float32(rng.NormFloat64())
		}
		file.Tensors = append(file.Tensors, modeltest.F32(name+".weight", values, shapes[name]...))
	}
	path := filepath.Join(t.TempDir(), "spm.gguf")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A GGUF file with SentencePiece's tokenizer answers conversations, by a schema too.
func TestServeGGUFSentencePiece(t *testing.T) {
	a := startServe(t, nil, spmModel(t), "--backend", "go", "--dtype", "f32")
	defer a.end(t)
	for extra, check := range map[string]func(text, finish string) bool{
		`"max_tokens":8,"ignore_eos":true`: func(text, finish string) bool { return text != "" && finish == "length" },
		`"max_tokens":300,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{"n":{"type":"integer","maximum":999,"minimum":0},` +
			`"w":{"enum":["é ☃","two words"]}},"required":["n","w"],"additionalProperties":false}}}`: func(text, finish string) bool {
			var said struct {
				N *int
				W string
			}
			return json.Unmarshal([]byte(text), &said) == nil && said.N != nil && strings.Contains("é ☃, two words", said.W) && said.W != "" && finish == "stop"
		},
	} {
		answer, err := http.Post(a.url+"/v1/chat/completions", openai.JSONType, strings.NewReader(`{"model":"spm","messages":[{"role":"user","content":"Hi </s> 😀"}],`+extra+`}`))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		var c openai.ChatAnswer
		if err != nil || json.Unmarshal(text, &c) != nil || len(c.Choices) != 1 || !check(c.Choices[0].Message.Content, c.Choices[0].FinishReason) {
			t.Errorf("%s: got %s, %s", extra, answer.Status, text)
		}
	}
}
