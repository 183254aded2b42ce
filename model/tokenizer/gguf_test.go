package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"astro/model/chat"
	"astro/model/gguf/gguftest"
)

// ggufOf is a tokenizer.json and its tokenizer_config.json as llama.cpp's converter writes them: ids without a token are unused ones.
func ggufOf(t testing.TB, file, folder, pre string, vocab int) gguftest.File {
	t.Helper()
	var parts struct {
		Added []addedToken `json:"added_tokens"`
		Model struct {
			Vocab  map[string]int
			Merges []json.RawMessage
		}
	}
	var config map[string]any
	readJSON(t, file, &parts)
	readJSON(t, filepath.Join(folder, "tokenizer_config.json"), &config)
	tokens, types := make([]string, vocab), slices.Repeat([]int32{5}, vocab)
	for i := range tokens {
		tokens[i] = fmt.Sprintf("[PAD%d]", i)
	}
	for name, id := range parts.Model.Vocab {
		tokens[id], types[id] = name, 1
	}
	ids := map[string]uint32{}
	for _, a := range parts.Added {
		if tokens[a.ID], types[a.ID] = a.Content, 4; a.Special {
			types[a.ID] = 3
		}
		ids[a.Content] = a.ID
	}
	var merges []string
	for _, m := range parts.Model.Merges {
		merges = append(merges, merge(t, m))
	}
	return gguftest.File{Keys: map[string]any{"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": tokens,
		"tokenizer.ggml.token_type": types, "tokenizer.ggml.merges": merges, "tokenizer.chat_template": config["chat_template"],
		"tokenizer.ggml.bos_token_id": ids[config["bos_token"].(string)], "tokenizer.ggml.eos_token_id": ids[config["eos_token"].(string)]}}
}

// merge is "a b", which older files write so and newer ones as a list.
func merge(t testing.TB, raw json.RawMessage) (text string) {
	t.Helper()
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var pair []string
	if err := json.Unmarshal(raw, &pair); err != nil {
		t.Fatal(err)
	}
	return strings.Join(pair, " ")
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func writeGGUF(t testing.TB, f gguftest.File) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, f.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Llama 3's tokenizer, and a small one of its kind, give Hugging Face's ids also when they come from a GGUF file.
func TestGGUFAgainstHuggingFace(t *testing.T) {
	for name, vocab := range map[string]int{"llama3": 128256, "bpe512": 520} {
		file, folder := paths(t, name)
		path := writeGGUF(t, ggufOf(t, file, folder, "llama-bpe", vocab))
		checkGolden(t, name, path)
		comparePieces(t, name, path, file)
	}
	checkGolden(t, "bpe512", filepath.Join("..", "gguf", "testdata", "llama3-bf16.gguf")) // written by the format's own library
}

func checkGolden(t *testing.T, name, path string) {
	t.Helper()
	tok, err := LoadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	template, err := LoadTemplate(path)
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	readJSON(t, filepath.Join("testdata", name+".json"), &g)
	for _, c := range g.Encode {
		if got := tok.Encode(c.Text); !slices.Equal(got, c.IDs) {
			t.Errorf("%s: %q is %v; want %v", name, c.Text, got, c.IDs)
		}
	}
	for _, c := range g.Trusted {
		if strings.Contains(c.Text, "<|strip|>") || strings.Contains(c.Text, "SEP") {
			continue // GGUF does not say that these take white space or stand between words only
		}
		if got := tok.EncodeSegments([]chat.Segment{{Text: c.Text, Trusted: true}}); !slices.Equal(got, c.IDs) {
			t.Errorf("%s: trusted %q is %v; want %v", name, c.Text, got, c.IDs)
		}
	}
	_, folder := paths(t, name)
	want, err := chat.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	compareTemplates(t, name, template, want)
}

// comparePieces says whether the file gives what decides about ids as Hugging Face's own file has it.
func comparePieces(t *testing.T, name, path, file string) {
	t.Helper()
	type pieces struct {
		Pre   any `json:"pre_tokenizer"`
		Model struct {
			Vocab  map[string]int
			Ignore bool `json:"ignore_merges"`
			Suffix any  `json:"end_of_word_suffix"`
		}
		Added []struct {
			ID      int
			Content string
			Special bool
		} `json:"added_tokens"`
	}
	var got, want pieces
	readJSON(t, file, &want)
	text, err := ReadText(path, "tokenizer.json")
	if err == nil {
		err = json.Unmarshal(text, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: vocabulary (%d, %d), added tokens, splits %v (want %v) or ignore_merges %v (want %v) differ", name, len(got.Model.Vocab), len(want.Model.Vocab),
			got.Pre, want.Pre, got.Model.Ignore, want.Model.Ignore)
	}
}

func compareTemplates(t *testing.T, name string, got, want *chat.Template) {
	t.Helper()
	in := chat.Input{Messages: []chat.Message{{Role: "user", Content: "Hello <|eot_id|>"}}, AddGenerationPrompt: true}
	one, err := got.Render(in)
	if err != nil {
		t.Fatal(err)
	}
	other, err := want.Render(in)
	if err != nil || !slices.Equal(one, other) || len(one) == 0 {
		t.Errorf("%s: got %v; want %v, %v", name, one, other, err)
	}
}

// Files beside a GGUF file stand before what it says, each by itself.
func TestGGUFBesideFiles(t *testing.T) {
	file, folder := paths(t, "bpe512")
	f := ggufOf(t, file, folder, "llama-bpe", 512)
	f.Keys["tokenizer.ggml.model"] = "t5" // SentencePiece's Unigram
	path := writeGGUF(t, f)
	if _, err := LoadModel(path); err == nil || !strings.Contains(err.Error(), "put the tokenizer.json") || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v; want an error that says what to do", err)
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadText(path, name)
		if err != nil || string(got) != string(text) {
			t.Errorf("%s: got %d bytes, %v; want the file's %d", name, len(got), err, len(text))
		}
	}
	if tok, err := LoadModel(path); err != nil || tok.Vocab() != load(t, "bpe512").Vocab() {
		t.Errorf("got %v", err)
	}
}

