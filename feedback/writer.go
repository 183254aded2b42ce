package feedback

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"astro/internal/fault"
)

// operation is one change. It is all or nothing: where do fails, the others of its group go on without it.
type operation struct {
	do     func(tx *sql.Tx) error
	answer chan error  // gets do's error, or that of the commit; nil = it is on disk
	taken  atomic.Bool // by the writer that begins it, or by its caller who no longer waits
}

// stats counts what the writer did.
type stats struct {
	mu sync.Mutex
	Stats
}

// Stats count since Open.
type Stats struct {
	Commits    uint64 // groups that are on disk
	Operations uint64 // in them
	Failures   uint64 // groups that could not be committed
	Waiting    int    // operations now
	Bytes      int64  // of the file
	LogBytes   int64  // of the write-ahead log that is in use; a reader that takes long lets it grow
	Broken     bool
}

// Stats returns the present numbers.
func (s *Store) Stats() Stats {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	now := s.stats.Stats
	now.Waiting = len(s.operations)
	return now
}

func (s *stats) count(change func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.Stats)
}

// change has the writer run do and returns when its group is on disk, or has failed. Where ctx ends before the writer begins it, nothing
// happens; where it ends later, ctx's error is returned and the operation may still come to be: who repeats it must do so with the same
// ids. So do must touch nothing that its caller may still write or, on an error, read.
func (s *Store) change(ctx context.Context, do func(tx *sql.Tx) error) error {
	op := &operation{do: do, answer: make(chan error, 1)}
	select {
	case <-s.closing:
		return ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.operations <- op:
	case <-s.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-op.answer:
		return err
	case <-ctx.Done():
		op.taken.Store(true)
		return ctx.Err()
	case <-s.done:
	}
	select {
	case err := <-op.answer: // of the last group
		return err
	default:
		return ErrClosed
	}
}

// writer commits groups until Close, and then what is left. A broken invariant leaves done open: the process ends with its line.
func (s *Store) writer() {
	for {
		select {
		case op := <-s.operations:
			s.commit(s.collect(op))
		case <-s.closing:
			for len(s.operations) > 0 {
				s.commit(s.collect(<-s.operations))
			}
			s.checkpoint("TRUNCATE")
			close(s.done)
			return
		}
	}
}

// collect takes the operations that wait, up to a full group. It does not wait for more: while one group is being synced, the next
// one gathers.
func (s *Store) collect(first *operation) []*operation {
	group := []*operation{first}
	for len(group) < maxGroup {
		select {
		case op := <-s.operations:
			group = append(group, op)
		default:
			return group
		}
	}
	return group
}

// commit runs a group as one transaction and answers each operation after it is on disk. What nobody waits for any more is left out.
func (s *Store) commit(group []*operation) {
	group = slices.DeleteFunc(group, func(op *operation) bool { return op.taken.Swap(true) })
	if len(group) == 0 {
		return
	}
	answers := make([]error, len(group))
	err := ErrBroken
	if !s.Stats().Broken {
		err = classify(s.transact(group, answers))
	}
	s.stats.count(func(n *Stats) {
		if err == nil {
			n.Commits++
			n.Operations += uint64(len(group))
		} else {
			n.Failures++
			n.Broken = n.Broken || errors.Is(err, ErrBroken) // what fsync lost nobody can repair here
		}
	})
	for i, op := range group {
		if err != nil && !errors.Is(answers[i], errRefused) {
			answers[i] = err
		}
		op.answer <- answers[i]
	}
	if err == nil {
		s.afterCommit()
	}
}

// errRefused marks the error of an operation itself, which no failed commit hides.
var errRefused = errors.New("refused")

// transact runs the operations, each in a savepoint of its own, and commits.
func (s *Store) transact(group []*operation, answers []error) error {
	fault.Point(fault.BeforeBegin)
	tx, err := s.write.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after Commit
	for i, op := range group {
		if answers[i], err = s.within(tx, op.do); err != nil {
			return err
		}
	}
	fault.Point(fault.BeforeCommit)
	if err := tx.Commit(); err != nil {
		return err
	}
	fault.Point(fault.AfterCommit)
	return nil
}

// within runs do in a savepoint: refused is its own error, after which nothing of it is left; err concerns the whole group.
func (s *Store) within(tx *sql.Tx, do func(tx *sql.Tx) error) (refused, err error) {
	if _, err := tx.Stmt(s.often.begin).Exec(); err != nil {
		return nil, err
	}
	if refused = guarded(tx, do); refused != nil {
		e := classify(refused)
		if errors.Is(e, ErrUnavailable) || errors.Is(e, ErrBroken) {
			return nil, e
		}
		refused = &refusal{e}
		if _, err := tx.Exec("ROLLBACK TO operation"); err != nil {
			return refused, err
		}
	}
	fault.Point(fault.AfterInsert)
	_, err = tx.Stmt(s.often.end).Exec()
	return refused, err
}

// statements are parsed once, since every completion needs them.
type statements struct{ begin, end, add *sql.Stmt }

func (s *statements) prepare(db *sql.DB) error {
	for _, one := range []struct {
		to    **sql.Stmt
		query string
	}{{&s.begin, "SAVEPOINT operation"}, {&s.end, "RELEASE operation"}, {&s.add, insertCompletion}} {
		var err error
		if *one.to, err = db.Prepare(one.query); err != nil {
			return err
		}
	}
	return nil
}

// refusal is an operation's own error.
type refusal struct{ err error }

// Error implements error.
func (r *refusal) Error() string { return r.err.Error() }

// Unwrap gives what callers look for.
func (r *refusal) Unwrap() []error { return []error{r.err, errRefused} }

// guarded makes a panic of an operation its own affair.
func guarded(tx *sql.Tx, do func(tx *sql.Tx) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("an operation of the store panicked: %v", r)
		}
	}()
	return do(tx)
}
