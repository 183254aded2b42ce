package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"astro/model/chat"
)

// object is a JSON object.
type object = map[string]any

// words is a small tokenizer.json that is sound; change spoils or changes it.
func words(change func(file, model object)) []byte {
	model := object{"type": "WordLevel", "unk_token": "<unk>", "vocab": object{"<unk>": 0, "<s>": 1, "a": 2, "b": 3}}
	file := object{"version": "1.0", "added_tokens": []any{addedToken{ID: 0, Content: "<unk>", Special: true}, addedToken{ID: 1, Content: "<s>", Special: true}},
		"normalizer": nil, "pre_tokenizer": object{"type": "WhitespaceSplit"}, "post_processor": nil, "decoder": object{"type": "Fuse"}, "model": model}
	if change != nil {
		change(file, model)
	}
	text, err := json.Marshal(file)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return text
}

// badFile is a way to spoil a file and what its error must say.
type badFile struct {
	name, want string
	change     func(file, model object)
}

// bpeModel makes the model a BPE without added tokens.
func bpeModel(vocab object, merges ...string) func(file, model object) {
	return func(file, _ object) {
		file["model"], file["added_tokens"] = object{"type": "BPE", "vocab": vocab, "merges": merges}, nil
	}
}

func addedTokens(tokens ...addedToken) func(file, model object) {
	return func(file, _ object) { file["added_tokens"] = tokens }
}

var badModels = []badFile{
	{"version", "version", func(f, _ object) { f["version"] = "9.0" }},
	{"no model", "no model", func(f, _ object) { delete(f, "model") }},
	{"model is a list", "model", func(f, _ object) { f["model"] = []int{1} }},
	{"other model", `"Unigram" is not supported`, func(_, m object) { m["type"] = "Unigram" }},
	{"no vocab", "vocab", func(_, m object) { delete(m, "vocab") }},
	{"empty vocab", "vocab is empty", func(_, m object) { m["vocab"] = object{} }},
	{"negative id", "vocab", func(_, m object) { m["vocab"] = object{"a": -1} }},
	{"huge id", "at most", func(_, m object) { m["vocab"] = object{"<unk>": 0, "a": 4_000_000_000} }},
	{"id twice", "same id 2", func(_, m object) { m["vocab"] = object{"<unk>": 0, "<s>": 1, "a": 2, "b": 2} }},
	{"no unknown", "unk_token", func(_, m object) { m["unk_token"] = "<none>" }},
	{"unknown left out", "unk_token", func(_, m object) { delete(m, "unk_token") }},
	{"nul in version", "NUL", func(f, _ object) { f["version"] = "\x00" }},
	{"nul after backslashes", "NUL", func(f, _ object) { f["version"] = `\\` + "\x00" }},
	{"merge of nothing", "c", bpeModel(object{"a": 0, "b": 1}, "a c")},
	{"bad merge", "erge", bpeModel(object{"a": 0, "b": 1}, "a b c")},
	{"subword prefix", "continuing_subword_prefix", func(f, m object) {
		bpeModel(object{"a": 0, "é": 1, "aé": 2}, "a é")(f, m)
		f["model"].(object)["continuing_subword_prefix"] = "#"
	}},
	{"dropout", "dropout", func(_, m object) { m["dropout"] = 0.1 }},
}

