package feedback

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// State says whether a completion can be rated.
type State string

// The states.
const (
	Complete State = "complete"
	Aborted  State = "aborted" // its client went away, or the device failed
)

// Completion is one choice of an answer, as the engine drew it. What it takes to learn from it is all here; nothing is ever tokenised
// again.
type Completion struct {
	Seq      int64 // order of commit; 0 = not stored yet
	ID       string
	Choice   int // of the answer, from 0
	Tenant   string
	Key      string // id of the API key that it was served to
	Session  string // of RL; "" = none
	Model    string
	State    State
	Finish   string
	Prompt   []int32
	Output   []int32
	Logprobs []float32 // of Output under the raw logits
	Sampled  []float32 // of Output in the distribution it was drawn from; nil = the same
	Spans    []Span
	Params   json.RawMessage // sampling parameters
	Metadata json.RawMessage // the client's own; nil = none

	PromptText, OutputText *string // nil = not kept
	Created, Expires       time.Time
}

// Span says which policy version drew a run of output tokens.
type Span struct {
	Version int64 `json:"version"`
	Start   int   `json:"start"` // of Output
	End     int   `json:"end"`
}

// Version is the one that drew every token, or 0 if there were several or no tokens.
func (c *Completion) Version() int64 {
	if len(c.Spans) != 1 {
		return 0
	}
	return c.Spans[0].Version
}

// Bounds of a Completion.
const (
	maxIDBytes       = 128
	maxMetadataBytes = 16 << 10
	maxParamsBytes   = 1 << 20
	maxTokens        = 1 << 22
)

// check says what is wrong with a record that somebody wants to store.
func (c *Completion) check() error {
	switch n := len(c.Output); {
	case c.ID == "" || len(c.ID) > maxIDBytes || c.Choice < 0:
		return fmt.Errorf("completion id %.64q, choice %d: want 1 to %d bytes and at least 0", c.ID, c.Choice, maxIDBytes)
	case len(c.Prompt)+n > maxTokens || len(c.Logprobs) != n || c.Sampled != nil && len(c.Sampled) != n:
		return fmt.Errorf("completion %s: %d prompt and %d output tokens, %d and %d log-probabilities: want at most %d tokens and one of each for every output token",
			c.ID, len(c.Prompt), n, len(c.Logprobs), len(c.Sampled), maxTokens)
	case c.State != Complete && c.State != Aborted:
		return fmt.Errorf("completion %s: state %q: want complete or aborted", c.ID, c.State)
	case len(c.Metadata) > maxMetadataBytes || len(c.Params) > maxParamsBytes:
		return fmt.Errorf("completion %s: %d bytes of metadata and %d of parameters; want at most %d and %d", c.ID, len(c.Metadata), len(c.Params), maxMetadataBytes, maxParamsBytes)
	case c.Metadata != nil && !json.Valid(c.Metadata) || c.Params != nil && !json.Valid(c.Params):
		return fmt.Errorf("completion %s: its metadata or parameters are no JSON", c.ID)
	}
	for _, values := range [][]float32{c.Logprobs, c.Sampled} {
		for i, v := range values {
			if v-v != 0 {
				return fmt.Errorf("completion %s: output token %d has the log-probability %g; want a finite number", c.ID, i, v)
			}
		}
	}
	return c.checkSpans()
}

// checkSpans says whether the spans cover the output in order.
func (c *Completion) checkSpans() error {
	at := 0
	for _, s := range c.Spans {
		if s.Start != at || s.End <= s.Start {
			return fmt.Errorf("completion %s: version spans %v do not cover its tokens in order", c.ID, c.Spans)
		}
		at = s.End
	}
	if at != len(c.Output) {
		return fmt.Errorf("completion %s: version spans cover %d of %d tokens", c.ID, at, len(c.Output))
	}
	return nil
}

// Add stores the choices of an answer, all or none. It fills Created and Expires where they are zero; texts are left out unless the
// store keeps them. Storing the same choice again changes nothing.
func (s *Store) Add(ctx context.Context, choices ...*Completion) error {
	store, err := s.adding(choices...)
	if err != nil {
		return err
	}
	return s.change(ctx, store)
}

// adding checks completions and gives what stores them.
func (s *Store) adding(choices ...*Completion) (func(tx *sql.Tx) error, error) {
	now := s.options.Now()
	rows := make([][]any, len(choices))
	for i, c := range choices {
		if err := c.check(); err != nil {
			return nil, err
		}
		if c.Created.IsZero() {
			c.Created = now
		}
		if c.Expires.IsZero() {
			c.Expires = c.Created.Add(s.options.Retention)
		}
		fields := s.rowOf(c).fields()
		rows[i] = append(fields, sumRow(fields...))
	}
	return func(tx *sql.Tx) error {
		for _, row := range rows {
			if _, err := tx.Stmt(s.often.add).Exec(row...); err != nil {
				return fmt.Errorf("store a completion: %w", err)
			}
		}
		return nil
	}, nil
}

// Completion gives the choices of an answer that was served to the tenant, with what was said about them. ErrUnknown.
func (s *Store) Completion(ctx context.Context, tenant, id string) (choices []*Completion, said []Feedback, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		if choices, err = collect(tx, readCompletion, "SELECT "+completionColumns+" FROM completions WHERE id = ? AND tenant = ? ORDER BY choice", id, tenant); err != nil {
			return err
		}
		said, err = collect(tx, readFeedback, "SELECT "+feedbackColumns+" FROM feedback WHERE completion_id = ? AND tenant = ? ORDER BY seq", id, tenant)
		return err
	})
	if err == nil && len(choices) == 0 {
		err = ErrUnknown
	}
	return choices, said, err
}

// querier is a transaction or a database.
type querier interface {
	Query(query string, args ...any) (*sql.Rows, error)
}

// collect reads all rows of a query.
func collect[T any](q querier, read func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := read(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// none says that a query found nothing.
func none(err error) bool { return errors.Is(err, sql.ErrNoRows) }
