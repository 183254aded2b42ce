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
	case len(c.Metadata) > maxMetadataBytes:
		return fmt.Errorf("completion %s: %d bytes of metadata; want at most %d", c.ID, len(c.Metadata), maxMetadataBytes)
	}
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
	now := s.options.Now()
	rows := make([][]any, len(choices))
	for i, c := range choices {
		if err := c.check(); err != nil {
			return err
		}
		if c.Created.IsZero() {
			c.Created = now
		}
		if c.Expires.IsZero() {
			c.Expires = c.Created.Add(s.options.Retention)
		}
		rows[i] = s.rowOf(c)
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		for _, row := range rows {
			if _, err := tx.Exec(insertCompletion, row...); err != nil {
				return fmt.Errorf("store a completion: %w", err)
			}
		}
		return nil
	})
}

const insertCompletion = `INSERT INTO completions(id, choice, tenant, key_id, session, model, state, finish, spans, params, metadata, prompt_ids, token_ids, logprobs,
  sampled, crc, prompt_text, output_text, created_ms, expires_ms) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id, choice) DO NOTHING`

func (s *Store) rowOf(c *Completion) []any {
	prompt, output, logprobs := packIDs(c.Prompt), packIDs(c.Output), packFloats(c.Logprobs)
	var sampled []byte
	if c.Sampled != nil {
		sampled = packFloats(c.Sampled)
	}
	promptText, outputText := c.PromptText, c.OutputText
	if !s.options.KeepText {
		promptText, outputText = nil, nil
	}
	return []any{c.ID, c.Choice, c.Tenant, c.Key, c.Session, c.Model, string(c.State), c.Finish, text(c.Spans), orEmpty(c.Params), optional(c.Metadata), prompt, output,
		logprobs, sampled, sumOf(prompt, output, logprobs, sampled), promptText, outputText, c.Created.UnixMilli(), c.Expires.UnixMilli()}
}

const completionColumns = `seq, id, choice, tenant, key_id, session, model, state, finish, spans, params, metadata, prompt_ids, token_ids, logprobs, sampled, crc,
  prompt_text, output_text, created_ms, expires_ms`

// scanner is a row of a query, or a query's present row.
type scanner interface{ Scan(dest ...any) error }

// readCompletion reads a row of completionColumns; what else the row has goes to more.
func readCompletion(r scanner, more ...any) (*Completion, error) {
	var c Completion
	var spans, params string
	var metadata sql.NullString
	var prompt, output, logprobs, sampled []byte
	var crc, created, expires int64
	err := r.Scan(append([]any{&c.Seq, &c.ID, &c.Choice, &c.Tenant, &c.Key, &c.Session, &c.Model, &c.State, &c.Finish, &spans, &params, &metadata, &prompt, &output, &logprobs,
		&sampled, &crc, &c.PromptText, &c.OutputText, &created, &expires}, more...)...)
	if err != nil {
		return nil, err
	}
	if err := checkBlobs("completion "+c.ID, crc, prompt, output, logprobs, sampled); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(spans), &c.Spans); err != nil {
		return nil, fmt.Errorf("completion %s: its version spans are damaged: %w", c.ID, err)
	}
	c.Params = json.RawMessage(params)
	if metadata.Valid {
		c.Metadata = json.RawMessage(metadata.String)
	}
	c.Prompt, c.Output, c.Logprobs = unpackIDs(prompt), unpackIDs(output), unpackFloats(logprobs)
	if sampled != nil {
		c.Sampled = unpackFloats(sampled)
	}
	c.Created, c.Expires = time.UnixMilli(created), time.UnixMilli(expires)
	return &c, nil
}

// Completion gives the choices of an answer that was served to the tenant, with what was said about them. ErrUnknown.
func (s *Store) Completion(ctx context.Context, tenant, id string) (choices []*Completion, said []Feedback, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		if choices, err = collect(tx, readOne, "SELECT "+completionColumns+" FROM completions WHERE id = ? AND tenant = ? ORDER BY choice", id, tenant); err != nil {
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

func readOne(r scanner) (*Completion, error) { return readCompletion(r) }

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

// text is a value as JSON.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: a record of the store is no JSON: " + err.Error())
	}
	return string(b)
}

func orEmpty(j json.RawMessage) string {
	if j == nil {
		return "{}"
	}
	return string(j)
}

// optional is NULL for nil.
func optional(j json.RawMessage) any {
	if j == nil {
		return nil
	}
	return string(j)
}
