package feedback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t *testing.T, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func scratch(t *testing.T) (*Store, *clock) {
	c := &clock{now: time.UnixMilli(1_700_000_000_000)}
	return open(t, filepath.Join(t.TempDir(), "state.db"), Options{Now: c.read, Retention: time.Hour, KeepText: true}), c
}

// served is a completion of tenant "a".
func served(id string) *Completion {
	text := "three"
	return &Completion{ID: id, Tenant: "a", Key: "k1", Model: "m", State: Complete, Finish: "stop", Prompt: []int32{1, 2}, Output: []int32{3, 70000, 5}, Logprobs: []float32{-1, -0.5, 0},
		Spans: []Span{{Version: 1, Start: 0, End: 2}, {Version: 2, Start: 2, End: 3}}, OutputText: &text, Metadata: []byte(`{"answer":"3"}`)}
}

func vote(id string, reward float64) Feedback {
	return Feedback{Completion: id, Tenant: "a", Key: "k1", Rater: "ann", Source: App, Reward: reward}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func add(t *testing.T, s *Store, c ...*Completion) {
	t.Helper()
	if err := s.Add(context.Background(), c...); err != nil {
		t.Fatal(err)
	}
}

// A completion comes back as it was stored, also after the file was closed and opened; storing it again changes nothing.
func TestCompletionComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path, Options{KeepText: true})
	c := served("c1")
	c.Sampled = []float32{-2, -3, -4}
	add(t, s, c)
	other := *c
	other.Finish = "length"
	add(t, s, &other)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	choices, _, err := s.Completion(context.Background(), "a", "c1")
	if err != nil || len(choices) != 1 {
		t.Fatal(choices, err)
	}
	got := *choices[0]
	got.Seq, got.Created, got.Expires, got.Params = 0, c.Created, c.Expires, nil
	if !reflect.DeepEqual(&got, c) {
		t.Errorf("got  %+v\nwant %+v", &got, c)
	}
	if _, _, err := s.Completion(context.Background(), "b", "c1"); !errors.Is(err, ErrUnknown) {
		t.Errorf("another tenant got %v; want ErrUnknown", err)
	}
}

// Texts are stored only where the operator allows it.
func TestTextIsKeptOnlyIfAllowed(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"), Options{})
	add(t, s, served("c1"))
	choices, _, err := s.Completion(context.Background(), "a", "c1")
	if err != nil || choices[0].OutputText != nil {
		t.Errorf("%v, %v: want no text", choices[0].OutputText, err)
	}
}

// One vote per rater: the same again is a duplicate, another one a conflict, unless it supersedes one that nothing was learned from.
func TestOneVotePerRater(t *testing.T) {
	s, _ := scratch(t)
	ctx := context.Background()
	add(t, s, served("c1"))
	first, duplicate, err := s.Rate(ctx, vote("c1", 1), false)
	if err != nil || duplicate || first.ID == "" {
		t.Fatal(first, duplicate, err)
	}
	again, duplicate, err := s.Rate(ctx, vote("c1", 1), false)
	if err != nil || !duplicate || again.ID != first.ID {
		t.Errorf("the same again: %+v, %v, %v; want a duplicate of %s", again, duplicate, err, first.ID)
	}
	if _, _, err := s.Rate(ctx, vote("c1", -1), false); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), first.ID) {
		t.Errorf("another vote: %v; want a conflict that names %s", err, first.ID)
	}
	other := vote("c1", -1)
	other.Rater = "bob"
	if _, duplicate, err := s.Rate(ctx, other, false); err != nil || duplicate {
		t.Errorf("another rater: %v, %v", duplicate, err)
	}
	if _, _, err := s.Rate(ctx, vote("c1", -.5), true); err != nil {
		t.Errorf("a changed vote: %v", err)
	}
	rated := must[[]Rated](t)(s.Waiting(ctx, 10, time.UnixMilli(1<<60)))
	if len(rated) != 1 || rated[0].Reward != -.75 || rated[0].Votes != 2 || len(rated[0].Raters) != 2 {
		t.Fatalf("rated %+v; want the mean of -0.5 and -1", rated)
	}
	must[int64](t)(s.Commit(ctx, Update{Parent: 1, Applied: true, Used: []Used{{Completion: "c1", Weight: 1}}}))
	if _, _, err := s.Rate(ctx, vote("c1", 1), true); !errors.Is(err, ErrConflict) {
		t.Errorf("a vote that was learned from: %v; want a conflict", err)
	}
}

