package training

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"astro/feedback"
	"astro/training/grpo"
)

// The loop learns the bandit while requests are answered: none fails, versions only grow, engine and trainer agree on what a token's
// probability was, and all of it is still there after a restart.
func TestLoopLearnsBesideRequests(t *testing.T) {
	h := build(t)
	before := h.passRate(60)
	var failed atomic.Pointer[error]
	var asked atomic.Int64
	stop := make(chan struct{})
	var client sync.WaitGroup
	client.Go(func() {
		for i := uint64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := h.ask(1+int32(i%numQuestions), 0, i); err != nil {
				failed.Store(&err)
				return
			}
			asked.Add(1)
		}
	})
	all, versions := h.learn(lessons(), 40)
	close(stop)
	client.Wait()
	if err := failed.Load(); err != nil {
		t.Errorf("after %d requests: %v", asked.Load(), *err)
	}
	after := h.passRate(60)
	t.Logf("pass rate %.2f -> %.2f while %d requests were answered", before, after, asked.Load())
	if before > .4 || after < .8 {
		t.Errorf("the pass rate went from %.2f to %.2f; want below .4 to above .8", before, after)
	}
	for i, n := range all {
		if n.Gap > 1e-4 || n.MeanGap > 1e-6 {
			t.Errorf("update %d: engine and trainer differ by %g, in the mean %g; want at most 1e-4 and 1e-6", i, n.Gap, n.MeanGap)
		}
	}
	if !slices.IsSorted(versions) || versions[len(versions)-1] < 20 {
		t.Errorf("versions %v", versions)
	}
	served := h.policies.Serving()
	want, err := h.ask(1, 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	h.restart()
	if got, err := h.ask(1, 0, 5); err != nil || h.policies.Serving() != served || !slices.Equal(got.Output, want.Output) || !slices.Equal(got.Logprobs, want.Logprobs) {
		t.Errorf("after a restart version %d answers %v (%v); want version %d and %v", h.policies.Serving(), got, err, served, want)
	}
}

// The loop learns from rated completions alone; each enters one update.
func TestLoopLearnsFromFeedback(t *testing.T) {
	h := build(t)
	c := lessons()
	c.Problems, c.EvalProblems, c.Grade = nil, nil, nil
	c.Served = Served{Learn: true, AtLeast: 30, Completions: 60}
	l, err := NewLoop(c, h.policies, h.device)
	if err != nil {
		t.Fatal(err)
	}
	before := h.passRate(60)
	seed, ctx := uint64(1000), context.Background()
	for range 25 {
		for range 60 {
			h.rate(1+int32(seed%numQuestions), seed)
			seed++
		}
		if err := l.Make(ctx, 1, func(int64, Numbers) {}); err != nil {
			t.Fatal(err)
		}
	}
	after := h.passRate(60)
	t.Logf("pass rate %.2f -> %.2f", before, after)
	if after < before+.3 {
		t.Errorf("the pass rate went from %.2f to %.2f; want .3 more", before, after)
	}
	n, err := h.store.Counts(ctx)
	if err != nil || n.Used != 25*60 || n.Waiting != 0 {
		t.Errorf("%+v, %v; want %d used, none waiting", n, err, 25*60)
	}
	if err := l.update(ctx); !errors.Is(err, errNothing) {
		t.Errorf("an update without feedback: %v; want errNothing", err)
	}
}

// rate serves an answer and says how good it was.
func (h *house) rate(question int32, seed uint64) {
	h.rateAs(question, seed, feedback.Rater{Key: "k", Name: "r"})
}

