package math

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// The sets that the command is made for, where they are: the repository does not hold them.
func TestSharedSets(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no problem sets at %s: put math500.jsonl, amc23.jsonl and aime24.jsonl there", dir)
	}
	verifier := Verifier()
	for name, want := range map[string]int{"math500": 500, "amc23": 40, "aime24": 30} {
		set, err := Source{DataDir: dir}.Load(context.Background(), name)
		if err != nil || len(set.Problems) != want {
			t.Errorf("%s: got %d problems, error %v; want %d", name, len(set.Problems), err, want)
		}
		for _, p := range set.Problems {
			if v := verifier.Boxed(p.Gold, `\boxed{`+p.Gold+`}`); !v.Correct {
				t.Errorf("%s: the answer %s is not accepted for itself: %+v", p.ID, p.Gold, v)
			}
		}
	}
}
