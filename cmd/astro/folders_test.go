package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
)

// A Hugging Face folder as somebody else made it: random weights, with the tokenizer and chat template of the real Llama 3, and
// with a small byte-level BPE. Both answer a conversation, streamed text equals whole text, and the prompt is what the template
// says.
func TestServeHuggingFaceFolders(t *testing.T) {
	for name, c := range map[string]struct {
		tokenizer, config string
		prompt            int64 // tokens of the conversation below
	}{
		"llama3": {filepath.Join(tokenizersModule(t), "test", "data", "Meta-Llama-3-8B-Instruct.json"),
			filepath.Join(tokenizersModule(t), "test", "data", "meta-llama-3-8b-instruct", "tokenizer_config.json"), 11},
		"bpe512": {filepath.Join("..", "..", "model", "tokenizer", "testdata", "bpe512", "tokenizer.json"),
			filepath.Join("..", "..", "model", "tokenizer", "testdata", "bpe512", "tokenizer_config.json"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			a := startServe(t, nil, randomFolder(t, name, c.tokenizer, c.config), "--backend", "go", "--dtype", "bf16")
			client := sdk.NewClient(option.WithBaseURL(a.url+"/v1/"), option.WithAPIKey("any"), option.WithMaxRetries(0))
			p := sdk.ChatCompletionNewParams{Model: name, Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("Hello")},
				Seed: sdk.Int(3), MaxCompletionTokens: sdk.Int(20)}
			whole, err := client.Chat.Completions.New(context.Background(), p)
			if err != nil {
				t.Fatalf("%v: %s", err, a.log)
			}
			if whole.Usage.CompletionTokens < 1 || c.prompt > 0 && whole.Usage.PromptTokens != c.prompt {
				t.Errorf("got usage %+v; want %d prompt tokens", whole.Usage, c.prompt)
			}
			streamed := ""
			stream := client.Chat.Completions.NewStreaming(context.Background(), p)
			for stream.Next() {
				for _, choice := range stream.Current().Choices {
					streamed += choice.Delta.Content
				}
			}
			if stream.Err() != nil || streamed != whole.Choices[0].Message.Content {
				t.Errorf("streamed %q, %v; whole %q", streamed, stream.Err(), whole.Choices[0].Message.Content)
			}
			a.end(t)
		})
	}
}

// tokenizersModule is the folder of the tokenizers module, whose test data hold the real Llama 3 tokenizer.
func tokenizersModule(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/daulet/tokenizers").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(dir))
}

// randomFolder writes a tiny random model whose vocabulary is the tokenizer's.
func randomFolder(t *testing.T, name, tokenizerFile, configFile string) string {
	t.Helper()
	d := devicetest.Open(t, device.Go)
	text, err := os.ReadFile(tokenizerFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		AddedTokens []struct{ ID int } `json:"added_tokens"`
		Model       struct{ Vocab map[string]int }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	vocab := 0
	for _, id := range file.Model.Vocab {
		vocab = max(vocab, id+1)
	}
	for _, a := range file.AddedTokens {
		vocab = max(vocab, a.ID+1)
	}
	c := model.Config{Vocab: vocab, Hidden: 32, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 8, FFN: 64, MaxPositions: 256, NormEps: 1e-5,
		TiedHead: true, Rope: model.Rope{Theta: 500000}, BOS: -1, InitStd: .1}
	w, err := model.Random(c, 1, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	dir := filepath.Join(t.TempDir(), name)
	if err := model.Save(dir, w, dtypes.BFloat16); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(configFile)
	if err != nil {
		t.Fatal(err)
	}
	for to, data := range map[string][]byte{"tokenizer.json": text, "tokenizer_config.json": config} {
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
