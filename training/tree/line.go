package tree

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// format is the version of a line; readers refuse any other.
const format = 1

// Limits of one Tree on disk. A Tree above one of them is refused when it is written, and so is a line when it is read.
const (
	MaxLineBytes  = 64 << 20
	MaxNodes      = 1 << 16 // of a Tree
	MaxStepTokens = 1 << 16 // of a Node, and of the prompt
)

// line is a Tree as it stands in a file, its format first.
type line struct {
	Format int `json:"format"`
	*Tree
}

// Encode is the line of a valid Tree, its end included.
func Encode(t *Tree) ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(line{format, t}); err != nil {
		return nil, fmt.Errorf("tree %q: %w", t.ID, err)
	}
	if b.Len() > MaxLineBytes {
		return nil, fmt.Errorf("tree %q takes %d bytes; a line has at most %d: search with fewer or shorter steps", t.ID, b.Len(), MaxLineBytes)
	}
	return b.Bytes(), nil
}

// Decode reads a line, with or without its end. Keys that it does not know are skipped.
func Decode(text []byte) (*Tree, error) {
	if len(text) > MaxLineBytes {
		return nil, fmt.Errorf("the line has more than %d bytes", MaxLineBytes)
	}
	var version struct {
		Format *int `json:"format"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return nil, fmt.Errorf("the line is no tree: %w", err)
	}
	switch {
	case version.Format == nil:
		return nil, fmt.Errorf("the line is no tree: it has no format")
	case *version.Format != format:
		return nil, fmt.Errorf("the tree has format %d; this program reads %d", *version.Format, format)
	}
	l := line{Tree: &Tree{}}
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, fmt.Errorf("the line is no tree: %w", err)
	}
	return l.Tree, l.Tree.check()
}

// check is Validate and the limits.
func (t *Tree) check() error {
	if len(t.Nodes) > MaxNodes || len(t.Prompt) > MaxStepTokens {
		return fmt.Errorf("tree %q has %d nodes and a prompt of %d tokens; want at most %d and %d", t.ID, len(t.Nodes), len(t.Prompt), MaxNodes, MaxStepTokens)
	}
	for i := range t.Nodes {
		if n := len(t.Nodes[i].Tokens); n > MaxStepTokens {
			return fmt.Errorf("tree %q: node %d has %d tokens; want at most %d", t.ID, i, n, MaxStepTokens)
		}
	}
	return t.Validate()
}