var badParts = []badFile{
	{"added id", "by the vocabulary it is 4", addedTokens(addedToken{ID: 7, Content: "<x>"})},
	{"added twice", "there twice", addedTokens(addedToken{ID: 4, Content: "<x>"}, addedToken{ID: 4, Content: "<x>"})},
	{"added empty", "empty", addedTokens(addedToken{ID: 4})},
	{"added escape", "U+FDD0", addedTokens(addedToken{ID: 4, Content: escape})},
	{"added text", "added_tokens", func(f, _ object) { f["added_tokens"] = "x" }},
	{"gaps", "gaps", func(_, m object) { m["vocab"] = object{"<unk>": 0, "<s>": 1, "a": 4, "b": 9} }},
	{"precompiled", "Precompiled", func(f, _ object) {
		f["normalizer"] = object{"type": "Sequence", "normalizers": []any{object{"type": "Precompiled", "precompiled_charsmap": "AAAA"}}}
	}},
	{"normalizer", "refuses", func(f, _ object) { f["normalizer"] = object{"type": "Nothing"} }},
	{"normalizer text", "normalizer", func(f, _ object) { f["normalizer"] = "NFC" }},
	{"regex", "is refused", func(f, _ object) {
		f["pre_tokenizer"] = object{"type": "Split", "pattern": object{"Regex": "("}, "behavior": "Isolated", "invert": false}
	}},
	{"post-processor names nothing", "special_tokens lacks", func(f, _ object) {
		f["post_processor"] = object{"type": "TemplateProcessing", "single": []any{object{"SpecialToken": object{"id": "<x>", "type_id": 0}}, object{"Sequence": object{"id": "A", "type_id": 0}}}, "pair": []any{}, "special_tokens": object{}}
	}},
	{"post-processor's id", "post_processor", func(f, _ object) {
		f["post_processor"] = object{"type": "TemplateProcessing", "single": []any{object{"SpecialToken": object{"id": "<x>", "type_id": 0}}, object{"Sequence": object{"id": "A", "type_id": 0}}}, "pair": []any{},
			"special_tokens": object{"<x>": object{"id": "<x>", "ids": []int{99}, "tokens": []string{"<x>"}}}}
	}},
	{"post-processor loses the text", "text 0 times", func(f, _ object) {
		f["post_processor"] = object{"type": "Sequence", "processors": []any{object{"type": "TemplateProcessing", "single": []any{}, "pair": []any{}, "special_tokens": object{}}}}
	}},
	{"decoder", "not supported", func(f, _ object) { f["decoder"] = object{"type": "WordPiece"} }},
	{"decoder order", "not supported", func(f, _ object) {
		f["decoder"] = object{"type": "Sequence", "decoders": []any{object{"type": "Strip", "content": " ", "start": 1, "stop": 0}}}
	}},
	{"decoder text", "decoder", func(f, _ object) { f["decoder"] = 7 }},
	{"strip", "one character", func(f, _ object) {
		f["decoder"] = object{"type": "Sequence", "decoders": []any{object{"type": "Fuse"}, object{"type": "Strip", "content": "ab", "start": 1, "stop": 0}}}
	}},
}

// A file that the library would refuse, panic on or misread gets an error that names the trouble.
func TestSec_R18BadTokenizers(t *testing.T) {
	for _, c := range append(badModels, badParts...) {
		if tok, err := parse(words(c.change)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v; want an error with %q", c.name, tok, err, c.want)
		}
	}
	if _, err := parse(words(nil)); err != nil {
		t.Errorf("the sound file: %v", err)
	}
}

// What is not even JSON, or not there, says so.
func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "tokenizer.json")); err == nil || !strings.Contains(err.Error(), "save_pretrained") {
		t.Errorf("no file: got %v", err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: got %v", err)
	}
	sound := words(nil)
	for _, text := range []string{"", "null", "[]", "7", "\xff", "{", `{"decoder": {"type": }`, string(sound[:len(sound)/2]), string(sound) + "}", strings.Repeat("[", 100_000)} {
		path := filepath.Join(dir, "tokenizer.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%.20q: got %v; want an error that names the file", text, err)
		}
	}
	path := filepath.Join(dir, "huge")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxFileBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "134217728 bytes") {
		t.Errorf("huge file: got %v", err)
	}
}

