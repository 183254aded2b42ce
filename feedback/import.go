package feedback

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Bounds of an import.
const (
	maxLineBytes   = 64 << 20
	maxBatchLines  = 1000 // of one commit
	maxBatchBytes  = 4 << 20
	lineStartBytes = 64 << 10
)

// Imported counts the records of an Import; those that were there before count too.
type Imported struct{ Completions, Feedback, Trees int }

// record is a line that was read: what it stores, and what it counts as.
type record struct {
	number int
	store  func(tx *sql.Tx) error
	counts Imported
}

// Import stores what Export wrote. Records whose ids are there already change nothing, but that a vote may have become superseded, so that
// it can be repeated. The error names the line; what came before it is stored. Texts are left out unless the store keeps them.
func (s *Store) Import(ctx context.Context, r io.Reader) (n Imported, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, lineStartBytes), maxLineBytes)
	var batch []record
	size, number := 0, 1
	for ; lines.Scan(); number++ {
		one, err := s.record(lines.Bytes(), number)
		if err != nil {
			return n, errors.Join(s.store(ctx, batch, &n), atLine(number, err))
		}
		batch, size = append(batch, one), size+len(lines.Bytes())
		if len(batch) < maxBatchLines && size < maxBatchBytes {
			continue
		}
		if err := s.store(ctx, batch, &n); err != nil {
			return n, err
		}
		batch, size = batch[:0], 0
	}
	if err := s.store(ctx, batch, &n); err != nil {
		return n, err
	}
	if err := lines.Err(); err != nil {
		return n, atLine(number, err)
	}
	return n, nil
}

func atLine(number int, err error) error {
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("it is longer than %d bytes", maxLineBytes)
	}
	return fmt.Errorf("import line %d: %w", number, err)
}

// store stores a batch in one commit; where a record is refused, all before it.
func (s *Store) store(ctx context.Context, batch []record, n *Imported) error {
	if len(batch) == 0 {
		return nil
	}
	batch = append([]record(nil), batch...) // the writer may still read it after ctx has ended
	err := s.change(ctx, func(tx *sql.Tx) error {
		for i, one := range batch {
			if err := one.store(tx); err != nil {
				return &refusedRecord{i, err}
			}
		}
		return nil
	})
	var refused *refusedRecord
	good := len(batch)
	if errors.As(err, &refused) {
		good = refused.index
		if err := s.store(ctx, batch[:good], n); err != nil {
			return err
		}
		return atLine(batch[good].number, refused.err)
	}
	if err != nil {
		return atLine(batch[0].number, err)
	}
	for _, one := range batch {
		n.Completions += one.counts.Completions
		n.Feedback += one.counts.Feedback
		n.Trees += one.counts.Trees
	}
	return nil
}

// refusedRecord is what is wrong with one of a batch.
type refusedRecord struct {
	index int
	err   error
}

// Error implements error.
func (r *refusedRecord) Error() string { return r.err.Error() }

// Unwrap gives the cause.
func (r *refusedRecord) Unwrap() error { return r.err }

// record reads a line.
func (s *Store) record(text []byte, number int) (record, error) {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(text, &kind); err != nil {
		return record{}, err
	}
	if kind.Type == "tree" {
		return s.treeRecord(text, number)
	}
	var l line
	if err := decodeLine(text, &l); err != nil {
		return record{}, err
	}
	switch l.Type {
	case "completion":
		c := l.completion()
		store, err := s.adding(c)
		return record{number, store, Imported{Completions: 1}}, err
	case "feedback":
		f, err := l.feedback(s.options.Now())
		return record{number, func(tx *sql.Tx) error { return importFeedback(tx, f) }, Imported{Feedback: 1}}, err
	}
	return record{}, fmt.Errorf("type %.32q: want completion, feedback or tree", l.Type)
}

// decodeLine reads one JSON object that has no member besides those of l.
func decodeLine(text []byte, l any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(l); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more behind the JSON value")
	}
	return nil
}

// treeRecord reads a line that holds a search tree; one that is there stays.
func (s *Store) treeRecord(text []byte, number int) (record, error) {
	var l treeLine
	if err := decodeLine(text, &l); err != nil {
		return record{}, err
	}
	t, created := Tree{ID: l.ID, Version: l.Version, Tree: l.Tree}, moment(l.Created)
	if created.IsZero() {
		created = s.options.Now()
	}
	return record{number, func(tx *sql.Tx) error { return insertTree(tx, t.ID, t.Version, string(t.Tree), created) }, Imported{Trees: 1}}, t.check()
}

func (l *line) completion() *Completion {
	return &Completion{ID: l.ID, Choice: l.Choice, Tenant: l.Tenant, Key: l.Key, Session: l.Session, Model: l.Model, State: l.State, Finish: l.Finish,
		Prompt: l.Prompt, Output: l.Output, Logprobs: l.Logprobs, Sampled: l.Sampled, Spans: l.Spans, Params: l.Params, Metadata: l.Metadata,
		PromptText: l.PromptText, OutputText: l.OutputText, Created: moment(l.Created), Expires: moment(l.Expires)}
}

// moment is the zero time where a line says nothing.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func (l *line) feedback(now time.Time) (*Feedback, error) {
	if l.Reward == nil || l.ID == "" {
		return nil, errors.New("a feedback needs an id and a reward")
	}
	f := &Feedback{ID: l.ID, Completion: l.Completion, Choice: l.Choice, Tenant: l.Tenant, Key: l.Key, Rater: l.Rater, Source: l.Source, Idempotency: l.Idempotency,
		Reward: *l.Reward, Grader: l.Grader, Evidence: l.Evidence, Metadata: l.Metadata, Superseded: l.Superseded, Created: moment(l.Created)}
	if f.Created.IsZero() {
		f.Created = now
	}
	return f, f.check()
}

func importFeedback(tx *sql.Tx, f *Feedback) error {
	found := 0
	if err := tx.QueryRow("SELECT count(*) FROM completions WHERE id = ? AND choice = ? AND tenant = ?", f.Completion, f.Choice, f.Tenant).Scan(&found); err != nil {
		return err
	}
	if found == 0 {
		return fmt.Errorf("feedback %.64q: completion %.64q, choice %d of tenant %.64q: %w; import that one first", f.ID, f.Completion, f.Choice, f.Tenant, ErrUnknown)
	}
	was, err := readFeedback(tx.QueryRow("SELECT "+feedbackColumns+" FROM feedback WHERE id = ?", f.ID))
	switch {
	case none(err):
		return f.insert(tx)
	case err == nil && f.Superseded && !was.Superseded:
		return supersede(tx, was)
	}
	return err
}
