package feedback

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ages is a store with a retention of an hour for completions and of ten for updates and events, at most eight of each.
func ages(t *testing.T) (*Store, *clock) {
	c := &clock{now: time.UnixMilli(1_700_000_000_000)}
	return open(t, filepath.Join(t.TempDir(), "state.db"), Options{Now: c.read, Retention: time.Hour, HistoryRetention: 10 * time.Hour, MaxHistoryRows: 8}), c
}

// commit stores an update with two rollouts.
func commit(t *testing.T, s *Store, u Update) int64 {
	t.Helper()
	n := must[Counts](t)(s.Counts(context.Background()))
	for i := range 2 {
		u.Rollouts = append(u.Rollouts, Rollout{ID: fmt.Sprint(u.Job, n, s.Stats().Commits, "-", i), Problem: "p", Version: 1, Prompt: []int32{1}, Output: []int32{2}, Logprobs: []float32{-1}})
	}
	return must[int64](t)(s.Commit(context.Background(), u))
}

// pruneAll prunes until nothing goes, and says what went of updates and events.
func pruneAll(t *testing.T, s *Store) (rows int) {
	t.Helper()
	for {
		p := must[Pruned](t)(s.Prune(context.Background()))
		if rows += p.History; !p.Any() {
			return rows
		}
	}
}

