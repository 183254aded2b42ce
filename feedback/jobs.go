package feedback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Job is a fine-tuning job; what it is about is its owner's Body.
type Job struct {
	ID, Tenant string
	State      string
	Body       json.RawMessage
	Created    time.Time
	Updated    time.Time
}

// File is what a client uploaded.
type File struct {
	ID, Tenant, Name, Purpose string
	Content                   []byte // nil in lists
	Bytes                     int
	Created                   time.Time
}

// Event is something that happened to a job, a policy or the loop, and who did it.
type Event struct {
	Seq     int64
	Subject string // "job:...", "policy:12", "learning"
	Actor   string // a key's id; "" = the server
	Level   string // info, warn or error
	Message string
	Data    json.RawMessage // nil = none
	Created time.Time
}

// Bounds of what clients store.
const (
	MaxFileBytes   = 64 << 20
	maxFilesTenant = 256
	maxJobsTenant  = 1000 // past it the oldest job that is over makes room
)

// ErrFull says that a tenant has as much as it may have.
var ErrFull = fmt.Errorf("%w: the tenant has as many as it may have; delete some", ErrConflict)

// PutJob stores a new job or the new state of one.
func (s *Store) PutJob(ctx context.Context, j Job) error {
	now, body := s.options.Now().UnixMilli(), orEmpty(j.Body)
	return s.change(ctx, func(tx *sql.Tx) error {
		n := 0
		err := tx.QueryRow("SELECT count(*) FROM jobs WHERE tenant = ? AND id <> ?", j.Tenant, j.ID).Scan(&n)
		if err == nil && n >= maxJobsTenant {
			err = makeRoom(tx, j.Tenant)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO jobs(id, tenant, state, body, created_ms, updated_ms) VALUES(?,?,?,?,?,?)
			ON CONFLICT(id) DO UPDATE SET state = excluded.state, body = excluded.body, updated_ms = excluded.updated_ms`, j.ID, j.Tenant, j.State, body, now, now)
		return err
	})
}

// makeRoom forgets the tenant's oldest job that is over, with its events. ErrFull where none is.
func makeRoom(tx *sql.Tx, tenant string) error {
	id := ""
	err := tx.QueryRow("SELECT id FROM jobs WHERE tenant = ? AND state IN('succeeded','failed','cancelled') ORDER BY created_ms, id LIMIT 1", tenant).Scan(&id)
	if none(err) {
		return ErrFull
	}
	for _, query := range []string{"DELETE FROM jobs WHERE id = ?", "DELETE FROM events WHERE subject = 'job:' || ?"} {
		if err == nil {
			_, err = tx.Exec(query, id)
		}
	}
	return err
}

func orFull(err error) error {
	if err == nil {
		err = ErrFull
	}
	return err
}

// Jobs lists a tenant's, newest first; tenant "" = all.
func (s *Store) Jobs(ctx context.Context, tenant string) (all []Job, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		all, err = collect(tx, readJob, "SELECT id, tenant, state, body, created_ms, updated_ms FROM jobs WHERE ?1 IN ('', tenant) ORDER BY created_ms DESC, id", tenant)
		return err
	})
	return all, err
}

// Job finds one. ErrUnknown.
func (s *Store) Job(ctx context.Context, tenant, id string) (j Job, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		j, err = readJob(tx.QueryRow("SELECT id, tenant, state, body, created_ms, updated_ms FROM jobs WHERE id = ? AND tenant = ?", id, tenant))
		return err
	})
	if none(err) {
		err = ErrUnknown
	}
	return j, err
}

func readJob(r scanner) (Job, error) {
	var j Job
	var body string
	var created, updated int64
	err := r.Scan(&j.ID, &j.Tenant, &j.State, &body, &created, &updated)
	j.Body, j.Created, j.Updated = json.RawMessage(body), time.UnixMilli(created), time.UnixMilli(updated)
	return j, err
}

// PutFile stores an upload. Its content must not change any more, not even after an error.
func (s *Store) PutFile(ctx context.Context, f File) error {
	if len(f.Content) > MaxFileBytes {
		return fmt.Errorf("a file of %d bytes: want at most %d", len(f.Content), MaxFileBytes)
	}
	now, sum := s.options.Now().UnixMilli(), sha256.Sum256(f.Content)
	return s.change(ctx, func(tx *sql.Tx) error {
		n, bytes := 0, 0
		err := tx.QueryRow("SELECT count(*), coalesce(sum(length(content)), 0) FROM files WHERE tenant = ?", f.Tenant).Scan(&n, &bytes)
		if err != nil || n >= maxFilesTenant || int64(bytes+len(f.Content)) > s.options.MaxFilesBytes {
			return orFull(err)
		}
		_, err = tx.Exec("INSERT INTO files(id, tenant, name, purpose, content, sha256, created_ms) VALUES(?,?,?,?,?,?,?)", f.ID, f.Tenant, f.Name, f.Purpose, f.Content, sum[:], now)
		return err
	})
}

// Files lists a tenant's without their content, newest first.
func (s *Store) Files(ctx context.Context, tenant string) (all []File, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		all, err = collect(tx, readFile, "SELECT id, tenant, name, purpose, NULL, length(content), created_ms, sha256 FROM files WHERE tenant = ? ORDER BY created_ms DESC, id", tenant)
		return err
	})
	return all, err
}

// File finds one with its content. ErrUnknown.
func (s *Store) File(ctx context.Context, tenant, id string) (f File, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		f, err = readWholeFile(tx.QueryRow("SELECT "+fileColumns+" FROM files WHERE id = ? AND tenant = ?", id, tenant))
		return err
	})
	if none(err) {
		err = ErrUnknown
	}
	return f, err
}

const fileColumns = "id, tenant, name, purpose, content, length(content), created_ms, sha256"

func readFile(r scanner) (File, error) {
	f, _, err := scanFile(r)
	return f, err
}

// readWholeFile reads the content too, and compares it with its sum.
func readWholeFile(r scanner) (File, error) {
	f, want, err := scanFile(r)
	if err != nil {
		return f, err
	}
	if sum := sha256.Sum256(f.Content); !bytes.Equal(sum[:], want) {
		return f, fmt.Errorf("file %s: %w: its SHA-256 is %x and should be %x", f.ID, ErrDamaged, sum, want)
	}
	return f, nil
}

func scanFile(r scanner) (f File, sum []byte, err error) {
	var created int64
	err = r.Scan(&f.ID, &f.Tenant, &f.Name, &f.Purpose, &f.Content, &f.Bytes, &created, &sum)
	f.Created = time.UnixMilli(created)
	return f, sum, err
}

// DeleteFile removes one. ErrUnknown.
func (s *Store) DeleteFile(ctx context.Context, tenant, id string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.Exec("DELETE FROM files WHERE id = ? AND tenant = ?", id, tenant))
		if err == nil && n == 0 {
			err = ErrUnknown
		}
		return err
	})
}

// Log stores an Event.
func (s *Store) Log(ctx context.Context, e Event) error {
	now, data := s.options.Now().UnixMilli(), optional(e.Data)
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO events(subject, actor, level, message, data, created_ms) VALUES(?,?,?,?,?,?)", e.Subject, e.Actor, e.Level, e.Message, data, now)
		return err
	})
}

// Events lists those of a subject after a seq, oldest first; at most limit.
func (s *Store) Events(ctx context.Context, subject string, after int64, limit int) (all []Event, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		all, err = collect(tx, readEvent, "SELECT seq, subject, actor, level, message, data, created_ms FROM events WHERE subject = ? AND seq > ? ORDER BY seq LIMIT ?", subject, after, limit)
		return err
	})
	return all, err
}

func readEvent(r scanner) (Event, error) {
	var e Event
	var data sql.NullString
	var created int64
	err := r.Scan(&e.Seq, &e.Subject, &e.Actor, &e.Level, &e.Message, &data, &created)
	e.Created, e.Data = time.UnixMilli(created), present(data)
	return e, err
}
