// Package feedback keeps what a server must not forget: completions as they were sampled, what clients said about them, and what was
// learned from both. One SQLite file holds it all; anything that reads SQLite reads it.
//
// One goroutine writes. It commits the operations that wait together as one transaction (group commit), so that an operation whose
// function has returned without an error is on disk (WAL, synchronous=FULL) whatever happens to the process or the machine. Readers
// see committed rows in the order of their seq.
package feedback

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"astro/internal/fault"
)

// Options of Open. The zero value is valid.
type Options struct {
	Retention     time.Duration // after which a completion expires; 0 = 7 days
	MaxBytes      int64         // of the file; past it Prune takes the oldest away, at twice as much nothing is stored; 0 = 16 GiB
	MaxFilesBytes int64         // of a tenant's files together; 0 = 1 GiB
	// HistoryRetention and MaxHistoryRows bound updates and events: how long they are kept, and how many of each. An update whose checkpoint is
	// kept, whose job is not over, or that was made of a completion that is still there, stays. 0 = 90 days and 200,000.
	HistoryRetention time.Duration
	MaxHistoryRows   int64
	KeepText         bool             // texts of prompts and outputs are stored beside their token ids
	Now              func() time.Time // nil = time.Now; a time is data, no order depends on it

	maxLogBytes int64 // of the write-ahead log while somebody reads; 0 = 1 GiB
}

// Bounds of the store.
const (
	defaultRetention  = 7 * 24 * time.Hour
	defaultMaxBytes   = 16 << 30
	defaultFilesBytes = 1 << 30
	maxGroup          = 256     // operations of one commit
	maxWaiting        = 1 << 12 // operations that wait for the writer; one more waits outside
	readers           = 4
	maxExports        = 2       // at one time; one more waits, so that other reads never do
	pageBytes         = 4 << 10 // of the file
	logCopyBytes      = 4 << 20 // of the write-ahead log that are not in the file, before they are copied there
	defaultMaxLog     = 1 << 30
)

func (o Options) withDefaults() Options {
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.maxLogBytes == 0 {
		o.maxLogBytes = defaultMaxLog
	}
	if o.MaxFilesBytes == 0 {
		o.MaxFilesBytes = defaultFilesBytes
	}
	if o.HistoryRetention == 0 {
		o.HistoryRetention = defaultHistory
	}
	if o.MaxHistoryRows == 0 {
		o.MaxHistoryRows = defaultHistoryRows
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
	often   statements

	operations chan *operation
	closing    chan struct{}
	once       sync.Once
	done       chan struct{} // the writer has ended
	stats      stats
	views      views
	exports    chan struct{} // one for each under way
	closed     error         // what closing the files said
}

// Open opens or makes the file; its folder is made too, for the user alone. A file that another process has open is refused.
func Open(path string, o Options) (*Store, error) {
	if o.HistoryRetention < 0 || o.MaxHistoryRows < 0 {
		return nil, fmt.Errorf("open the store %s: updates and events for %v, %d of each; want more than 0, or 0 for the defaults", path, o.HistoryRetention, o.MaxHistoryRows)
	}
	s := &Store{options: o.withDefaults(), path: path, operations: make(chan *operation, maxWaiting), closing: make(chan struct{}), done: make(chan struct{}),
		exports: make(chan struct{}, maxExports)}
	if err := s.open(); err != nil {
		s.closeFiles()
		return nil, fmt.Errorf("open the store %s: %w", path, advised(classify(err)))
	}
	go s.writer()
	return s, nil
}

func (s *Store) open() (err error) {
	if err := makeFolder(filepath.Dir(s.path)); err != nil {
		return err
	}
	if s.lock, err = takeLock(s.path + ".lock"); err != nil {
		return err
	}
	if err := makePrivate(s.path); err != nil {
		return err
	}
	if s.write, err = sql.Open("sqlite", address(s.path, "_txlock=immediate", "_pragma=auto_vacuum(incremental)", "_pragma=journal_mode(wal)", "_pragma=synchronous(full)",
		"_pragma=foreign_keys(on)", "_pragma=wal_autocheckpoint(0)", "_pragma=secure_delete(on)", fmt.Sprintf("_pragma=max_page_count(%d)", max(2*s.options.MaxBytes/pageBytes, 1)))); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err := s.prepare(); err != nil {
		return err
	}
	if err := s.often.prepare(s.write); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", address(s.path, "_pragma=query_only(on)")); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	return nil
}

// address is the data source's name of a file with options.
func address(path string, options ...string) string {
	always := []string{"_pragma=busy_timeout(5000)", "_pragma=cell_size_check(on)", "_pragma=trusted_schema(off)", "_pragma=mmap_size(0)"}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + strings.Join(append(always, options...), "&")
}

// makeFolder makes a folder for the user alone, on disk before anything is in it.
func makeFolder(path string) error {
	var news []string
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		news = append(news, at) // and at the end the folder that has the first new one
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("%w: %w", errNoWrite, err)
	}
	if len(news) == 1 {
		return nil
	}
	for _, folder := range news {
		if err := syncFolder(folder); err != nil {
			return err
		}
	}
	return nil
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// makePrivate makes the file readable for its user alone before anything is in it.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoWrite, err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// prepare checks the file and brings its schema up to date.
func (s *Store) prepare() error {
	application, version := 0, 0
	if err := s.write.QueryRow("SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version)").Scan(&application, &version); err != nil {
		return err
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
	if err := s.checkFile(); err != nil {
		return err
	}
	if _, err := s.write.Exec(additions); err != nil {
		return fmt.Errorf("bring the tables up to date: %w", err)
	}
	return nil
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
	if _, err := tx.Exec(schema + additions); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	fault.Point(fault.Migrate)
	if _, err := tx.Exec(fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d", applicationID, formatVersion)); err != nil {
		return fmt.Errorf("mark the format: %w", err)
	}
	return tx.Commit()
}

// Close ends the reads, writes what waits and closes the file. What comes later gets ErrClosed.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.views.close()
		close(s.closing)
		<-s.done
		s.closed = s.closeFiles()
	})
	return s.closed
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
