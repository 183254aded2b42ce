package math

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed prompts/*.txt
var promptFiles embed.FS

// placeholder is where a prompt takes the text of the problem.
const placeholder = "{{problem}}"

// maxPromptBytes bounds a prompt file.
const maxPromptBytes = 1 << 20

// Prompt is the text that a problem is asked with: one user message, to which the server applies its chat template.
type Prompt struct {
	Name string // box, fewshot, plain, or the file's name
	text string
}

// LoadPrompt finds one of this package's prompts (box: step by step with the answer in a box; fewshot: the same with four
// examples; plain: the problem alone) or reads a file that holds {{problem}} once.
func LoadPrompt(name string) (Prompt, error) {
	data, err := promptFiles.ReadFile("prompts/" + name + ".txt")
	if err != nil || name == backtrackFile {
		data, err = readSmall(name, maxPromptBytes)
	}
	if err != nil {
		return Prompt{}, fmt.Errorf("no prompt %q: want box, fewshot, plain, or a file: %w", name, err)
	}
	p := Prompt{Name: setName(name), text: strings.TrimRight(string(data), "\n")}
	if n := strings.Count(p.text, placeholder); n != 1 {
		return Prompt{}, fmt.Errorf("the prompt %s holds %s %d times; want it once, where the problem goes", name, placeholder, n)
	}
	return p, nil
}

// Ask is the message for a problem.
func (p Prompt) Ask(problem string) string {
	before, after, _ := strings.Cut(p.text, placeholder)
	return before + strings.TrimSpace(problem) + after
}

// Digest names the text of the prompt.
func (p Prompt) Digest() string { return digest(p.text) }

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", filepath.Base(path), limit)
	}
	return os.ReadFile(path)
}