// wantUpdates wants these updates and no others, and no row that belongs to none.
func (s *Store) wantUpdates(t *testing.T, when string, want ...int64) {
	t.Helper()
	var got []int64
	for _, u := range must[[]Update](t)(s.Updates(context.Background(), 0, 1000)) {
		got = append(got, u.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: updates %v; want %v", when, got, want)
	}
	n := 0
	if err := s.read.QueryRow("SELECT (SELECT count(*) FROM rollouts WHERE update_id NOT IN (SELECT id FROM updates)) + (SELECT count(*) FROM consumed WHERE update_id NOT IN (SELECT id FROM updates))").Scan(&n); err != nil || n != 0 {
		t.Errorf("%s: %d rows belong to no update, %v", when, n, err)
	}
}

// Old updates go with their rollouts and are still counted; those of a kept checkpoint and of a job that is not over stay as long as it is so.
func TestOldUpdatesGo(t *testing.T) {
	s, clock := ages(t)
	ctx := context.Background()
	if err := s.AddPolicy(ctx, Policy{Version: 1, State: Published, Path: "p1", ManifestSHA256: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutJob(ctx, Job{ID: "j", Tenant: "a", State: "paused"}); err != nil {
		t.Fatal(err)
	}
	commit(t, s, Update{Parent: 1})
	kept := commit(t, s, Update{Parent: 1, Applied: true, Serve: true, Policy: &Policy{Version: 2, Parent: 1, State: Published, Path: "p2", ManifestSHA256: []byte{1}}})
	ofJob := commit(t, s, Update{Parent: 2, Job: "j"})
	clock.forward(9 * time.Hour)
	young := commit(t, s, Update{Parent: 2})
	if n := pruneAll(t, s); n != 0 {
		t.Errorf("%d rows went too early", n)
	}
	clock.forward(time.Hour)
	if n := pruneAll(t, s); n != 3 {
		t.Errorf("%d rows went; want an update and its two rollouts", n)
	}
	s.wantUpdates(t, "after ten hours", kept, ofJob, young)
	for job, want := range map[string]int{"": 3, "j": 1} {
		if n, err := s.CountUpdates(ctx, job); err != nil || n != want {
			t.Errorf("job %q has made %d updates, %v; want %d, those that went too", job, n, err, want)
		}
	}
	if err := s.PutJob(ctx, Job{ID: "j", Tenant: "a", State: "succeeded"}); err != nil {
		t.Fatal(err)
	}
	if err := s.ForgetPath(ctx, 2); err != nil {
		t.Fatal(err)
	}
	pruneAll(t, s)
	s.wantUpdates(t, "when nothing refers to them", young)
	if n, err := s.CountUpdates(ctx, ""); err != nil || n != 3 {
		t.Errorf("%d updates were made, %v; want 3", n, err)
	}
}

// More updates than may be kept go from the oldest on, but none that a completion which is still there was learned from in: it is learned
// from once.
func TestTooManyUpdatesGo(t *testing.T) {
	s, clock := ages(t)
	ctx := context.Background()
	add(t, s, served("c1"))
	if _, _, err := s.Rate(ctx, vote("c1", 1), false); err != nil {
		t.Fatal(err)
	}
	first := commit(t, s, Update{Parent: 1, Used: []Used{{Completion: "c1"}}})
	for range 11 {
		commit(t, s, Update{Parent: 1})
	}
	pruneAll(t, s)
	s.wantUpdates(t, "past the limit", first, 5, 6, 7, 8, 9, 10, 11, 12)
	other := vote("c1", -1)
	other.Rater = "bob"
	if _, _, err := s.Rate(ctx, other, false); err != nil {
		t.Fatal(err)
	}
	if rated := must[[]Rated](t)(s.Waiting(ctx, 10, time.UnixMilli(1<<60))); len(rated) != 0 {
		t.Errorf("%d completions wait that were learned from", len(rated))
	}
	clock.forward(3 * time.Hour)
	pruneAll(t, s)
	s.wantUpdates(t, "when the completion went", 5, 6, 7, 8, 9, 10, 11, 12)
}

// An update whose rollouts are more than one call removes goes in several.
func TestAnUpdateGoesInParts(t *testing.T) {
	s, clock := ages(t)
	u := Update{Parent: 1}
	for i := range 2*pruneRows + 1 {
		u.Rollouts = append(u.Rollouts, Rollout{ID: fmt.Sprint(i), Problem: "p", Version: 1})
	}
	id := must[int64](t)(s.Commit(context.Background(), u))
	clock.forward(20 * time.Hour)
	for range 2 {
		if p := must[Pruned](t)(s.Prune(context.Background())); p.History != pruneRows {
			t.Errorf("%d rows went; want %d", p.History, pruneRows)
		}
		s.wantUpdates(t, "half-way", id)
	}
	if n := pruneAll(t, s); n != 2 {
		t.Errorf("%d rows went; want the last rollout and the update", n)
	}
	s.wantUpdates(t, "at the end")
}

// Old events go, and those that are too many; those of a job that is not over stay.
func TestOldEventsGo(t *testing.T) {
	s, clock := ages(t)
	ctx := context.Background()
	log := func(subject string, n int) {
		t.Helper()
		for range n {
			if err := s.Log(ctx, Event{Subject: subject, Level: "info", Message: "m"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := func(when, subject string, want int) {
		t.Helper()
		if got := must[[]Event](t)(s.Events(ctx, subject, 0, 100)); len(got) != want {
			t.Errorf("%s: %d events of %s; want %d", when, len(got), subject, want)
		}
	}
	for id, state := range map[string]string{"on": "running", "over": "failed"} {
		if err := s.PutJob(ctx, Job{ID: id, Tenant: "a", State: state}); err != nil {
			t.Fatal(err)
		}
	}
	log("job:on", 1)
	log("job:over", 1)
	log("learning", 9)
	pruneAll(t, s)
	want("too many", "job:on", 1)
	want("too many", "job:over", 0)
	want("too many", "learning", 8)
	clock.forward(10 * time.Hour)
	log("learning", 1)
	pruneAll(t, s)
	want("too old", "job:on", 1)
	want("too old", "learning", 1)
}

// A store of before there was a limit gets what it lacks; limits that are none are refused.
func TestHistoryOfAnOlderFile(t *testing.T) {
	c := &clock{now: time.UnixMilli(1_700_000_000_000)}
	path := filepath.Join(t.TempDir(), "state.db")
	o := Options{Now: c.read, Retention: time.Hour}
	s := open(t, path, o)
	commit(t, s, Update{Parent: 1})
	if _, err := s.write.Exec("DROP TABLE pruned; DROP INDEX updates_created; DROP INDEX events_created; DROP INDEX rollouts_update; DROP INDEX consumed_update"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, o)
	c.forward(91 * 24 * time.Hour)
	pruneAll(t, s)
	s.wantUpdates(t, "after 91 days")
	if n, err := s.CountUpdates(context.Background(), ""); err != nil || n != 1 {
		t.Errorf("%d updates were made, %v; want 1", n, err)
	}
	for _, bad := range []Options{{HistoryRetention: -1}, {MaxHistoryRows: -1}} {
		if _, err := Open(filepath.Join(t.TempDir(), "state.db"), bad); err == nil || !strings.Contains(err.Error(), "want more than 0") {
			t.Errorf("%+v: %v; want a refusal", bad, err)
		}
	}
}
