package feedback

import (
	"context"
	"database/sql"
	"sync"
)

// views are the reads under way. Each sees the store as it was when it began, for which the log must be kept.
type views struct {
	mu      sync.Mutex
	all     map[*viewing]struct{}
	long    int64 // of the log in bytes, now
	closing bool
}

// viewing is one read.
type viewing struct {
	end  context.CancelCauseFunc
	long int64 // of the log when it began
}

// begin adds a read; done takes it away.
func (v *views) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closing {
		return nil, nil, ErrClosed
	}
	ctx, end := context.WithCancelCause(ctx)
	one := &viewing{end, v.long}
	if v.all == nil {
		v.all = map[*viewing]struct{}{}
	}
	v.all[one] = struct{}{}
	return ctx, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.all, one)
		end(nil)
	}, nil
}

// endBefore ends the reads that keep a log from beginning anew that is longer than most: those that began in its older half.
func (v *views) endBefore(long, most int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.long = long
	if long <= most {
		return
	}
	for one := range v.all {
		if one.long <= long/2 {
			one.end(ErrTooSlow)
		}
	}
}

// close ends all reads and lets no other begin.
func (v *views) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closing = true
	for one := range v.all {
		one.end(ErrClosed)
	}
}

// view runs a read-only function on one snapshot.
func (s *Store) view(ctx context.Context, f func(tx *sql.Tx) error) error {
	ctx, done, err := s.views.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	err = s.viewed(ctx, f)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause // the error is only its consequence
	}
	return classify(err)
}

func (s *Store) viewed(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return f(tx)
}
