package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"astro/internal/smallfile"
	"astro/model/chat"
	"astro/model/gguf"
)

// maxTextFileBytes bounds a text file of a model that is not its tokenizer.
const maxTextFileBytes = 16 << 20

// LoadModel reads the tokenizer of the model at where, a Hugging Face folder or a GGUF file: tokenizer.json of the folder, or that beside
// the file, else the file's own. Errors are those of Load.
func LoadModel(where string) (*Tokenizer, error) {
	if !gguf.Is(where) {
		return Load(filepath.Join(where, gguf.TokenizerName))
	}
	text, err := ReadText(where, gguf.TokenizerName)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer: %w", err)
	}
	t, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer: of %s: %w", where, err)
	}
	return t, nil
}

// LoadTemplate reads the chat template of the model at where, as chat.Load does for a folder. The error is chat.ErrNoTemplate if there is
// none.
func LoadTemplate(where string) (*chat.Template, error) {
	if !gguf.Is(where) {
		return chat.Load(where)
	}
	config, err := readOptional(where, gguf.TokenizerConfigName)
	if err != nil {
		return nil, fmt.Errorf("load chat template: %w", err)
	}
	source, err := readOptional(where, "chat_template.jinja")
	if err != nil {
		return nil, fmt.Errorf("load chat template: %w", err)
	}
	t, err := chat.ParseConfig(config, string(source))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return t, nil
}

func readOptional(where, name string) ([]byte, error) {
	text, err := ReadText(where, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// ReadText reads a text file of the model at where by its name in a Hugging Face folder. A GGUF file stands for tokenizer.json and
// tokenizer_config.json where they are not beside it. The error is fs.ErrNotExist where the model has no such file.
func ReadText(where, name string) ([]byte, error) {
	limit, dir, inside := int64(maxTextFileBytes), where, gguf.Is(where)
	if name == gguf.TokenizerName {
		limit = maxFileBytes
	}
	if inside {
		dir = filepath.Dir(where)
	}
	text, err := smallfile.Read(filepath.Join(dir, name), limit)
	if !inside || !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	f, err := gguf.OpenFile(where)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err = f.Text(name)
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("its %s would have more than %d bytes", name, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return text, nil
}