// The answers to feedback that cannot be taken.
func TestFeedbackThatIsRefused(t *testing.T) {
	s, clock := scratch(t)
	ctx := context.Background()
	aborted := served("gone")
	aborted.State = Aborted
	add(t, s, served("c1"), aborted)
	foreign := vote("c1", 1)
	foreign.Tenant = "b"
	for _, test := range []struct {
		vote Feedback
		want error
	}{{vote("nope", 1), ErrUnknown}, {foreign, ErrUnknown}, {vote("gone", 1), ErrAborted}} {
		if _, _, err := s.Rate(ctx, test.vote, false); !errors.Is(err, test.want) {
			t.Errorf("%+v: %v; want %v", test.vote, err, test.want)
		}
	}
	if _, _, err := s.Rate(ctx, vote("c1", 1.5), false); err == nil {
		t.Error("a reward of 1.5 was taken")
	}
	clock.forward(2 * time.Hour)
	if _, _, err := s.Rate(ctx, vote("c1", 1), false); !errors.Is(err, ErrExpired) {
		t.Errorf("late feedback: %v; want ErrExpired", err)
	}
}

// An idempotency key names one feedback of its API key.
func TestIdempotencyKey(t *testing.T) {
	s, _ := scratch(t)
	ctx := context.Background()
	add(t, s, served("c1"), served("c2"))
	v := vote("c1", 1)
	v.Idempotency = "i"
	first, _, err := s.Rate(ctx, v, false)
	if err != nil {
		t.Fatal(err)
	}
	if again, duplicate, err := s.Rate(ctx, v, false); err != nil || !duplicate || again.ID != first.ID {
		t.Errorf("%+v, %v, %v; want a duplicate", again, duplicate, err)
	}
	v.Completion = "c2"
	if _, _, err := s.Rate(ctx, v, false); !errors.Is(err, ErrConflict) {
		t.Errorf("the same key for another completion: %v; want a conflict", err)
	}
}

// What a verifier of the server says counts alone.
func TestVerifierGoesFirst(t *testing.T) {
	s, _ := scratch(t)
	ctx := context.Background()
	add(t, s, served("c1"))
	verdict := vote("c1", -1)
	verdict.Source, verdict.Rater = Verifier, "grader"
	for _, v := range []Feedback{vote("c1", 1), verdict} {
		if _, _, err := s.Rate(ctx, v, false); err != nil {
			t.Fatal(err)
		}
	}
	if rated := must[[]Rated](t)(s.Waiting(ctx, 10, time.UnixMilli(1<<60))); len(rated) != 1 || rated[0].Reward != -1 || len(rated[0].Raters) != 1 || rated[0].Raters[0].Name != "grader" {
		t.Errorf("rated %+v; want -1 of the grader alone", rated)
	}
}

// A group commit with one operation that fails stores all others, in one transaction or few.
func TestBadOperationsFailAlone(t *testing.T) {
	s, _ := scratch(t)
	ctx := context.Background()
	add(t, s, served("c1"))
	var wait sync.WaitGroup
	errs := make([]error, 200)
	for i := range errs {
		wait.Go(func() {
			v := vote("c1", 1)
			if v.Rater = fmt.Sprint("rater", i); i%10 == 0 {
				v.Completion = "nope"
			}
			_, _, errs[i] = s.Rate(ctx, v, false)
		})
	}
	wait.Wait()
	for i, err := range errs {
		if bad := i%10 == 0; bad != errors.Is(err, ErrUnknown) || !bad && err != nil {
			t.Errorf("rater %d: %v", i, err)
		}
	}
	if n := must[Counts](t)(s.Counts(ctx)); n.Feedback != 180 {
		t.Errorf("%d are stored; want 180", n.Feedback)
	}
	if n := s.Stats(); n.Operations != 201 || n.Commits > 201 {
		t.Errorf("%+v; want 201 operations", n)
	}
}

