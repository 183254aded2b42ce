package feedback

import (
	"context"
	"database/sql"
	"fmt"
)

// Bounds of one Prune, so that the writer is never away for long.
const (
	pruneRows  = 1000
	prunePages = 4096 // given back to the file system
)

// Pruned says what went.
type Pruned struct {
	Expired int // completions whose tokens and texts were erased; their ids still answer ErrExpired
	Removed int // completions of which nothing is left, with their feedback
	Evicted int // completions that had to go because the file is too large
}

// Any says whether there may be more to do.
func (p Pruned) Any() bool { return p.Expired+p.Removed+p.Evicted > 0 }

// Prune erases what is older than the retention, and the oldest completions while the file is larger than it may be. It does a bounded
// amount of work; call it until nothing went.
func (s *Store) Prune(ctx context.Context) (Pruned, error) {
	now := s.options.Now()
	var p *Pruned
	err := s.change(ctx, func(tx *sql.Tx) error {
		done, err := s.prune(tx, now.UnixMilli(), now.Add(-s.options.Retention).UnixMilli())
		p = &done
		return err
	})
	if err != nil {
		return Pruned{}, fmt.Errorf("prune the store: %w", err)
	}
	return *p, nil
}

func (s *Store) prune(tx *sql.Tx, now, longAgo int64) (p Pruned, err error) {
	steps := []struct {
		count *int
		query string
		arg   int64
	}{
		{&p.Expired, `UPDATE completions SET prompt_ids = x'', token_ids = x'', logprobs = x'', sampled = NULL, crc = 0, spans = '[]', prompt_text = NULL,
			output_text = NULL, metadata = NULL WHERE seq IN (SELECT seq FROM completions WHERE expires_ms <= ? AND length(prompt_ids) > 0 LIMIT 1000)`, now},
		{&p.Removed, "DELETE FROM completions WHERE seq IN (SELECT seq FROM completions WHERE expires_ms <= ? LIMIT 1000)", longAgo},
	}
	for _, step := range steps {
		n, err := affected(tx.Exec(step.query, step.arg))
		if err != nil {
			return p, err
		}
		*step.count = int(n)
	}
	used, err := usedBytes(tx)
	if err != nil || used <= s.options.MaxBytes {
		return p, err
	}
	n, err := affected(tx.Exec(`DELETE FROM completions WHERE seq IN (SELECT seq FROM completions ORDER BY seq LIMIT ?)`, pruneRows))
	p.Evicted = int(n)
	if err == nil {
		_, err = tx.Exec(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", prunePages))
	}
	return p, err
}

// usedBytes is the size of the pages in use.
func usedBytes(tx *sql.Tx) (n int64, err error) {
	err = tx.QueryRow(`SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size`).Scan(&n)
	return n, err
}

// Forget erases the completions of an answer and what was said about them. What was learned from them stays learned. ErrUnknown.
func (s *Store) Forget(ctx context.Context, tenant, id string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.Exec("DELETE FROM completions WHERE id = ? AND tenant = ?", id, tenant))
		if err == nil && n == 0 {
			err = ErrUnknown
		}
		return err
	})
}
