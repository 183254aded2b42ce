package feedback

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What operations may answer.
var (
	ErrUnknown     = errors.New("there is no such completion")
	ErrAborted     = errors.New("the completion was not finished")
	ErrExpired     = errors.New("the completion has expired")
	ErrConflict    = errors.New("this contradicts what is stored")
	ErrUnavailable = errors.New("the store cannot be written now") // disk full or read-only; it goes on by itself when that is over
	ErrBroken      = errors.New("the store failed and must be opened again")
	ErrDamaged     = errors.New("the store is damaged") // what is damaged is never given out; bring back a copy, or import an export
	ErrTooSlow     = errors.New("the read took so long that the store's log grew too long, and was ended; read faster, or less at a time")
	ErrClosed      = errors.New("the store is closed")
)

// classify gives an error of SQLite one of our names. A write that failed is undone and may be tried again: SQLite calls a full disk
// SQLITE_FULL, or an I/O error where a quota or the shared memory beside the file hit it. After a failed fsync nobody knows what is on
// disk, and a second one may succeed without having written it: the store is broken until its log is read again.
func classify(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrBroken) || errors.Is(err, ErrConflict) {
		return err // it is none of SQLite's, or has its name
	}
	switch e.Code() {
	case sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_SHMMAP, sqlite3.SQLITE_IOERR_NOMEM,
		sqlite3.SQLITE_IOERR_TRUNCATE:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return damage{err}
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return err
}

// damage is what SQLite found. A store that finds it while it writes is broken too.
type damage struct{ err error }

// Error implements error.
func (d damage) Error() string { return ErrDamaged.Error() + ": " + d.err.Error() }

// Unwrap gives what callers look for.
func (d damage) Unwrap() []error { return []error{ErrDamaged, ErrBroken, d.err} }

// advised says with an error of opening what to do.
func advised(err error) error {
	switch {
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("%w; move the file away and bring back a copy, or import an export into a new one", err)
	case errors.Is(err, ErrUnavailable), errors.Is(err, errNoWrite):
		return fmt.Errorf("%w; the file, those beside it with its name, and their folder must be writable and their disk must have space", err)
	}
	return err
}

// errNoWrite marks an error of the file system.
var errNoWrite = errors.New("cannot write")