// A completion enters one update; an update that would learn from it again is stored not at all.
func TestNothingCountsTwice(t *testing.T) {
	s, _ := scratch(t)
	ctx := context.Background()
	add(t, s, served("c1"), served("c2"))
	for _, id := range []string{"c1", "c2"} {
		if _, _, err := s.Rate(ctx, vote(id, 1), false); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddPolicy(ctx, Policy{Version: 1, State: Published, Path: "p1", ManifestSHA256: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	next := &Policy{Version: 2, Parent: 1, State: Published, Path: "p2", ManifestSHA256: []byte{2}}
	must[int64](t)(s.Commit(ctx, Update{Parent: 1, Applied: true, Policy: next, Serve: true, Used: []Used{{"c1", 0, 1}},
		Rollouts: []Rollout{{ID: "r1", Problem: "p", Version: 1, Prompt: []int32{1}, Output: []int32{2}, Logprobs: []float32{-1}, Reward: 1}}}))
	third := &Policy{Version: 3, Parent: 2, State: Published, Path: "p3", ManifestSHA256: []byte{3}}
	if _, err := s.Commit(ctx, Update{Parent: 2, Applied: true, Policy: third, Serve: true, Used: []Used{{"c2", 0, 1}, {"c1", 0, 1}}}); !errors.Is(err, ErrConflict) {
		t.Errorf("learning from c1 again: %v; want a conflict", err)
	}
	all, serving, err := s.Policies(ctx)
	if err != nil || len(all) != 2 || serving != 2 {
		t.Errorf("%d policies, %d is served, %v; want 2 and 2", len(all), serving, err)
	}
	if rated := must[[]Rated](t)(s.Waiting(ctx, 10, time.UnixMilli(1<<60))); len(rated) != 1 || rated[0].ID != "c2" {
		t.Errorf("waiting %+v; want c2 alone", rated)
	}
	if err := s.Serve(ctx, Turn{Version: 1, Replaced: 2, State: Bad, Reason: "it was worse"}); err != nil {
		t.Fatal(err)
	}
	if all, serving, err = s.Policies(ctx); err != nil || serving != 1 || all[1].State != Bad || all[1].Reason != "it was worse" {
		t.Errorf("after a rollback: %+v, %d, %v", all, serving, err)
	}
}

// An export goes into an empty store and comes out the same; importing it twice changes nothing.
func TestExportAndImport(t *testing.T) {
	s, _ := scratch(t)
	ctx := context.Background()
	add(t, s, served("c1"), served("c2"))
	for _, v := range []Feedback{vote("c1", 1), vote("c2", .25)} {
		if _, _, err := s.Rate(ctx, v, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutTree(ctx, Tree{ID: "3 7 -> 10", Version: 4, Tree: []byte(`{"format":1,"problem":"<3> & 7","q":0.1}`)}); err != nil {
		t.Fatal(err)
	}
	var first, second, rest bytes.Buffer
	if err := errors.Join(s.Export(ctx, &first, 0), s.Export(ctx, &rest, 1)); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(rest.String(), "\n"); n != 2 || strings.Contains(rest.String(), `"tree"`) {
		t.Errorf("what came after the first completion is\n%swant a completion and a vote, no trees", rest.String())
	}
	other, _ := scratch(t)
	for range 2 {
		if n, err := other.Import(ctx, bytes.NewReader(first.Bytes())); err != nil || n != (Imported{2, 2, 1}) {
			t.Fatal(n, err)
		}
	}
	if err := other.Export(ctx, &second, 0); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("exported\n%swant\n%s", second.String(), first.String())
	}
	for _, bad := range []string{`{"type":"tree","id":"x"}`, `{"type":"tree","id":"","tree":{}}`, `{"type":"tree","id":"x","tree":{},"seq":1}`, `{"type":"trees"}`} {
		if _, err := other.Import(ctx, strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "import line 1") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	if _, err := other.Import(ctx, strings.NewReader("{\"type\":\"completion\",\"id\":\"x\"}\n")); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a bad line: %v", err)
	}
}

// A tree is stored once; another one of its id is refused, and what is there stays.
func TestTreesAreStoredOnce(t *testing.T) {
	s, c := scratch(t)
	ctx := context.Background()
	first := Tree{ID: "p", Version: 2, Tree: []byte(`{"nodes":[1]}`)}
	for range 2 {
		if err := s.PutTree(ctx, first); err != nil {
			t.Fatal(err)
		}
		c.forward(time.Minute)
	}
	for _, other := range []Tree{{ID: "p", Version: 2, Tree: []byte(`{}`)}, {ID: "p", Version: 3, Tree: first.Tree}} {
		if err := s.PutTree(ctx, other); !errors.Is(err, ErrConflict) {
			t.Errorf("%+v: got %v; want ErrConflict", other, err)
		}
	}
	for _, bad := range []Tree{{Tree: first.Tree}, {ID: "x", Tree: []byte("{")}, {ID: strings.Repeat("x", maxTreeIDBytes+1), Tree: first.Tree}, {ID: "x"}} {
		if err := s.PutTree(ctx, bad); err == nil {
			t.Errorf("the tree %.20q was stored", bad.ID)
		}
	}
	all, err := s.Trees(ctx, 10)
	if err != nil || len(all) != 1 || all[0].Version != 2 || string(all[0].Tree) != string(first.Tree) {
		t.Errorf("got %+v, %v; want the first alone", all, err)
	}
	if _, err := s.Tree(ctx, "x"); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v; want ErrUnknown", err)
	}
}

// What is older than the retention is erased, then forgotten.
func TestRetention(t *testing.T) {
	s, clock := scratch(t)
	ctx := context.Background()
	add(t, s, served("c1"))
	if _, _, err := s.Rate(ctx, vote("c1", 1), false); err != nil {
		t.Fatal(err)
	}
	clock.forward(90 * time.Minute)
	if p := must[Pruned](t)(s.Prune(ctx)); p != (Pruned{Expired: 1}) {
		t.Errorf("pruned %+v; want one expired", p)
	}
	choices, _, err := s.Completion(ctx, "a", "c1")
	if err != nil || len(choices[0].Output) != 0 || choices[0].OutputText != nil {
		t.Errorf("after expiry: %+v, %v; want no tokens", choices, err)
	}
	clock.forward(2 * time.Hour)
	if p := must[Pruned](t)(s.Prune(ctx)); p != (Pruned{Removed: 1}) {
		t.Errorf("pruned %+v; want one removed", p)
	}
	if n := must[Counts](t)(s.Counts(ctx)); n.Completions+n.Feedback != 0 {
		t.Errorf("%+v are left", n)
	}
}

// A file that grew to twice its limit takes nothing more until its oldest completions went; then it goes on.
func TestSizeLimit(t *testing.T) {
	c := &clock{now: time.UnixMilli(1_700_000_000_000)}
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path, Options{Now: c.read, MaxBytes: 1 << 20})
	ctx := context.Background()
	big := func(i int) *Completion {
		big := served(fmt.Sprint("c", i))
		big.Prompt = make([]int32, 10000)
		return big
	}
	stored := 0
	var err error
	for ; err == nil && stored < 60; stored++ {
		err = s.Add(ctx, big(stored))
	}
	if !errors.Is(err, ErrUnavailable) || s.Stats().Broken {
		t.Fatalf("after %d completions: %v, %+v; want ErrUnavailable", stored, err, s.Stats())
	}
	evicted := 0
	for {
		p := must[Pruned](t)(s.Prune(ctx))
		if evicted += p.Evicted; !p.Any() {
			break
		}
	}
	add(t, s, big(100))
	if n := must[Counts](t)(s.Counts(ctx)); evicted == 0 || n.Completions+evicted != stored {
		t.Errorf("%d evicted, %d left of %d", evicted, n.Completions, stored)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 1<<20+200<<10 {
		t.Errorf("the file has %d bytes, %v; want the pages that are free given back", info.Size(), err)
	}
}

// Sessions: one to a key, a bound on how many, those that were abandoned end by themselves.
func TestSessions(t *testing.T) {
	s, clock := scratch(t)
	ctx := context.Background()
	start := func(id, secret string) error {
		return s.StartSession(ctx, RLSession{ID: id, Task: "t", Tenant: "a", Expires: clock.read().Add(time.Hour)}, secret, 2)
	}
	if err := errors.Join(start("s1", "k1"), start("s2", "k2")); err != nil {
		t.Fatal(err)
	}
	if err := start("s3", "k1"); !errors.Is(err, ErrConflict) {
		t.Errorf("a bound key: %v", err)
	}
	if err := start("s3", "k3"); !errors.Is(err, ErrTooMany) {
		t.Errorf("a third session: %v", err)
	}
	if err := s.EndSession(ctx, "s1"); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSession(ctx, "s1"); !errors.Is(err, ErrUnknown) {
		t.Errorf("ended twice: %v", err)
	}
	if err := start("s3", "k1"); err != nil {
		t.Errorf("after the end of s1: %v", err)
	}
	clock.forward(2 * time.Hour)
	if err := errors.Join(start("s4", "k4"), start("s5", "k5")); err != nil {
		t.Errorf("after abandoned ones expired: %v", err)
	}
	c := served("c1")
	c.Session = "s4"
	add(t, s, c)
	if id, choice, err := s.LastInSession(ctx, "s4"); id != "c1" || choice != 0 || err != nil {
		t.Errorf("last of s4: %q, %d, %v", id, choice, err)
	}
}
