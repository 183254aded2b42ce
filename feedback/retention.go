package feedback

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Bounds of one Prune, so that the writer is never away for long: what is erased is overwritten (secure_delete), and goes through the log.
const (
	pruneRows  = 250
	pruneBytes = 4 << 20 // of tokens, log-probabilities and texts; one completion may have more
	prunePages = 4096    // given back to the file system
)

// Pruned says what went.
type Pruned struct {
	Expired int // completions whose tokens and texts were erased; their ids still answer ErrExpired
	Removed int // completions of which nothing is left, with their feedback
	Evicted int // completions, rollouts and trees that had to go because the file is too large
	History int // updates, rollouts of theirs, and events that were too old or too many
}

// Any says whether there may be more to do.
func (p Pruned) Any() bool { return p.Expired+p.Removed+p.Evicted+p.History > 0 }

// Prune erases what is older than its retention, updates and events that are too many, and the oldest completions, rollouts and trees while the file is larger than it may be. It
// does a bounded amount of work; call it until nothing went.
func (s *Store) Prune(ctx context.Context) (Pruned, error) {
	now := s.options.Now()
	var p *Pruned // read only where the writer has answered
	err := s.change(ctx, func(tx *sql.Tx) error {
		done, err := s.prune(tx, now)
		p = &done
		return err
	})
	if err != nil {
		return Pruned{}, fmt.Errorf("prune the store: %w", err)
	}
	return *p, nil
}

func (s *Store) prune(tx *sql.Tx, now time.Time) (p Pruned, err error) {
	erasable, err := oldest(tx, "completions WHERE crc <> 0 AND expires_ms <= ?", "expires_ms", completionBytes, now.UnixMilli())
	if err != nil {
		return p, err
	}
	for _, seq := range erasable {
		if err := erase(tx, seq); err != nil {
			return p, err
		}
	}
	removable, err := oldest(tx, "completions WHERE expires_ms <= ?", "expires_ms", completionBytes, now.Add(-s.options.Retention).UnixMilli())
	if err != nil {
		return p, err
	}
	p.Expired, p.Removed = len(erasable), len(removable)
	if err := remove(tx, "completions", removable); err != nil {
		return p, err
	}
	if p.History, err = s.history(tx, now); err != nil {
		return p, err
	}
	p.Evicted, err = s.evict(tx)
	return p, err
}

const (
	completionBytes = "length(prompt_ids) + length(token_ids) + length(logprobs) + coalesce(length(sampled), 0) + coalesce(length(prompt_text), 0) + coalesce(length(output_text), 0)"
	rolloutBytes    = "length(prompt_ids) + length(token_ids) + length(logprobs)"
	treeBytes       = "length(tree)"
)

// oldest finds rows, at most pruneRows and about pruneBytes, at least one if there is one.
func oldest(tx *sql.Tx, from, order, bytes string, args ...any) ([]int64, error) {
	var rows []int64
	total := int64(0)
	query := fmt.Sprintf("SELECT rowid, %s FROM %s ORDER BY %s, rowid LIMIT %d", bytes, from, order, pruneRows)
	all, err := collect(tx, func(r scanner) (row [2]int64, err error) {
		err = r.Scan(&row[0], &row[1])
		return row, err
	}, query, args...)
	for _, row := range all {
		if total += row[1]; total > pruneBytes && len(rows) > 0 {
			break
		}
		rows = append(rows, row[0])
	}
	return rows, err
}

// erase takes what a completion holds, and leaves its name.
func erase(tx *sql.Tx, seq int64) error {
	if _, err := tx.Exec("DELETE FROM waiting WHERE seq = ?", seq); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE completions SET prompt_ids = x'', token_ids = x'', logprobs = x'', sampled = NULL, crc = 0, spans = '[]', params = '{}', prompt_text = NULL,
		output_text = NULL, metadata = NULL WHERE seq = ?`, seq)
	return err
}

func remove(tx *sql.Tx, table string, rows []int64) error {
	for _, row := range rows {
		if _, err := tx.Exec("DELETE FROM "+table+" WHERE rowid = ?", row); err != nil {
			return err
		}
	}
	return nil
}

// evict removes the oldest there is from a file that is too large.
func (s *Store) evict(tx *sql.Tx) (int, error) {
	used, err := usedBytes(tx)
	if err != nil || used <= s.options.MaxBytes {
		return 0, err
	}
	rows, err := s.evictable(tx)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", prunePages))
	return rows, err
}

// evictable removes rows of the table whose first row is the oldest, and says how many.
func (s *Store) evictable(tx *sql.Tx) (int, error) {
	table := ""
	err := tx.QueryRow(`SELECT name FROM (
		SELECT * FROM (SELECT 'completions' AS name, created_ms AS at FROM completions ORDER BY seq LIMIT 1) UNION ALL
		SELECT * FROM (SELECT 'rollouts', created_ms FROM rollouts JOIN updates ON updates.id = update_id ORDER BY rollouts.seq LIMIT 1) UNION ALL
		SELECT * FROM (SELECT 'trees', created_ms FROM trees ORDER BY created_ms LIMIT 1)) ORDER BY at LIMIT 1`).Scan(&table)
	if none(err) {
		return 0, nil // jobs, files and events alone are too large; those are their owners'
	}
	if err != nil {
		return 0, err
	}
	kind := map[string][2]string{"completions": {"seq", completionBytes}, "rollouts": {"seq", rolloutBytes}, "trees": {"created_ms", treeBytes}}[table]
	rows, err := oldest(tx, table, kind[0], kind[1])
	if err != nil {
		return 0, err
	}
	return len(rows), remove(tx, table, rows)
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
