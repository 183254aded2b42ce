package feedback

import (
	"context"
	"database/sql"
	"fmt"
)

// ForgetPath says that a policy's checkpoint is about to be removed; the rest of what is known of it stays. ErrUnknown.
func (s *Store) ForgetPath(ctx context.Context, version int64) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.Exec("UPDATE policies SET path = '' WHERE version = ?", version))
		if err == nil && n == 0 {
			err = fmt.Errorf("policy %d: %w", version, ErrUnknown)
		}
		return err
	})
}

// CountUpdates is the number of updates of a job so far, rejected ones too; "" = those of none, also those that were pruned.
func (s *Store) CountUpdates(ctx context.Context, job string) (n int, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		return tx.QueryRow("SELECT (SELECT count(*) FROM updates WHERE job = ?1) + coalesce((SELECT updates FROM pruned WHERE job = ?1), 0)", job).Scan(&n)
	})
	return n, err
}
