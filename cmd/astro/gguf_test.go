package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"astro/model/modeltest"
	"astro/model/tokenizer"
	"astro/openai"
)

// ggufFile is a GGUF file with a tokenizer and a chat template, written by the format's own library.
var ggufFile = filepath.Join("..", "..", "model", "gguf", "testdata", "llama3-bf16.gguf")

// ggufFolder is the Hugging Face folder of the same model: weights, tokenizer and template, with the end that the file says.
func ggufFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "llama3-bf16")
	tok := filepath.Join("..", "..", "model", "tokenizer", "testdata", "bpe512")
	if err := errors.Join(os.CopyFS(dir, os.DirFS(modeltest.Named(t, "llama3-tied-hub-bf16").Dir)), os.CopyFS(dir, os.DirFS(tok))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config.json", "generation_config.json"} {
		var c map[string]any
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = json.Unmarshal(text, &c)
		}
		c["bos_token_id"], c["eos_token_id"] = 502, 503
		text, failed := json.Marshal(c)
		if err := errors.Join(err, failed, os.WriteFile(filepath.Join(dir, name), text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A GGUF file is served under its name and answers, tokenizer and template included, as the folder that it was made from does.
func TestServeGGUF(t *testing.T) {
	var answers []string
	for _, where := range []string{ggufFile, ggufFolder(t)} {
		a := startServe(t, nil, where, "--backend", "go", "--dtype", "f32")
		if got := listed(t, a.url); got != "llama3-bf16" {
			t.Errorf("%s: serves %q", where, got)
		}
		answers = append(answers, ask(t, a.url))
		a.end(t)
	}
	if answers[0] != answers[1] || len(answers[0]) < 40 {
		t.Errorf("got %s; the folder answers %s", answers[0], answers[1])
	}
}

// ask gives what a server answers to a conversation, greedily: the text, the tokens of prompt and answer, its tokenizer_config's names.
func ask(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Post(url+"/v1/chat/completions", openai.JSONType, strings.NewReader(
		`{"model":"llama3-bf16","max_tokens":24,"temperature":0,"messages":[{"role":"user","content":"The ferry <|eos|> leaves at 7."}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var c struct {
		Choices []struct{ Message struct{ Content string } }
		Usage   struct {
			Prompt     int `json:"prompt_tokens"`
			Completion int `json:"completion_tokens"`
		}
	}
	text, err := io.ReadAll(answer.Body)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil || answer.StatusCode != http.StatusOK || len(c.Choices) != 1 {
		t.Fatalf("got %s: %s, %v", answer.Status, text, err)
	}
	told, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(told)
}

// Training begins with a GGUF file and leaves a whole Hugging Face folder, the tokenizer included.
func TestTrainFromGGUF(t *testing.T) {
	var lines []any
	for i := range 8 {
		lines = append(lines, map[string]any{"tokens": []int{502, 10 + i, 11, 12, 13, 503}, "prompt_tokens": 2})
	}
	out := filepath.Join(t.TempDir(), "trained")
	if _, err := train(t, "sft", "--model", ggufFile, "--data", writeLines(t, "data.jsonl", lines...), "--out", out, "--epochs", "1", "--rows", "1"); err != nil {
		t.Fatal(err)
	}
	before, after := weightsIn(t, ggufFile), weightsIn(t, out)
	if len(before) != len(after) || len(before[0]) != len(after[0]) || before[0][502*64] == after[0][502*64] {
		t.Errorf("%d tensors of the file, %d of the folder, or nothing was learned", len(before), len(after))
	}
	if tok, err := tokenizer.LoadModel(out); err != nil || tok.Vocab() != 512 {
		t.Errorf("the folder's tokenizer: %v", err)
	}
	if _, err := tokenizer.LoadTemplate(out); err != nil {
		t.Errorf("the folder's template: %v", err)
	}
}

// What is a file and no GGUF file is said in words.
func TestServeNoGGUF(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, []byte(strings.Repeat("no model ", 10)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := command(nil, "serve", path, "--port", "0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "want a GGUF file or a Hugging Face folder") {
		t.Errorf("got %v: %s", err, out)
	}
}
