package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"astro/internal/smallfile"
)

// maxTokenizerInfoBytes bounds the files that GET /tokenizer_info shows.
const maxTokenizerInfoBytes = 16 << 20

// tokenizerInfo is the model's tokenizer_config.json with the chat template in it, wherever the folder has that; nil = there is none.
func tokenizerInfo(dir string) (json.RawMessage, error) {
	config, err := readSmall(filepath.Join(dir, "tokenizer_config.json"))
	if config == nil || err != nil {
		return nil, err
	}
	template, err := readSmall(filepath.Join(dir, "chat_template.jinja"))
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(config, &fields); err != nil {
		return nil, fmt.Errorf("%s: tokenizer_config.json is no JSON object: %w", dir, err)
	}
	if template != nil {
		if fields["chat_template"], err = json.Marshal(string(template)); err != nil {
			return nil, err
		}
	}
	return json.Marshal(fields)
}

// readSmall reads a file that may be missing.
func readSmall(path string) ([]byte, error) {
	text, err := smallfile.Read(path, maxTokenizerInfoBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}
