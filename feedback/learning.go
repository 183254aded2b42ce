package feedback

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Rated is a completion with the reward that counts: the verifier's where there is one, else the mean over those who rated it.
type Rated struct {
	*Completion
	Reward float64
	Votes  int
	Raters []Rater // whose votes Reward is made of, each once
}

// Rater is who gave a vote: the end user that an API key's holder named, or the key itself. Names of different keys are different raters.
type Rater struct{ Key, Name string }

// Waiting gives completions that have a reward, were never learned from, have not expired and were rated before the given time, those
// first that were served first; at most limit.
func (s *Store) Waiting(ctx context.Context, limit int, ratedBefore time.Time) ([]Rated, error) {
	return s.WaitingAfter(ctx, 0, limit, ratedBefore)
}

// WaitingAfter is Waiting for completions behind the one with this Seq.
func (s *Store) WaitingAfter(ctx context.Context, seq int64, limit int, ratedBefore time.Time) (rated []Rated, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		all, err := collect(tx, readCompletion, waitingQuery, ratedBefore.UnixMilli(), s.options.Now().UnixMilli(), limit, seq)
		if err != nil {
			return err
		}
		rated, err = reward(tx, all, ratedBefore.UnixMilli())
		return err
	})
	return rated, err
}

const (
	waitingQuery = "SELECT " + completionColumns + ` FROM waiting CROSS JOIN completions AS c USING(seq) WHERE waiting.seq > ?4 AND c.expires_ms > ?2 AND EXISTS (
  SELECT 1 FROM feedback AS f WHERE f.completion_id = c.id AND f.choice = c.choice AND f.superseded = 0 AND f.created_ms <= ?1) ORDER BY waiting.seq LIMIT ?3`
	votesQuery = "SELECT " + feedbackColumns + " FROM feedback WHERE completion_id = ? AND choice = ? AND superseded = 0 AND created_ms <= ? ORDER BY seq"
)

// reward reads the votes of completions, each with its checksum, and says what they come to.
func reward(tx *sql.Tx, all []*Completion, ratedBefore int64) ([]Rated, error) {
	votes, err := tx.Prepare(votesQuery)
	if err != nil {
		return nil, err
	}
	defer votes.Close()
	rated := make([]Rated, len(all))
	for i, c := range all {
		rated[i].Completion = c
		sum := map[bool]float64{} // by whether it is a verifier's
		n := map[bool]int{}
		raters := map[bool][]Rater{}
		err := each(prepared{votes}, readFeedback, func(f Feedback) error {
			sum[f.Source == Verifier] += f.Reward
			n[f.Source == Verifier]++
			if who := (Rater{f.Key, f.Rater}); !slices.Contains(raters[f.Source == Verifier], who) {
				raters[f.Source == Verifier] = append(raters[f.Source == Verifier], who)
			}
			return nil
		}, "", c.ID, c.Choice, ratedBefore)
		if err != nil {
			return nil, err
		}
		rated[i].Votes = n[true] + n[false]
		verified := n[true] > 0
		rated[i].Reward, rated[i].Raters = sum[verified]/float64(n[verified]), raters[verified]
	}
	return rated, nil
}

// prepared is a querier with one query.
type prepared struct{ *sql.Stmt }

// Query implements querier.
func (p prepared) Query(_ string, args ...any) (*sql.Rows, error) { return p.Stmt.Query(args...) }

// Counts says how much there is.
type Counts struct {
	Completions int
	Feedback    int
	Used        int // completions that were learned from by updates that are still there
	Waiting     int // rated completions that were not
}

