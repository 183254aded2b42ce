// Package feedback keeps what a server must not forget: completions as they were sampled, what clients said about them, and what was
// learned from both. One SQLite file holds it all; anything that reads SQLite reads it.
//
// One goroutine writes. It commits the operations that wait together as one transaction (group commit), so that an operation whose
// function has returned without an error is on disk (WAL, synchronous=FULL) whatever happens to the process or the machine. Readers
// see committed rows in the order of their seq.
package feedback

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"astro/internal/fault"
)

// What operations may answer.
var (
	ErrUnknown     = errors.New("there is no such completion")
	ErrAborted     = errors.New("the completion was not finished")
	ErrExpired     = errors.New("the completion has expired")
	ErrConflict    = errors.New("this contradicts what is stored")
	ErrUnavailable = errors.New("the store cannot be written now") // disk full or read-only; it goes on by itself when that is over
	ErrBroken      = errors.New("the store failed and must be opened again")
	ErrClosed      = errors.New("the store is closed")
)

// Options of Open. The zero value is valid.
type Options struct {
	Retention time.Duration    // after which a completion expires; 0 = 7 days
	MaxBytes  int64            // of the file; past it the oldest completions go, and then nothing is stored; 0 = 16 GiB
	KeepText  bool             // texts of prompts and outputs are stored beside their token ids
	Now       func() time.Time // nil = time.Now; a time is data, no order depends on it
}

// Bounds of the store.
const (
	defaultRetention = 7 * 24 * time.Hour
	defaultMaxBytes  = 16 << 30
	maxGroup         = 256     // operations of one commit
	maxWaiting       = 1 << 12 // operations that wait for the writer; one more waits outside
	walLimitBytes    = 4 << 20 // of the write-ahead log, before it is copied into the file
	readers          = 4
)

func (o Options) withDefaults() Options {
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Store is an open file. Its methods may be called from any goroutine.
type Store struct {
	options Options
	path    string
	lock    *os.File
	write   *sql.DB // one connection, the writer's
	read    *sql.DB

	operations chan operation
	closing    chan struct{}
	once       sync.Once
	done       chan struct{} // the writer has ended
	stats      stats
}

// Open opens or makes the file; its folder is made too, for the user alone. A file that another process has open is refused.
func Open(path string, o Options) (*Store, error) {
	s := &Store{options: o.withDefaults(), path: path, operations: make(chan operation, maxWaiting), closing: make(chan struct{}), done: make(chan struct{})}
	if err := s.open(); err != nil {
		s.closeFiles()
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	}
	go s.writer()
	return s, nil
}

func (s *Store) open() (err error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	if s.lock, err = takeLock(s.path + ".lock"); err != nil {
		return err
	}
	if err := makePrivate(s.path); err != nil {
		return err
	}
	if s.write, err = sql.Open("sqlite", address(s.path, "_txlock=immediate", "_pragma=auto_vacuum(incremental)", "_pragma=journal_mode(wal)", "_pragma=synchronous(full)",
		"_pragma=foreign_keys(on)", "_pragma=wal_autocheckpoint(0)", "_pragma=secure_delete(on)")); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err := s.prepare(); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", address(s.path, "_pragma=query_only(on)")); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(readers)
	return nil
}

// address is the data source's name of a file with options.
func address(path string, options ...string) string {
	always := []string{"_pragma=busy_timeout(5000)", "_pragma=cell_size_check(on)", "_pragma=trusted_schema(off)", "_pragma=mmap_size(0)"}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + strings.Join(append(always, options...), "&")
}

// makePrivate makes the file readable for its user alone before anything is in it.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// prepare checks the file and brings its schema up to date.
func (s *Store) prepare() error {
	application, version := 0, 0
	if err := s.write.QueryRow("SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version)").Scan(&application, &version); err != nil {
		return fmt.Errorf("%w; if the file is damaged, move it away and bring back a copy, or import an export", err)
	}
	switch {
	case application == 0 && version == 0:
		if n := 0; s.write.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&n) != nil || n > 0 {
			return errors.New("it is another program's database; choose another path")
		}
	case application != applicationID:
		return errors.New("it is another program's database; choose another path")
	case version > formatVersion:
		return fmt.Errorf("its format is %d, and this program knows formats up to %d; use a newer program", version, formatVersion)
	}
	if err := s.migrate(version); err != nil {
		return err
	}
	return s.quickCheck()
}

// migrate makes the schema in one transaction, so that a crash leaves the old one.
func (s *Store) migrate(version int) error {
	if version == formatVersion {
		return nil
	}
	tx, err := s.write.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after Commit
	if _, err := tx.Exec(schema); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	fault.Point(fault.Migrate)
	if _, err := tx.Exec(fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d", applicationID, formatVersion)); err != nil {
		return fmt.Errorf("mark the format: %w", err)
	}
	return tx.Commit()
}

// quickCheck refuses a damaged file instead of serving from it.
func (s *Store) quickCheck() error {
	word := ""
	if err := s.write.QueryRow("PRAGMA quick_check(1)").Scan(&word); err != nil || word != "ok" {
		return fmt.Errorf("the file is damaged (%s, %w); move it away and bring back a copy, or import an export", word, err)
	}
	return nil
}

// Close writes what waits and closes the file. Operations that come later get ErrClosed.
func (s *Store) Close() error {
	s.once.Do(func() { close(s.closing) })
	<-s.done
	return s.closeFiles()
}

func (s *Store) closeFiles() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close()) // which gives the lock back
	}
	return errors.Join(errs...)
}

// Path is the file's.
func (s *Store) Path() string { return s.path }

// KeepsText says whether texts are stored.
func (s *Store) KeepsText() bool { return s.options.KeepText }

// classify gives an error of SQLite one of our names.
func classify(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return err
}

// view runs a read-only function on one snapshot.
func (s *Store) view(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return classify(err)
	}
	defer tx.Rollback()
	return classify(f(tx))
}
