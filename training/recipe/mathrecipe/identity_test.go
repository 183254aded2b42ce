package mathrecipe

import (
	"os"
	"path/filepath"
	"testing"
)

// A GGUF file is told from another by its bytes and by the tokenizer beside it, wherever it lies under that name.
func TestIdentityOfGGUF(t *testing.T) {
	identity := func(weights, tokenizer string) string {
		dir := t.TempDir()
		path := filepath.Join(dir, "model.gguf")
		if err := os.WriteFile(path, []byte(weights), 0o600); err != nil {
			t.Fatal(err)
		}
		if tokenizer != "" {
			if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(tokenizer), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		id, err := identityOf(path)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if a := identity("a", ""); a != identity("a", "") || a == identity("b", "") || a == identity("a", "{}") || identity("a", "{}") == identity("a", "[]") {
		t.Error("other files have the same identity, or the same files have others")
	}
}
