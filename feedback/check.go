package feedback

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"strings"
)

// thoroughBytes is how large a file may be for Open to compare its indexes with its tables too; above it, it looks at every page only.
const thoroughBytes = 64 << 20

// checkFile refuses a damaged file instead of serving from it.
func (s *Store) checkFile() error {
	pragma := "quick_check"
	if info, err := os.Stat(s.path); err == nil && info.Size() <= thoroughBytes {
		pragma = "integrity_check"
	}
	return checkPages(s.write, pragma)
}

// single is what asks for one row.
type single interface {
	QueryRow(query string, args ...any) *sql.Row
}

func checkPages(db single, pragma string) error {
	word := ""
	if err := db.QueryRow("PRAGMA " + pragma + "(1)").Scan(&word); err != nil {
		return err
	}
	if word != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, strings.Join(strings.Fields(word), " "))
	}
	return nil
}

// Verify reads everything: pages, indexes, and the checksums of completions, feedback, prompts, trees and files. The error is ErrDamaged and
// names what is. It takes as long as reading the file, beside everything else.
func (s *Store) Verify(ctx context.Context) error {
	err := s.view(ctx, func(tx *sql.Tx) error {
		if err := checkPages(tx, "integrity_check"); err != nil {
			return err
		}
		if err := each(tx, readTree, func(Tree) error { return nil }, treesQuery, -1); err != nil {
			return err
		}
		if err := each(tx, readPrompt, func(Prompt) error { return nil }, "SELECT "+promptColumns+" FROM prompts"); err != nil {
			return err
		}
		return each(tx, readWholeFile, func(File) error { return nil }, "SELECT "+fileColumns+" FROM files")
	})
	if err == nil {
		err = s.Export(ctx, io.Discard, -1)
	}
	if err != nil {
		return fmt.Errorf("verify the store: %w", err)
	}
	return nil
}
