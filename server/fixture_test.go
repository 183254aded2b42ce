package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"astro/model/chat"
	"astro/model/tokenizer"
)

// The fixture's tokens are single bytes, so that texts are cut wherever they can be: 0 = <eos>, 1 = <bos>, byte b = b + 2.
func byteToken(b byte) int32 { return int32(b) + 2 }

// byteName is how byte-level tokenizers spell a byte: printable characters as themselves, the rest from U+0100 on.
func byteNames() [256]string {
	var names [256]string
	next := rune(0x100)
	for b := range 256 {
		if b > ' ' && b < 0x7f || b >= 0xa1 && b != 0xad {
			names[b] = string(rune(b))
			continue
		}
		names[b] = string(next)
		next++
	}
	return names
}

// testTokenizer loads the fixture.
func testTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	type object = map[string]any
	vocab := object{}
	for b, name := range byteNames() {
		vocab[name] = byteToken(byte(b))
	}
	var added []object
	for id, name := range []string{"<eos>", "<bos>"} {
		vocab[name] = id
		added = append(added, object{"id": id, "content": name, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false})
	}
	text, err := json.Marshal(object{"version": "1.0", "added_tokens": added, "normalizer": nil, "post_processor": nil,
		"pre_tokenizer": object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
		"decoder":       object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
		"model":         object{"type": "BPE", "vocab": vocab, "merges": []string{}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tokenizer.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// testTemplate is a template that refuses one word.
func testTemplate(t testing.TB) *chat.Template {
	t.Helper()
	template, err := chat.Parse(`{{ bos_token }}{% for m in messages %}{% if m['content'] == 'refuse me' %}{{ raise_exception('no such talk') }}{% endif %}` +
		`{{ m['role'] + ': ' + m['content'] }}{% endfor %}{% if add_generation_prompt %}{{ '?' }}{% endif %}`)
	if err != nil {
		t.Fatal(err)
	}
	return template.WithSpecial(map[string]string{"bos_token": "<bos>"})
}