// Counts counts rows.
func (s *Store) Counts(ctx context.Context) (n Counts, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT (SELECT count(*) FROM completions), (SELECT count(*) FROM feedback), (SELECT count(*) FROM consumed),
			(SELECT count(*) FROM waiting)`).
			Scan(&n.Completions, &n.Feedback, &n.Used, &n.Waiting)
	})
	return n, err
}

// PolicyState says what may be done with a policy.
type PolicyState string

// The states.
const (
	Candidate PolicyState = "candidate" // it passed its checks and waits to be promoted
	Published PolicyState = "published"
	Rejected  PolicyState = "rejected" // it did not pass its checks
	Bad       PolicyState = "bad"      // it was rolled back
)

// Policy is a version of the weights and where its checkpoint is.
type Policy struct {
	Version        int64
	Parent         int64 // 0 = none
	State          PolicyState
	Path           string
	ManifestSHA256 []byte
	Reason         string          // of its state; "" = none
	Eval           json.RawMessage // its small evaluation; nil = none
	Created        time.Time
}

// Rollout is an answer that an update learned from.
type Rollout struct {
	ID        string // deterministic, so that one rollout enters once
	Problem   string
	Version   int64
	Prompt    []int32
	Output    []int32
	Logprobs  []float32
	Reward    float64
	Advantage float64
	Reason    string
}

// Used is a completion that an update learned from.
type Used struct {
	Completion string
	Choice     int
	Weight     float64 // advantage that it had
}

// Update is what one update read and gave. It is stored in one transaction: the policy, the pointers, what was consumed, the report.
type Update struct {
	ID       int64 // order; 0 = not stored yet
	Job      string
	Parent   int64 // version of the weights before
	Applied  bool
	Reason   string          // why it was rejected
	Report   json.RawMessage // numbers for curves
	Policy   *Policy         // that it made; nil = none
	Serve    bool            // the policy becomes the served one; else, where it is a Candidate, the one that learning goes on from
	Rollouts []Rollout
	Used     []Used
	Created  time.Time
}

// Commit stores an Update and gives its id. A completion that an earlier one consumed makes it fail as a whole with ErrConflict: nothing
// is ever counted twice.
func (s *Store) Commit(ctx context.Context, u Update) (int64, error) {
	u.Created = s.options.Now()
	var id *int64
	err := s.change(ctx, func(tx *sql.Tx) error {
		n, err := commitUpdate(tx, &u)
		id = &n
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("commit an update: %w", err)
	}
	return *id, nil
}

func commitUpdate(tx *sql.Tx, u *Update) (int64, error) {
	if u.Policy != nil {
		if err := putPolicy(tx, u.Policy, u.Created, u.Serve); err != nil {
			return 0, err
		}
	}
	state, version := "rejected", sql.NullInt64{}
	if u.Applied {
		state = "applied"
	}
	if u.Policy != nil {
		version = sql.NullInt64{Int64: u.Policy.Version, Valid: true}
	}
	result, err := tx.Exec("INSERT INTO updates(job, parent, version, state, reason, report, created_ms) VALUES(?,?,?,?,?,?,?)",
		u.Job, u.Parent, version, state, u.Reason, orEmpty(u.Report), u.Created.UnixMilli())
	if err != nil {
		return 0, err
	}
	id, err := result.LastInsertId()
	if err != nil {
		return 0, err
	}
	return id, consume(tx, id, u)
}

func consume(tx *sql.Tx, id int64, u *Update) error {
	for _, c := range u.Used {
		n, err := affected(tx.Exec("INSERT INTO consumed(completion_id, choice, update_id, weight) VALUES(?,?,?,?) ON CONFLICT DO NOTHING", c.Completion, c.Choice, id, c.Weight))
		if err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM waiting WHERE seq = (SELECT seq FROM completions WHERE id = ? AND choice = ?)", c.Completion, c.Choice); err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: completion %s, choice %d was learned from before", ErrConflict, c.Completion, c.Choice)
		}
	}
	for _, r := range u.Rollouts {
		fields := []any{r.ID, id, r.Problem, r.Version, packIDs(r.Prompt), packIDs(r.Output), packFloats(r.Logprobs), r.Reward, r.Advantage, r.Reason}
		if _, err := tx.Exec(`INSERT INTO rollouts(id, update_id, problem, version, prompt_ids, token_ids, logprobs, reward, advantage, reason, crc)
			VALUES(?,?,?,?,?,?,?,?,?,?,?)`, append(fields, sumRow(fields...))...); err != nil {
			return fmt.Errorf("store a rollout: %w", err)
		}
	}
	return nil
}

func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// putPolicy adds a policy; serve makes it the served one.
func putPolicy(tx *sql.Tx, p *Policy, now time.Time, serve bool) error {
	parent := sql.NullInt64{Int64: p.Parent, Valid: p.Parent != 0}
	if _, err := tx.Exec("INSERT INTO policies(version, parent, state, path, manifest_sha256, reason, eval, created_ms) VALUES(?,?,?,?,?,?,?,?)",
		p.Version, parent, string(p.State), p.Path, p.ManifestSHA256, p.Reason, optional(p.Eval), now.UnixMilli()); err != nil {
		return fmt.Errorf("store policy %d: %w", p.Version, err)
	}
	switch {
	case serve:
		return errors.Join(point(tx, "serving", p.Version), point(tx, "training", p.Version))
	case p.State == Candidate:
		return point(tx, "training", p.Version)
	}
	return nil
}

func point(tx *sql.Tx, name string, version int64) error {
	if _, err := tx.Exec("INSERT INTO pointers(name, version) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET version = excluded.version", name, version); err != nil {
		return fmt.Errorf("point at policy %d: %w", version, err)
	}
	return nil
}

// AddPolicy stores a policy that no update made, such as the one a server starts with, and serves it.
func (s *Store) AddPolicy(ctx context.Context, p Policy) error {
	now := s.options.Now()
	return s.change(ctx, func(tx *sql.Tx) error { return putPolicy(tx, &p, now, true) })
}

// Turn is a promotion or, with the state of what was served before, a rollback.
type Turn struct {
	Version  int64       // becomes the served one
	Training int64       // that learning goes on from; 0 = Version
	Replaced int64       // was served until now; 0 or Version = none
	State    PolicyState // of Replaced from now on
	Bad      []int64     // candidates that nobody waits for any more
	Reason   string      // of the states of Replaced and Bad
}

// Serve points at a policy.
func (s *Store) Serve(ctx context.Context, t Turn) error {
	t.Bad = slices.Clone(t.Bad)
	return s.change(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.Exec("UPDATE policies SET state = 'published' WHERE version = ?", t.Version))
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("policy %d: %w", t.Version, ErrUnknown)
		}
		if t.Replaced != 0 && t.Replaced != t.Version {
			err = setState(tx, t.Replaced, t.State, t.Reason)
		}
		for _, version := range t.Bad {
			err = errors.Join(err, setState(tx, version, Bad, t.Reason))
		}
		return errors.Join(err, point(tx, "serving", t.Version), point(tx, "training", cmp.Or(t.Training, t.Version)))
	})
}

func setState(tx *sql.Tx, version int64, state PolicyState, reason string) error {
	_, err := tx.Exec("UPDATE policies SET state = ?, reason = ? WHERE version = ?", string(state), reason, version)
	return err
}

// Training is the version that learning goes on from: the newest candidate that waits, or the served one; 0 = none.
func (s *Store) Training(ctx context.Context) (version int64, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRow("SELECT version FROM pointers WHERE name = 'training'").Scan(&version)
		if none(err) {
			return nil
		}
		return err
	})
	return version, err
}

// Policies lists all, oldest first, and the version that is served; 0 = none.
func (s *Store) Policies(ctx context.Context) (all []Policy, serving int64, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		if all, err = collect(tx, readPolicy, "SELECT version, coalesce(parent, 0), state, path, manifest_sha256, reason, eval, created_ms FROM policies ORDER BY version"); err != nil {
			return err
		}
		if err := tx.QueryRow("SELECT version FROM pointers WHERE name = 'serving'").Scan(&serving); !none(err) {
			return err
		}
		return nil
	})
	return all, serving, err
}

func readPolicy(r scanner) (Policy, error) {
	var p Policy
	var eval sql.NullString
	var created int64
	err := r.Scan(&p.Version, &p.Parent, &p.State, &p.Path, &p.ManifestSHA256, &p.Reason, &eval, &created)
	p.Created, p.Eval = time.UnixMilli(created), present(eval)
	return p, err
}

// Updates lists those after an id, oldest first; at most limit. Rollouts and Used are not read.
func (s *Store) Updates(ctx context.Context, after int64, limit int) (all []Update, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		all, err = collect(tx, readUpdate, "SELECT id, job, parent, version, state, reason, report, created_ms FROM updates WHERE id > ? ORDER BY id LIMIT ?", after, limit)
		return err
	})
	return all, err
}

func readUpdate(r scanner) (Update, error) {
	var u Update
	var version sql.NullInt64
	var state, report string
	var created int64
	err := r.Scan(&u.ID, &u.Job, &u.Parent, &version, &state, &u.Reason, &report, &created)
	u.Applied, u.Report, u.Created = state == "applied", json.RawMessage(report), time.UnixMilli(created)
	if version.Valid {
		u.Policy = &Policy{Version: version.Int64}
	}
	return u, err
}
