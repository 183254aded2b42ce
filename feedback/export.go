package feedback

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// line is one record of an export (docs/formats/feedback-export.md).
type line struct {
	Type       string          `json:"type"` // completion or feedback
	Seq        int64           `json:"seq"`
	ID         string          `json:"id"`
	Choice     int             `json:"choice"`
	Tenant     string          `json:"tenant"`
	Key        string          `json:"key"`
	Created    int64           `json:"created_ms"`
	Metadata   json.RawMessage `json:"metadata,omitempty"`
	Session    string          `json:"session,omitempty"`
	Model      string          `json:"model,omitempty"`
	State      State           `json:"state,omitempty"`
	Finish     string          `json:"finish_reason,omitempty"`
	Prompt     []int32         `json:"prompt_token_ids,omitempty"`
	Output     []int32         `json:"token_ids,omitempty"`
	Logprobs   []float32       `json:"logprobs,omitempty"`
	Sampled    []float32       `json:"sampled_logprobs,omitempty"`
	Spans      []Span          `json:"versions,omitempty"`
	Params     json.RawMessage `json:"params,omitempty"`
	PromptText *string         `json:"prompt,omitempty"`
	OutputText *string         `json:"completion,omitempty"`
	Expires    int64           `json:"expires_ms,omitempty"`

	Completion  string   `json:"completion_id,omitempty"`
	Rater       string   `json:"rater,omitempty"`
	Source      Source   `json:"source,omitempty"`
	Idempotency string   `json:"idempotency_key,omitempty"`
	Reward      *float64 `json:"reward,omitempty"`
	Grader      string   `json:"grader,omitempty"`
	Evidence    string   `json:"evidence,omitempty"`
	Superseded  bool     `json:"superseded,omitempty"`
}

// Export writes completions and then feedback as JSON lines, each kind in the order of its seq. Completions have a seq above since; all
// feedback about them is there. It reads one snapshot and may run beside everything else.
func (s *Store) Export(ctx context.Context, w io.Writer, since int64) error {
	out := bufio.NewWriter(w)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	err := s.view(ctx, func(tx *sql.Tx) error {
		if err := each(tx, readOne, func(c *Completion) error { return encoder.Encode(completionLine(c)) },
			"SELECT "+completionColumns+" FROM completions WHERE seq > ? ORDER BY seq", since); err != nil {
			return err
		}
		return each(tx, readFeedback, func(f Feedback) error { return encoder.Encode(feedbackLine(&f)) }, "SELECT "+feedbackColumns+
			" FROM feedback WHERE (completion_id, choice) IN (SELECT id, choice FROM completions WHERE seq > ?) ORDER BY seq", since)
	})
	if err := errors.Join(err, out.Flush()); err != nil {
		return fmt.Errorf("export the store: %w", err)
	}
	return nil
}

// each reads rows one by one.
func each[T any](q querier, read func(scanner) (T, error), use func(T) error, query string, args ...any) error {
	rows, err := q.Query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		one, err := read(rows)
		if err != nil {
			return err
		}
		if err := use(one); err != nil {
			return err
		}
	}
	return rows.Err()
}

func completionLine(c *Completion) line {
	return line{Type: "completion", Seq: c.Seq, ID: c.ID, Choice: c.Choice, Tenant: c.Tenant, Key: c.Key, Session: c.Session, Model: c.Model, State: c.State, Finish: c.Finish,
		Prompt: c.Prompt, Output: c.Output, Logprobs: c.Logprobs, Sampled: c.Sampled, Spans: c.Spans, Params: c.Params, Metadata: c.Metadata,
		PromptText: c.PromptText, OutputText: c.OutputText, Created: c.Created.UnixMilli(), Expires: c.Expires.UnixMilli()}
}

func feedbackLine(f *Feedback) line {
	return line{Type: "feedback", Seq: f.Seq, ID: f.ID, Completion: f.Completion, Choice: f.Choice, Tenant: f.Tenant, Key: f.Key, Rater: f.Rater, Source: f.Source,
		Idempotency: f.Idempotency, Reward: &f.Reward, Grader: f.Grader, Evidence: f.Evidence, Metadata: f.Metadata, Superseded: f.Superseded, Created: f.Created.UnixMilli()}
}

// maxLineBytes bounds a line of an import.
const maxLineBytes = 64 << 20

// Imported counts the records of an Import; those that were there before count too.
type Imported struct{ Completions, Feedback int }

// Import stores what Export wrote. Records whose ids are there already change nothing, so that it can be repeated. The error names the
// line; what came before it is stored.
func (s *Store) Import(ctx context.Context, r io.Reader) (n Imported, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLineBytes)
	for number := 1; lines.Scan(); number++ {
		var l line
		if err = json.Unmarshal(lines.Bytes(), &l); err == nil {
			err = s.importLine(ctx, &l, &n)
		}
		if err != nil {
			return n, fmt.Errorf("import line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return n, fmt.Errorf("import after %d records: %w", n.Completions+n.Feedback, err)
	}
	return n, nil
}

func (s *Store) importLine(ctx context.Context, l *line, n *Imported) error {
	switch l.Type {
	case "completion":
		n.Completions++
		return s.Add(ctx, &Completion{ID: l.ID, Choice: l.Choice, Tenant: l.Tenant, Key: l.Key, Session: l.Session, Model: l.Model, State: l.State, Finish: l.Finish,
			Prompt: l.Prompt, Output: l.Output, Logprobs: l.Logprobs, Sampled: l.Sampled, Spans: l.Spans, Params: l.Params, Metadata: l.Metadata,
			PromptText: l.PromptText, OutputText: l.OutputText, Created: time.UnixMilli(l.Created), Expires: time.UnixMilli(l.Expires)})
	case "feedback":
		n.Feedback++
		return s.importFeedback(ctx, l)
	}
	return fmt.Errorf("type %.20q: want completion or feedback", l.Type)
}

func (s *Store) importFeedback(ctx context.Context, l *line) error {
	if l.Reward == nil {
		return errors.New("a feedback needs a reward")
	}
	f := Feedback{ID: l.ID, Completion: l.Completion, Choice: l.Choice, Tenant: l.Tenant, Key: l.Key, Rater: l.Rater, Source: l.Source, Idempotency: l.Idempotency, Reward: *l.Reward,
		Grader: l.Grader, Evidence: l.Evidence, Metadata: l.Metadata, Created: time.UnixMilli(l.Created)}
	if err := f.check(); err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO feedback(id, completion_id, choice, tenant, key_id, rater, source, idempotency, body_sha256, reward, grader, evidence, metadata,
			superseded, created_ms) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`, f.ID, f.Completion, f.Choice, f.Tenant, f.Key, f.Rater, string(f.Source),
			sql.NullString{String: f.Idempotency, Valid: f.Idempotency != ""}, f.digest(), f.Reward, f.Grader, f.Evidence, optional(f.Metadata), l.Superseded, l.Created)
		return err
	})
}
