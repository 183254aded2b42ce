package feedback

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// line is one record of an export (docs/formats/feedback-export.md).
type line struct {
	Type       string          `json:"type"` // completion, feedback or tree
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

// treeLine is a search tree in an export.
type treeLine struct {
	Type    string          `json:"type"`
	ID      string          `json:"id"`
	Version int64           `json:"version"`
	Created int64           `json:"created_ms"`
	Tree    json.RawMessage `json:"tree"`
}

// Export writes completions and then feedback as JSON lines, each kind in the order of its seq. Completions have a seq above since; all
// feedback about them is there. Trees, which have no seq, come last, oldest first, where since is 0 or less. It reads one snapshot and may run beside everything else; where w is so slow that the store's log grows
// past its bound meanwhile, it ends with ErrTooSlow. Two run at one time, another one waits.
func (s *Store) Export(ctx context.Context, w io.Writer, since int64) error {
	select {
	case s.exports <- struct{}{}:
		defer func() { <-s.exports }()
	case <-s.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	out := bufio.NewWriterSize(w, 64<<10)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	err := s.view(ctx, func(tx *sql.Tx) error {
		if err := each(tx, readCompletion, func(c *Completion) error { return encoder.Encode(completionLine(c)) },
			"SELECT "+completionColumns+" FROM completions WHERE seq > ? ORDER BY seq", since); err != nil {
			return err
		}
		if err := each(tx, readFeedback, func(f Feedback) error { return encoder.Encode(feedbackLine(&f)) }, "SELECT "+feedbackColumns+
			" FROM feedback AS f WHERE (SELECT c.seq FROM completions AS c WHERE c.id = f.completion_id AND c.choice = f.choice) > ? ORDER BY seq", since); err != nil || since > 0 {
			return err
		}
		return each(tx, readTree, func(t Tree) error {
			return encoder.Encode(treeLine{"tree", t.ID, t.Version, t.Created.UnixMilli(), t.Tree})
		}, "SELECT id, version, tree, created_ms, crc FROM trees ORDER BY created_ms, id")
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
