package feedback

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// RLSession binds completions that are served to one temporary key, so that rewards can be given to its last one, or to all.
type RLSession struct {
	ID, Task, Tenant string
	Expires          time.Time
	Ended            bool
}

// ErrTooMany says that there are as many open sessions as there may be.
var ErrTooMany = errors.New("there are as many open sessions as there may be")

// StartSession opens a session for a key's secret; ErrConflict if the key has one, ErrTooMany if limit sessions are open. Sessions that
// were abandoned close by themselves when they expire.
func (s *Store) StartSession(ctx context.Context, r RLSession, secret string, limit int) error {
	now, sum := s.options.Now().UnixMilli(), sha256.Sum256([]byte(secret))
	return s.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec("DELETE FROM sessions WHERE expires_ms <= ? OR ended_ms IS NOT NULL", now); err != nil {
			return err
		}
		open, bound := 0, 0
		if err := tx.QueryRow("SELECT count(*), count(*) FILTER (WHERE key_sha256 = ?) FROM sessions", sum[:]).Scan(&open, &bound); err != nil {
			return err
		}
		switch {
		case bound > 0:
			return fmt.Errorf("%w: the key is bound to another session; end that one first", ErrConflict)
		case open >= limit:
			return ErrTooMany
		}
		_, err := tx.Exec("INSERT INTO sessions(id, task, tenant, key_sha256, created_ms, expires_ms) VALUES(?,?,?,?,?,?)", r.ID, r.Task, r.Tenant, sum[:], now, r.Expires.UnixMilli())
		return err
	})
}

// EndSession closes a session. ErrUnknown.
func (s *Store) EndSession(ctx context.Context, id string) error {
	now := s.options.Now().UnixMilli()
	return s.change(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.Exec("UPDATE sessions SET ended_ms = ? WHERE id = ? AND ended_ms IS NULL AND expires_ms > ?", now, id, now))
		if err == nil && n == 0 {
			err = ErrUnknown
		}
		return err
	})
}

// OpenSessions lists sessions that have not ended, with the SHA-256 of their keys, so that a server that starts again knows them.
func (s *Store) OpenSessions(ctx context.Context) (all []RLSession, keys [][]byte, err error) {
	now := s.options.Now().UnixMilli()
	err = s.view(ctx, func(tx *sql.Tx) error {
		all, err = collect(tx, func(r scanner) (RLSession, error) {
			var one RLSession
			var sum []byte
			var expires int64
			err := r.Scan(&one.ID, &one.Task, &one.Tenant, &sum, &expires)
			one.Expires, keys = time.UnixMilli(expires), append(keys, sum)
			return one, err
		}, "SELECT id, task, tenant, key_sha256, expires_ms FROM sessions WHERE ended_ms IS NULL AND expires_ms > ? ORDER BY created_ms, id", now)
		return err
	})
	return all, keys, err
}

// LastInSession finds the newest completion of a session. ErrUnknown.
func (s *Store) LastInSession(ctx context.Context, session string) (id string, choice int, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		return tx.QueryRow("SELECT id, choice FROM completions WHERE session = ? AND session <> '' ORDER BY seq DESC LIMIT 1", session).Scan(&id, &choice)
	})
	if none(err) {
		err = ErrUnknown
	}
	return id, choice, err
}
