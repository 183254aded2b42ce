package gguf

import (
	"encoding/json"
	"fmt"
	"io/fs"
)

// The names of a Hugging Face folder's files that Text can stand for.
const (
	TokenizerName       = "tokenizer.json"
	TokenizerConfigName = "tokenizer_config.json"
)

// Text is what the named file of a Hugging Face folder would say: tokenizer.json, or tokenizer_config.json with the names of special
// tokens and the chat template. fs.ErrNotExist says that the file has nothing for it; for tokenizer.json the
// text of that error says why, and what to do.
func (f *File) Text(name string) ([]byte, error) {
	switch name {
	case TokenizerName:
		return f.tokenizer()
	case TokenizerConfigName:
		return f.tokenizerConfig()
	}
	return nil, fs.ErrNotExist
}

// ids are the keys of special tokens, and what Hugging Face calls them.
var ids = []struct{ key, name string }{
	{"tokenizer.ggml.bos_token_id", "bos_token"}, {"tokenizer.ggml.eos_token_id", "eos_token"},
	{"tokenizer.ggml.unknown_token_id", "unk_token"}, {"tokenizer.ggml.padding_token_id", "pad_token"},
}

// tokenizerConfig writes tokenizer_config.json.
func (f *File) tokenizerConfig() ([]byte, error) {
	k := f.Keys()
	config := map[string]any{}
	tokens := k.Texts(tokensKey)
	for _, special := range ids {
		if !k.Has(special.key) || len(tokens) == 0 {
			continue
		}
		id := k.Int(special.key, 0)
		if id >= len(tokens) {
			return nil, fmt.Errorf("metadata key %q is %d, but there are %d tokens", special.key, id, len(tokens))
		}
		config[special.name] = tokens[id]
	}
	if template := k.Text("tokenizer.chat_template"); template != "" {
		config["chat_template"] = template
	}
	if k.Err != nil {
		return nil, k.Err
	}
	if len(config) == 0 {
		return nil, fs.ErrNotExist
	}
	config["tokenizer_class"], config["clean_up_tokenization_spaces"] = "PreTrainedTokenizerFast", false
	return encode(config), nil
}

// encode writes what cannot fail to be JSON.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("BUG: cannot encode %T: %v", v, err))
	}
	return text
}