// rateAs serves an answer, and raters say how good it was.
func (h *house) rateAs(question int32, seed uint64, raters ...feedback.Rater) {
	h.t.Helper()
	c, err := h.ask(question, 0, seed)
	if err == nil {
		err = h.store.Add(context.Background(), c)
	}
	if err == nil {
		reward := 2*one(c.Output[len(c.Output)-1] == right(c.Prompt)) - 1
		for _, r := range raters {
			_, _, failed := h.store.Rate(context.Background(), feedback.Feedback{Completion: c.ID, Tenant: "t", Key: r.Key, Rater: r.Name, Source: feedback.App, Reward: reward}, false)
			err = errors.Join(err, failed)
		}
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// What is too old when its turn comes is dropped and counted, once.
func TestStaleFeedbackIsDropped(t *testing.T) {
	h := build(t)
	h.rate(1, 1)
	c := lessons()
	h.learn(c, 4)
	c.Served = Served{Learn: true, MaxStaleness: 2}
	all, _ := h.learn(c, 2)
	if all[0].Dropped != 1 || all[0].Served != 0 || all[1].Dropped != 0 {
		t.Errorf("dropped %d then %d, learned from %d; want 1, 0 and 0", all[0].Dropped, all[1].Dropped, all[0].Served)
	}
}

// Somebody rolls back: the engine serves the old weights, what was bad is not served by itself again, and learning goes on from there.
func TestRollbackAndPromote(t *testing.T) {
	h := build(t)
	ctx := context.Background()
	first, err := h.ask(2, 0, 9)
	if err != nil {
		t.Fatal(err)
	}
	h.learn(lessons(), 3)
	if err := h.policies.Rollback(ctx, 1, "worse"); err != nil {
		t.Fatal(err)
	}
	if got, err := h.ask(2, 0, 9); err != nil || got.Version() != 1 || !slices.Equal(got.Logprobs, first.Logprobs) {
		t.Errorf("after the rollback: %+v, %v; want what version 1 said before: %v", got, err, first.Logprobs)
	}
	if _, err := h.ask(2, 4, 9); err != nil {
		t.Errorf("version 4 by name: %v", err)
	}
	h.restart()
	if v := h.policies.Serving(); v != 1 {
		t.Errorf("version %d is served after a restart; want 1", v)
	}
	_, versions := h.learn(lessons(), 1)
	if !slices.Equal(versions, []int64{5}) {
		t.Errorf("learning went on with versions %v; want 5", versions)
	}
	all, _, err := h.store.Policies(ctx)
	if err != nil || all[len(all)-1].Parent != 1 || all[3].State != feedback.Bad {
		t.Errorf("policies %+v, %v; want 5 to come from 1, and 4 to be bad", all, err)
	}
	if err := h.policies.Promote(ctx, 3); err != nil || h.policies.Serving() != 3 {
		t.Errorf("promote 3: %v", err)
	}
	for version, want := range map[int64]error{3: ErrPolicyState, 99: ErrNoPolicy} {
		if err := h.policies.Promote(ctx, version); !errors.Is(err, want) {
			t.Errorf("promote %d: %v; want %v", version, err, want)
		}
	}
}

// A canary gets its percent of the requests that name no version, exactly.
func TestCanary(t *testing.T) {
	h := build(t)
	h.learn(lessons(), 1)
	if err := h.policies.Canary(context.Background(), 1, 20); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range 500 {
		if h.policies.Assign() == 1 {
			n++
		}
	}
	if n != 100 {
		t.Errorf("the canary got %d of 500; want 100", n)
	}
	if err := h.policies.Canary(context.Background(), 1, 0); err != nil || h.policies.Assign() != 0 {
		t.Error("the canary did not end")
	}
}

// A damaged checkpoint is passed over with a clear message; so is one that is not the published one.
func TestDamagedCheckpointIsPassedOver(t *testing.T) {
	h := build(t)
	h.learn(lessons(), 3)
	h.close()
	damage(t, filepath.Join(h.dir, "policies", "v000000004", "model.safetensors"))
	h.open()
	if v := h.policies.Serving(); v != 3 {
		t.Errorf("version %d is served; want 3, the one before the damaged 4", v)
	}
	if _, err := h.ask(1, 0, 1); err != nil {
		t.Error(err)
	}
	if err := h.policies.Promote(context.Background(), 4); !errors.Is(err, ErrPolicyState) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("promote the damaged one: %v", err)
	}
}

func damage(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A folder that no policy has is of an update that never came to be.
func TestOrphansAreRemoved(t *testing.T) {
	h := build(t)
	orphan := filepath.Join(h.dir, "policies", "v000000002")
	if err := os.MkdirAll(orphan, 0o755); err != nil {
		t.Fatal(err)
	}
	h.restart()
	if _, err := os.Stat(orphan); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the orphan is there: %v", err)
	}
	if _, versions := h.learn(lessons(), 1); !slices.Equal(versions, []int64{2}) {
		t.Errorf("versions %v; want 2", versions)
	}
}

// Graders that fail, hang or give no number: the update is made of what is left, everything is counted, and nothing is published of
// nothing.
func TestPoisonedGraders(t *testing.T) {
	for name, grade := range map[string]grpo.Grader{
		"errors": func(context.Context, grpo.Problem, []int32) (grpo.Grade, error) {
			return grpo.Grade{}, errors.New("the service is away")
		},
		"panics": func(context.Context, grpo.Problem, []int32) (grpo.Grade, error) { panic("ouch") },
		"NaN": func(context.Context, grpo.Problem, []int32) (grpo.Grade, error) {
			zero := 0.0
			return grpo.Grade{Reward: zero / zero}, nil
		},
		"hangs": func(ctx context.Context, _ grpo.Problem, _ []int32) (grpo.Grade, error) {
			<-ctx.Done()
			return grpo.Grade{}, ctx.Err()
		},
		"always right": func(context.Context, grpo.Problem, []int32) (grpo.Grade, error) {
			return grpo.Grade{Reward: 1, Correct: true}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t)
			c := lessons()
			c.Grade, c.EvalProblems, c.Learn.GradeTimeout, c.Learn.Prompts, c.Learn.Group = grade, nil, 20*time.Millisecond, 2, 4
			l, err := NewLoop(c, h.policies, h.device)
			if err != nil {
				t.Fatal(err)
			}
			err = l.update(context.Background())
			if broken := err != nil && strings.Contains(err.Error(), "no rollout was judged"); broken != (name != "always right") || !broken && err != nil {
				t.Errorf("the update ended with %v", err)
			}
			if v := h.policies.Serving(); v != 1 {
				t.Errorf("version %d was published of nothing", v)
			}
			if _, err := h.ask(1, 0, 1); err != nil {
				t.Errorf("serving: %v", err)
			}
		})
	}
}

