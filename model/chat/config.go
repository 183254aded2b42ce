package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"astro/internal/smallfile"
	"astro/internal/strictjson"
)

// ErrNoTemplate says that a model's folder has no chat template: the model completes text and knows no conversations.
var ErrNoTemplate = errors.New("no chat template in tokenizer_config.json, and no chat_template.jinja beside it")

// Load reads the chat template of a Hugging Face folder: chat_template.jinja if it is there, else the entry of
// tokenizer_config.json, where a list of named templates stands for its "default". The error is ErrNoTemplate if there is none.
func Load(dir string) (*Template, error) {
	config, err := smallfile.Read(filepath.Join(dir, "tokenizer_config.json"), maxConfigBytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load chat template: %w", err)
	}
	source, err := smallfile.Read(filepath.Join(dir, "chat_template.jinja"), maxTemplateBytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load chat template: %w", err)
	}
	t, err := ParseConfig(config, string(source))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return t, nil
}

// ParseConfig is Load on contents: tokenizer_config.json ("" = absent) and chat_template.jinja ("" = absent).
func ParseConfig(config []byte, source string) (*Template, error) {
	var c map[string]json.RawMessage
	if len(config) > 0 {
		err := strictjson.Check(config)
		if err == nil {
			err = json.Unmarshal(config, &c)
		}
		if err != nil {
			return nil, fmt.Errorf("parse tokenizer_config.json: %w", err)
		}
	}
	if source == "" {
		var err error
		if source, err = defaultTemplate(c["chat_template"]); err != nil {
			return nil, err
		}
	}
	t, err := Parse(source)
	if err != nil {
		return nil, err
	}
	return t.WithSpecial(specialTokens(c)), nil
}

// defaultTemplate is the template in a tokenizer_config.json: a string, or the one named default in a list.
func defaultTemplate(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", ErrNoTemplate
	}
	var source string
	if json.Unmarshal(raw, &source) == nil {
		return source, nil
	}
	var named []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &named); err != nil {
		return "", fmt.Errorf("parse tokenizer_config.json: chat_template is neither a string nor a list of named templates")
	}
	var names []string
	for _, n := range named {
		if n.Name == "default" {
			return n.Template, nil
		}
		names = append(names, n.Name)
	}
	return "", fmt.Errorf("tokenizer_config.json has the chat templates %q but none named default: write one to chat_template.jinja", names)
}

// specialTokens are the entries like "bos_token": "<s>" or {"content": "<s>", ...}.
func specialTokens(config map[string]json.RawMessage) map[string]string {
	special := map[string]string{}
	for key, raw := range config {
		if !strings.HasSuffix(key, "_token") {
			continue
		}
		var content string
		var token struct{ Content string }
		if json.Unmarshal(raw, &content) != nil && json.Unmarshal(raw, &token) == nil {
			content = token.Content
		}
		if content != "" {
			special[key] = content
		}
	}
	return special
}