// A file cut or changed anywhere is an error or a tokenizer, never the end of the process.
func FuzzParse(f *testing.F) {
	f.Add(words(nil))
	for _, model := range []string{"bpe512", "spm-legacy", "spm-first"} {
		text, err := os.ReadFile(filepath.Join("testdata", model, "tokenizer.json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tok, err := parse(text)
		if err != nil {
			return
		}
		for _, id := range append(tok.Encode("Some text <s>.\n"), tok.EncodeSegments([]chat.Segment{{Text: "<s> a", Trusted: true}})...) {
			if int(id) >= tok.Vocab() {
				t.Errorf("got id %d of %d", id, tok.Vocab())
			}
		}
	})
}

// spoil calls use with the document in each state where one value in it is another one.
func spoil(node any, set func(any), use func()) {
	switch v := node.(type) {
	case object:
		for key, inner := range v {
			spoil(inner, func(x any) { v[key] = x }, use)
			delete(v, key)
			use()
			v[key] = inner
		}
	case []any:
		for i, inner := range v {
			spoil(inner, func(x any) { v[i] = x }, use)
		}
	}
	for _, odd := range []any{nil, true, -1, 1e300, "", "é", "Precompiled", "Sequence", []any{}, []any{nil}, object{}, object{"type": "ByteLevel"}, object{"String": "("}} {
		set(odd)
		use()
	}
	set(node)
}

// Any one value of a file can be anything: the result is an error or a tokenizer that works, never the end of the process.
func TestSec_R18SpoiledTokenizers(t *testing.T) {
	for _, model := range []string{"bpe512", "spm-legacy", "spm-first"} {
		text, err := os.ReadFile(filepath.Join("testdata", model, "tokenizer.json"))
		if err != nil {
			t.Fatal(err)
		}
		file := object{}
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		m := file["model"].(object)
		m["vocab"], m["merges"] = object{"a": 0, "b": 1, "ab": 2, "<unk>": 3}, []any{[]any{"a", "b"}}
		file["added_tokens"] = []any{object{"id": 4, "content": "SEP", "special": true, "normalized": true, "lstrip": true, "rstrip": false, "single_word": true}}
		for _, described := range file["post_processor"].(object)["special_tokens"].(object) {
			described.(object)["ids"] = []any{0}
		}
		tokens, errs := 0, 0
		spoil(file, func(any) {}, func() {
			text, err := json.Marshal(file)
			if err != nil {
				t.Fatal(err)
			}
			tok, err := parse(text)
			if err != nil {
				errs++
				return
			}
			tokens += len(tok.EncodeSegments([]chat.Segment{{Text: " SEP ab", Trusted: true}, {Text: "ab\x00"}}))
		})
		if tokens < 100 || errs < 100 {
			t.Errorf("%s: only %d tokens and %d errors: the test sees too little", model, tokens, errs)
		}
	}
}

// Lengths in the file that would cut or fill a prompt are not followed.
func TestNoTruncation(t *testing.T) {
	tok, err := parse(words(func(f, _ object) {
		f["truncation"] = object{"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
		f["padding"] = object{"strategy": object{"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": nil, "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("a b a b"); !slices.Equal(got, []int32{2, 3, 2, 3}) {
		t.Errorf("got %v", got)
	}
}

// Where a model lists its special tokens among the words, a user's text can look like one to the model itself.
func TestSpecialWord(t *testing.T) {
	tok, err := parse(words(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("a <s> b"); !slices.Equal(got, []int32{2, 0, 3}) {
		t.Errorf("got %v; want the unknown token for <s>", got)
	}
	if got := tok.EncodeSegments([]chat.Segment{{Text: "<s> a", Trusted: true}, {Text: " <s>"}}); !slices.Equal(got, []int32{1, 2, 0}) {
		t.Errorf("got %v; want one <s>, the trusted one", got)
	}
	merged, err := parse(words(func(f, _ object) {
		f["model"] = object{"type": "BPE", "vocab": object{"a": 0, "b": 1, "ab": 2}, "merges": []string{"a b"}}
		f["added_tokens"] = []any{addedToken{ID: 2, Content: "ab", Special: true}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got := merged.Encode("ab a"); !slices.Equal(got, []int32{0}) {
		t.Errorf("got %v; want no special token", got)
	}
}
