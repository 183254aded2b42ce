package feedback

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Source says where a reward came from.
type Source string

// The sources. What this server verified itself goes before what others say.
const (
	Verifier Source = "verifier" // a grader of this server
	App      Source = "app"      // the holder of an API key, or its users
	Session  Source = "session"  // of RL
)

// Feedback is a reward that somebody gave for a completion.
type Feedback struct {
	Seq         int64  // order of commit; 0 = not stored yet
	ID          string // Rate draws it
	Completion  string
	Choice      int
	Tenant      string
	Key         string
	Rater       string // one vote each; the key's id where the client named nobody
	Source      Source
	Idempotency string          // the client's key for a repeated request; "" = none
	Reward      float64         // -1 to 1
	Grader      string          // that gave it; "" = none
	Evidence    string          // why
	Metadata    json.RawMessage // the client's own; nil = none
	Superseded  bool            // the same rater changed its vote
	Created     time.Time
}

// Bounds of a Feedback.
const (
	maxRaterBytes    = 128
	maxEvidenceBytes = 4 << 10
)

// check says what is wrong with it, or nil.
func (f *Feedback) check() error {
	switch {
	case f.Source != Verifier && f.Source != App && f.Source != Session:
		return fmt.Errorf("feedback for %.64q: source %.32q: want verifier, app or session", f.Completion, f.Source)
	case f.Metadata != nil && !json.Valid(f.Metadata):
		return fmt.Errorf("feedback for %.64q: its metadata is no JSON", f.Completion)
	case !(f.Reward >= -1 && f.Reward <= 1):
		return fmt.Errorf("a reward of %g: want -1 to 1", f.Reward)
	case len(f.Rater) > maxRaterBytes || len(f.Idempotency) > maxRaterBytes || len(f.Evidence) > maxEvidenceBytes || len(f.Metadata) > maxMetadataBytes:
		return fmt.Errorf("feedback for %.64q: rater and idempotency key have at most %d bytes, evidence %d, metadata %d",
			f.Completion, maxRaterBytes, maxEvidenceBytes, maxMetadataBytes)
	}
	return nil
}

// digest is what must be equal for a repeated feedback to be the same one.
func (f *Feedback) digest() []byte {
	sum := sha256.Sum256([]byte(text([]any{f.Completion, f.Choice, f.Rater, f.Source, f.Reward, f.Grader, f.Metadata})))
	return sum[:]
}

// Rate stores feedback for a completion of the same tenant. Storing the same again gives the stored row and duplicate. A rater has one
// vote for a choice; another one is ErrConflict, unless supersede is set and nothing was learned from the first. Errors: ErrUnknown,
// ErrAborted, ErrExpired, ErrConflict, ErrUnavailable.
func (s *Store) Rate(ctx context.Context, f Feedback, supersede bool) (stored Feedback, duplicate bool, err error) {
	if err := f.check(); err != nil {
		return f, false, err
	}
	f.ID, f.Created, f.Metadata = "fb-"+randomHex(), s.options.Now(), bytes.Clone(f.Metadata)
	type outcome struct {
		stored    Feedback
		duplicate bool
	}
	var o *outcome // read only where the writer has answered
	err = s.change(ctx, func(tx *sql.Tx) error {
		stored, duplicate, err := rate(tx, f, supersede)
		o = &outcome{stored, duplicate}
		return err
	})
	if err != nil {
		return f, false, err
	}
	return o.stored, o.duplicate, nil
}

func rate(tx *sql.Tx, f Feedback, supersede bool) (Feedback, bool, error) {
	if err := rateable(tx, &f); err != nil {
		return f, false, err
	}
	if f.Idempotency != "" {
		if was, found, err := same(tx, &f, "key_id = ? AND idempotency = ?", f.Key, f.Idempotency); found || err != nil {
			return was, true, err
		}
	}
	was, found, err := same(tx, &f, "completion_id = ? AND choice = ? AND source = ? AND key_id = ? AND rater = ? AND superseded = 0",
		f.Completion, f.Choice, string(f.Source), f.Key, f.Rater)
	switch {
	case err == nil && found:
		return was, true, nil
	case err != nil && !(found && supersede):
		return was, false, err
	case found:
		if err := replace(tx, &was); err != nil {
			return f, false, err
		}
	}
	err = f.insert(tx)
	return f, false, err
}

// fields are the columns without seq, crc and the digest.
func (f *Feedback) fields() []any {
	return []any{f.ID, f.Completion, int64(f.Choice), f.Tenant, f.Key, f.Rater, string(f.Source), sql.NullString{String: f.Idempotency, Valid: f.Idempotency != ""}, f.Reward,
		f.Grader, f.Evidence, optional(f.Metadata), number(f.Superseded), f.Created.UnixMilli()}
}