// A candidate that is worse is rejected: the served one stays, the store says why, and the next update begins from the served weights.
func TestWorseCandidateIsRejected(t *testing.T) {
	h := build(t)
	h.learn(lessons(), 40)
	good := h.policies.Serving()
	c := lessons()
	c.EvalEvery = 1
	c.Learn.Optimizer.PeakLR, c.Learn.Limits.KL, c.Learn.Limits.Ratio = .5, 1e3, 1e9
	c.Learn.Optimizer.ClipNorm = 0
	all, versions := h.learn(c, 1)
	if versions[0] != 0 || h.policies.Serving() != good || all[0].Eval == nil {
		t.Fatalf("published %v, served %d, evaluated %+v; want a rejection, %d and an evaluation", versions, h.policies.Serving(), all[0].Eval, good)
	}
	updates, err := h.store.Updates(context.Background(), 0, 500)
	last := updates[len(updates)-1]
	if err != nil || last.Applied || !strings.Contains(last.Reason, "pass rate") {
		t.Errorf("the store says %+v, %v", last, err)
	}
	if after := h.passRate(60); after < .8 {
		t.Errorf("the served pass rate is %.2f after the rejection", after)
	}
	if _, versions = h.learn(lessons(), 1); versions[0] <= good+1 {
		t.Errorf("the next version is %d; want one above that of the rejected candidate", versions[0])
	}
}

// An update that moved too far is refused even where its first part was made: what is served stays.
func TestExplodingUpdateIsRefused(t *testing.T) {
	h := build(t)
	c := lessons()
	c.Learn.Limits.Ratio, c.Learn.Mini = 1.0000001, 2
	_, versions := h.learn(c, 1)
	if versions[0] != 0 || h.policies.Serving() != 1 {
		t.Errorf("published %v, served %d; want nothing new", versions, h.policies.Serving())
	}
	updates, err := h.store.Updates(context.Background(), 0, 10)
	if err != nil || len(updates) != 1 || updates[0].Applied || !strings.Contains(updates[0].Reason, "ratio") {
		t.Errorf("the store says %+v, %v; want the reason", updates, err)
	}
	if _, versions := h.learn(lessons(), 1); !slices.Equal(versions, []int64{2}) {
		t.Errorf("the next update gave %v; want version 2", versions)
	}
}

// Paused is paused; a step that is asked for is made all the same.
func TestPauseAndStep(t *testing.T) {
	h := build(t)
	l, err := NewLoop(lessons(), h.policies, h.device)
	if err != nil {
		t.Fatal(err)
	}
	l.Pause("by a test")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	l.Step()
	for h.policies.Serving() != 2 {
		time.Sleep(time.Millisecond)
	}
	if s := l.Status(); s.State != "paused" || s.Reason != "" && s.Reason != "by a test" {
		t.Errorf("status %+v", s)
	}
	l.Resume()
	for h.policies.Serving() < 4 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the loop ended with %v", err)
	}
	if s := l.Status(); s.State != "stopped" || s.Step < 3 {
		t.Errorf("status %+v", s)
	}
}

// Where more is rated than can be learned from, what became too old does not keep the place of what is fresh.
func TestFreshFeedbackIsNotCrowdedOut(t *testing.T) {
	h := build(t)
	const old = 2*lookAhead*5 + 3 // several pages
	for i := range old {
		h.rate(1+int32(i%numQuestions), uint64(i))
	}
	h.learn(lessons(), 4)
	for i := range 12 {
		h.rate(1+int32(i%numQuestions), uint64(1000+i))
	}
	c := lessons()
	c.Served = Served{Learn: true, MaxStaleness: 2, Completions: 5}
	all, _ := h.learn(c, 2)
	if all[0].Dropped != old || all[0].Served != 5 || all[1].Served != 5 {
		t.Errorf("dropped %d, learned from %d, then from %d; want the %d old ones dropped, and 5 and 5 learned from", all[0].Dropped, all[0].Served, all[1].Served, old)
	}
}
