package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"astro/model/tokenizer"
)

// tokenizerInfo is the model's tokenizer_config.json with the chat template in it, wherever the model has that; nil = there is none.
func tokenizerInfo(dir string) (json.RawMessage, error) {
	config, err := readText(dir, "tokenizer_config.json")
	if config == nil || err != nil {
		return nil, err
	}
	template, err := readText(dir, "chat_template.jinja")
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

// readText reads a file of the model that may be missing.
func readText(dir, name string) ([]byte, error) {
	text, err := tokenizer.ReadText(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}