func number(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// insert stores a row and its Seq, and has the completion wait for learning.
func (f *Feedback) insert(tx *sql.Tx) error {
	fields := f.fields()
	result, err := tx.Exec(`INSERT INTO feedback(id, completion_id, choice, tenant, key_id, rater, source, idempotency, reward, grader, evidence, metadata,
		superseded, created_ms, crc, body_sha256) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, append(fields, sumRow(fields...), f.digest())...)
	if err != nil {
		return fmt.Errorf("store a feedback: %w", err)
	}
	if f.Seq, err = result.LastInsertId(); err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO waiting(seq) SELECT seq FROM completions AS c WHERE id = ? AND choice = ? AND NOT EXISTS (
		SELECT 1 FROM consumed AS u WHERE u.completion_id = c.id AND u.choice = c.choice) ON CONFLICT DO NOTHING`, f.Completion, f.Choice)
	return err
}

// rateable finds the completion. A foreign one is unknown: nobody learns which ids other tenants have.
func rateable(tx *sql.Tx, f *Feedback) error {
	var state State
	var expires int64
	err := tx.QueryRow("SELECT state, expires_ms FROM completions WHERE id = ? AND choice = ? AND tenant = ?", f.Completion, f.Choice, f.Tenant).Scan(&state, &expires)
	switch {
	case none(err):
		return ErrUnknown
	case err != nil:
		return err
	case state == Aborted:
		return ErrAborted
	case expires <= f.Created.UnixMilli():
		return ErrExpired
	}
	return nil
}

// same looks for an earlier feedback; found without an error means that it is equal, with ErrConflict that it is not.
func same(tx *sql.Tx, f *Feedback, where string, args ...any) (was Feedback, found bool, err error) {
	var digest []byte
	was, err = readFeedback(tx.QueryRow("SELECT "+feedbackColumns+" FROM feedback WHERE "+where, args...))
	if none(err) {
		return was, false, nil
	}
	if err == nil {
		err = tx.QueryRow("SELECT body_sha256 FROM feedback WHERE seq = ?", was.Seq).Scan(&digest)
	}
	if err != nil {
		return was, false, err
	}
	if !bytes.Equal(digest, f.digest()) {
		return was, true, fmt.Errorf("%w: feedback %s gave this completion %g", ErrConflict, was.ID, was.Reward)
	}
	return was, true, nil
}

// replace takes a vote back that nothing was learned from.
func replace(tx *sql.Tx, was *Feedback) error {
	used := 0
	if err := tx.QueryRow("SELECT count(*) FROM consumed WHERE completion_id = ? AND choice = ?", was.Completion, was.Choice).Scan(&used); err != nil {
		return err
	}
	if used > 0 {
		return fmt.Errorf("%w: feedback %s was learned from and is final", ErrConflict, was.ID)
	}
	return supersede(tx, *was)
}

func supersede(tx *sql.Tx, was Feedback) error {
	was.Superseded = true
	_, err := tx.Exec("UPDATE feedback SET superseded = 1, crc = ? WHERE seq = ?", sumRow(was.fields()...), was.Seq)
	return err
}

const feedbackColumns = "seq, id, completion_id, choice, tenant, key_id, rater, source, idempotency, reward, grader, evidence, metadata, superseded, created_ms, crc"

func readFeedback(r scanner) (Feedback, error) {
	var f Feedback
	var idempotency, metadata sql.NullString
	var created, crc int64
	err := r.Scan(&f.Seq, &f.ID, &f.Completion, &f.Choice, &f.Tenant, &f.Key, &f.Rater, &f.Source, &idempotency, &f.Reward, &f.Grader, &f.Evidence, &metadata, &f.Superseded, &created, &crc)
	if err != nil {
		return f, err
	}
	f.Idempotency, f.Created, f.Metadata = idempotency.String, time.UnixMilli(created), present(metadata)
	return f, checkRow("feedback "+f.ID, crc, f.fields()...)
}

// FeedbackByID finds what a key of the tenant said. ErrUnknown.
func (s *Store) FeedbackByID(ctx context.Context, tenant, id string) (f Feedback, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		f, err = readFeedback(tx.QueryRow("SELECT "+feedbackColumns+" FROM feedback WHERE id = ? AND tenant = ?", id, tenant))
		return err
	})
	if none(err) {
		err = ErrUnknown
	}
	return f, err
}

// randomHex is 128 random bits.
func randomHex() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
