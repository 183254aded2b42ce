package feedback

import (
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// Bounds of what is kept of updates and events.
const (
	defaultHistory     = 90 * 24 * time.Hour
	defaultHistoryRows = 200_000 // of each of the two tables
	historyLook        = 1000    // updates that one Prune looks at
)

const (
	overJobs   = "('succeeded','failed','cancelled')"
	activeJobs = "(SELECT id FROM jobs WHERE state NOT IN " + overJobs + ")"

	// What may go of the updates: nothing that a job still counts or a checkpoint came from. After it, at most historyLook of them, that no
	// completion of the store was learned from in: as long as one is there, it must not be learned from again.
	goneUpdates = "job NOT IN " + activeJobs + " AND coalesce(version, 0) NOT IN (SELECT version FROM policies WHERE path <> '')"
	unlearned   = "NOT EXISTS (SELECT 1 FROM consumed AS u JOIN completions AS c ON c.id = u.completion_id AND c.choice = u.choice WHERE u.update_id = old.id)"
	goneEvents  = "subject NOT IN (SELECT 'job:' || id FROM " + activeJobs + ")"
)

// history removes updates, with their rollouts, and events that are too old or too many, and says how many rows.
func (s *Store) history(tx *sql.Tx, now time.Time) (int, error) {
	cut := now.Add(-s.options.HistoryRetention)
	old, err := s.tooOld(tx, "updates", "id", goneUpdates, historyLook, cut)
	if err != nil {
		return 0, err
	}
	updates, err := removeUpdates(tx, old)
	if err != nil {
		return 0, err
	}
	events, err := s.tooOld(tx, "events", "seq", goneEvents, pruneRows, cut)
	if err != nil {
		return 0, err
	}
	return updates + len(events), remove(tx, "events", events)
}

// tooOld finds rows of a table that were made before a time, or that are further from the newest one than may be kept.
func (s *Store) tooOld(tx *sql.Tx, table, id, where string, limit int, cut time.Time) ([]int64, error) {
	query := fmt.Sprintf(`SELECT * FROM (SELECT %[2]s FROM %[1]s WHERE created_ms <= ? AND %[3]s ORDER BY created_ms LIMIT %[4]d)
		UNION SELECT * FROM (SELECT %[2]s FROM %[1]s WHERE %[2]s <= (SELECT max(%[2]s) FROM %[1]s) - ? AND %[3]s ORDER BY %[2]s LIMIT %[4]d)
		ORDER BY 1 LIMIT %[4]d`, table, id, where, limit)
	return collect(tx, readNumber, query, cut.UnixMilli(), s.options.MaxHistoryRows)
}

func readNumber(r scanner) (n int64, err error) {
	err = r.Scan(&n)
	return n, err
}

// removeUpdates removes updates that may go, their rollouts first, of which one may have more than a call removes.
func removeUpdates(tx *sql.Tx, old []int64) (int, error) {
	if len(old) == 0 {
		return 0, nil
	}
	ids, err := collect(tx, readNumber, fmt.Sprintf("SELECT id FROM updates AS old WHERE id IN (%s) AND %s ORDER BY id LIMIT %d", listed(old), unlearned, pruneRows))
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	rollouts, err := oldest(tx, "rollouts WHERE update_id IN ("+listed(ids)+")", "update_id", rolloutBytes)
	if err == nil {
		err = remove(tx, "rollouts", rollouts)
	}
	if err == nil {
		ids, err = collect(tx, readNumber, "SELECT id FROM updates AS old WHERE id IN ("+listed(ids)+") AND NOT EXISTS (SELECT 1 FROM rollouts WHERE update_id = old.id)")
	}
	if err != nil || len(ids) == 0 {
		return len(rollouts), err
	}
	for _, query := range []string{
		"INSERT INTO pruned(job, updates) SELECT job, count(*) FROM updates WHERE job = '' AND id IN (%s) GROUP BY job ON CONFLICT(job) DO UPDATE SET updates = updates + excluded.updates",
		"DELETE FROM consumed WHERE update_id IN (%s)",
		"DELETE FROM updates WHERE id IN (%s)",
	} {
		if _, err := tx.Exec(fmt.Sprintf(query, listed(ids))); err != nil {
			return 0, err
		}
	}
	return len(rollouts) + len(ids), nil
}

// listed are numbers as SQL has them.
func listed(ids []int64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]")
}