// A template or a tokenizer that is not there is told as it is for a folder.
func TestGGUFWithoutTexts(t *testing.T) {
	path := writeGGUF(t, gguftest.File{Keys: map[string]any{"tokenizer.ggml.model": "no_vocab"}})
	if _, err := LoadTemplate(path); !errors.Is(err, chat.ErrNoTemplate) {
		t.Errorf("got %v; want ErrNoTemplate", err)
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "../x"} {
		if _, err := ReadText(path, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v; want fs.ErrNotExist", name, err)
		}
	}
}

// The other kinds of splits: digits one by one, a text's beginning only where the file says so.
func TestGGUFSplits(t *testing.T) {
	file, folder := paths(t, "bpe512")
	for pre, want := range map[string][]string{"gpt-2": {"Ġ", "1", "2", "3"}, "smollm": {"Ġ", "1", "2", "3"}} {
		f := ggufOf(t, file, folder, pre, 512)
		for _, bos := range []bool{false, true} {
			f.Keys["tokenizer.ggml.add_bos_token"] = bos
			tok, err := LoadModel(writeGGUF(t, f))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, id := range tok.Encode(" 123") {
				names = append(names, tok.name(id))
			}
			if begins := slices.Equal(names, append([]string{"<|bos|>"}, want...)); begins != bos || !bos && !slices.Equal(names, want) {
				t.Errorf("%s, bos %v: got %q; want %q", pre, bos, names, want)
			}
		}
	}
}

// Tokenizers that are damaged, or that lie, are errors.
func TestSec_R18GGUFTokenizerRefuses(t *testing.T) {
	file, folder := paths(t, "bpe512")
	good := ggufOf(t, file, folder, "llama-bpe", 512)
	tokens, types := good.Keys["tokenizer.ggml.tokens"].([]string), good.Keys["tokenizer.ggml.token_type"].([]int32)
	changed := func(i int, to string) []string {
		c := slices.Clone(tokens)
		c[i] = to
		return c
	}
	for name, c := range map[string]struct {
		key   string
		value any
		says  string
	}{
		"other model":       {"tokenizer.ggml.model", "t5", `model "t5"`},
		"other pre":         {"tokenizer.ggml.pre", "default", `pre-tokenizer "default"`},
		"no pre":            {"tokenizer.ggml.pre", nil, `pre-tokenizer ""`},
		"pre is a number":   {"tokenizer.ggml.pre", uint32(1), "not a string"},
		"no tokens":         {"tokenizer.ggml.tokens", nil, "0 tokens with 512 types"},
		"fewer types":       {"tokenizer.ggml.token_type", types[:511], "512 tokens with 511 types"},
		"unknown types":     {"tokenizer.ggml.token_type", slices.Repeat([]int32{6}, 512), "the type 6"},
		"token twice":       {"tokenizer.ggml.tokens", changed(7, tokens[3]), "the same as token 3"},
		"empty token":       {"tokenizer.ggml.tokens", changed(7, ""), "empty"},
		"token not UTF-8":   {"tokenizer.ggml.tokens", changed(7, "\xff"), "not UTF-8"},
		"token with NUL":    {"tokenizer.ggml.tokens", changed(7, "a\x00"), "NUL"},
		"no merges":         {"tokenizer.ggml.merges", nil, "missing or empty"},
		"merge of one":      {"tokenizer.ggml.merges", []string{"ab"}, "merge 0"},
		"merge of three":    {"tokenizer.ggml.merges", []string{"a b c"}, "merge 0"},
		"merge of no token": {"tokenizer.ggml.merges", []string{"qqqq zzzz"}, "refuses it"},
		"begin outside":     {"tokenizer.ggml.bos_token_id", uint32(512), "not a token"},
	} {
		f := good
		f.Keys = maps.Clone(good.Keys)
		if f.Keys[c.key] = c.value; c.value == nil {
			delete(f.Keys, c.key)
		}
		path := writeGGUF(t, f)
		if _, err := LoadModel(path); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v; want the path and %q", name, err, c.says)
		}
	}
}
