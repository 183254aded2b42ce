package recipe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"astro/model/chat"
	"astro/model/tokenizer"
)

// textFiles are what a model's folder may have besides weights and their shape.
var textFiles = []string{"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "chat_template.json"}

// CopyTexts copies the tokenizer and chat template of a model, a folder or a GGUF file, to another's folder.
func CopyTexts(to, from string) error {
	for _, name := range textFiles {
		text, err := tokenizer.ReadText(from, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// TextTokens makes the ids of completions with the tokenizer of a model, for linearize.Prose. The end of sequence is the
// eos_token of its tokenizer_config.json: for a chat model the token that ends a turn. Nothing in a text becomes a special token.
func TextTokens(dir string) (func(text string) ([]int32, []int, error), error) {
	t, err := tokenizer.LoadModel(dir)
	if err != nil {
		return nil, err
	}
	end, err := endToken(dir, t)
	if err != nil {
		return nil, err
	}
	return func(text string) ([]int32, []int, error) {
		ids := t.EncodeSegments([]chat.Segment{{Text: text}})
		starts, at := make([]int, len(ids), len(ids)+1), 0
		stream, back := t.NewStream(), ""
		for i, id := range ids {
			starts[i] = at
			back += stream.Push(id)
			at = len(back)
		}
		if back += stream.Flush(); back != text {
			return nil, nil, errors.New("the tokenizer does not give the text back: it has no place for some of its tokens")
		}
		return append(ids, end), append(starts, len(text)), nil
	}, nil
}

// endToken reads eos_token, which is a string or an object with its content.
func endToken(dir string, t *tokenizer.Tokenizer) (int32, error) {
	path := filepath.Join(dir, "tokenizer_config.json") // for errors; a GGUF file holds one
	data, err := tokenizer.ReadText(dir, "tokenizer_config.json")
	if err != nil {
		return 0, fmt.Errorf("find the end of sequence: %w", err)
	}
	var config struct {
		EOS json.RawMessage `json:"eos_token"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	var name string
	if json.Unmarshal(config.EOS, &name) != nil {
		var object struct{ Content string }
		_ = json.Unmarshal(config.EOS, &object) // a name that is missing is told below
		name = object.Content
	}
	ids := t.EncodeSegments([]chat.Segment{{Text: name, Trusted: true}})
	if name == "" || len(ids) != 1 {
		return 0, fmt.Errorf("%s: its eos_token %q is no token of tokenizer.json", path, name)
	}
	return ids[0], nil
}
