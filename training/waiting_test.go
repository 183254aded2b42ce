package training

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"astro/feedback"
	"astro/openai"
	"astro/training/grpo"
)

// waits is a house whose candidates wait to be promoted.
func waits(t *testing.T) *house {
	h := build(t)
	h.close()
	h.manual = true
	h.open()
	return h
}

// wantLine wants what is served and what waits.
func (h *house) wantLine(when string, serving int64, waiting ...int64) {
	h.t.Helper()
	if s, line := h.policies.Serving(), h.policies.Candidates(); s != serving || !slices.Equal(line, waiting) {
		h.t.Errorf("%s version %d is served and %v wait; want %d and %v", when, s, line, serving, waiting)
	}
}

// parents of versions, as the store knows them.
func (h *house) parents(versions ...int64) (all []int64) {
	h.t.Helper()
	for _, v := range versions {
		p, err := h.policies.find(context.Background(), v)
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, p.Parent)
	}
	return all
}

// A candidate is not served before somebody promotes it, and learning goes on from it; it answers those who name it, and a canary.
// Promoting one that others were learned from leaves those waiting.
func TestCandidatesWait(t *testing.T) {
	h, ctx := waits(t), context.Background()
	l, err := NewLoop(lessons(), h.policies, h.device)
	if err != nil {
		t.Fatal(err)
	}
	made := func(want int64) {
		t.Helper()
		if err := l.Make(ctx, 1, func(v int64, _ Numbers) {
			if v != want {
				t.Errorf("version %d was made; want %d", v, want)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	for v := int64(2); v <= 4; v++ {
		made(v)
	}
	h.wantLine("after three updates", 1, 2, 3, 4)
	if got := h.parents(2, 3, 4); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("parents %v; want each the one before", got)
	}
	for version, want := range map[int64]int64{0: 1, 4: 4} {
		if c, err := h.ask(1, version, 7); err != nil || c.Version() != want {
			t.Errorf("a request for version %d: %v, %v; want version %d", version, c, err, want)
		}
	}
	if err := h.policies.Canary(ctx, 3, 50); err != nil {
		t.Error(err)
	}
	if _, err := h.ask(1, 3, 7); err != nil {
		t.Errorf("the canary: %v", err)
	}
	if err := h.policies.Promote(ctx, 3); err != nil {
		t.Fatal(err)
	}
	h.wantLine("after promoting 3", 3, 4)
	made(5)
	h.wantLine("after another update", 3, 4, 5)
	if got := h.parents(5); got[0] != 4 {
		t.Errorf("version 5 was learned from %d; want 4, the newest candidate", got[0])
	}
	if events, err := h.store.Events(ctx, "policy:5", 0, 9); err != nil || len(events) != 1 || !strings.Contains(events[0].Message, "waits to be promoted") {
		t.Errorf("events %+v, %v", events, err)
	}
}

// A promotion of what an update under way was learned from does not cost that update; a rollback does.
func TestPromotionWithinAnUpdate(t *testing.T) {
	h, ctx := waits(t), context.Background()
	h.learn(lessons(), 1)
	during := func(what func() error) (versions []int64) {
		c, once := lessons(), sync.Once{}
		grade := c.Grade
		c.Grade = func(ctx context.Context, p grpo.Problem, rollout []int32) (grpo.Grade, error) {
			if len(p.ID) > 1 { // of the exam: the candidate is proposed, and not stored yet
				once.Do(func() {
					if err := what(); err != nil {
						t.Error(err)
					}
				})
			}
			return grade(ctx, p, rollout)
		}
		c.EvalEvery = 1
		_, versions = h.learn(c, 1)
		return versions
	}
	if versions := during(func() error { return h.policies.Promote(ctx, 2) }); !slices.Equal(versions, []int64{3}) {
		t.Errorf("versions %v; want 3", versions)
	}
	h.wantLine("after the update", 2, 3)
	if versions := during(func() error { return h.policies.Rollback(ctx, 1, "worse") }); !slices.Equal(versions, []int64{0}) {
		t.Errorf("versions %v; want none", versions)
	}
	h.wantLine("after a rollback", 1)
}

// After a restart the promoted version is served, and learning goes on from the newest candidate whose checkpoint is whole.
func TestCandidatesAfterARestart(t *testing.T) {
	h, ctx := waits(t), context.Background()
	h.learn(lessons(), 4)
	if err := h.policies.Promote(ctx, 2); err != nil {
		t.Fatal(err)
	}
	want, err := h.ask(1, 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	h.restart()
	h.wantLine("after a restart", 2, 3, 4, 5)
	if got, err := h.ask(1, 0, 5); err != nil || !slices.Equal(got.Logprobs, want.Logprobs) {
		t.Errorf("after a restart: %v, %v; want %v", got, err, want)
	}
	h.close()
	damage(t, filepath.Join(h.dir, "policies", "v000000005", "model.safetensors"))
	h.open()
	h.wantLine("with 5 damaged", 2, 3, 4)
	if _, versions := h.learn(lessons(), 1); !slices.Equal(versions, []int64{6}) || h.parents(6)[0] != 4 {
		t.Errorf("learning went on with %v from %v; want 6 from 4", versions, h.parents(6))
	}
	h.manual = false
	h.restart()
	h.wantLine("without manual", 2)
	if _, versions := h.learn(lessons(), 1); !slices.Equal(versions, []int64{7}) || h.parents(7)[0] != 2 || h.policies.Serving() != 7 {
		t.Errorf("learning went on with %v from %v; want 7 from the served 2", versions, h.parents(7))
	}
	h.manual = true
	h.restart()
	h.wantLine("with manual again", 7)
}

// Who gives up what waits has learning begin from the served version again; what was given up is bad, also after a restart.
func TestCandidatesAreGivenUp(t *testing.T) {
	h, ctx := waits(t), context.Background()
	if err := h.policies.Rollback(ctx, 1, "nothing waits"); !errors.Is(err, ErrPolicyState) {
		t.Errorf("nothing to give up: %v; want ErrPolicyState", err)
	}
	h.learn(lessons(), 2)
	if err := h.policies.Canary(ctx, 3, 10); err != nil {
		t.Fatal(err)
	}
	if err := h.policies.Rollback(ctx, 1, "not good"); err != nil {
		t.Fatal(err)
	}
	h.wantLine("after giving up", 1)
	if v := h.policies.canary.Load(); v != nil {
		t.Errorf("%+v is still a canary", v)
	}
	for _, v := range []int64{2, 3} {
		if p, err := h.policies.find(ctx, v); err != nil || p.State != feedback.Bad || p.Reason != "not good" {
			t.Errorf("version %d: %+v, %v; want it bad", v, p, err)
		}
	}
	h.restart()
	h.wantLine("after a restart", 1)
	if _, versions := h.learn(lessons(), 1); !slices.Equal(versions, []int64{4}) || h.parents(4)[0] != 1 {
		t.Errorf("learning went on with %v from %v; want 4 from 1", versions, h.parents(4))
	}
}

// Candidates are bounded: on the device the oldest go first, on disk they go past the limit and wait no more; the way back stays.
func TestCandidatesAreBounded(t *testing.T) {
	h, ctx := waits(t), context.Background()
	h.learn(lessons(), 3)
	for _, v := range []int64{3, 4} {
		if err := h.policies.Promote(ctx, v); err != nil {
			t.Fatal(err)
		}
	}
	h.learn(lessons(), 10) // 5 to 14: two are loaded, five stored besides
	h.wantLine("after ten updates", 4, 8, 9, 10, 11, 12, 13, 14)
	h.wantLoaded("after ten updates", 4, 13, 14)
	if err := h.policies.Promote(ctx, 5); !errors.Is(err, ErrPolicyState) || !strings.Contains(err.Error(), "removed") {
		t.Errorf("promote a candidate that went: %v", err)
	}
	if _, err := h.ask(1, 9, 1); err == nil {
		t.Error("a candidate that is not on the device answers")
	}
	for _, v := range []int64{9, 11} { // from disk
		if err := h.policies.Promote(ctx, v); err != nil {
			t.Errorf("promote candidate %d: %v", v, err)
		}
	}
	h.wantLoaded("after two promotions", 9, 11, 14)
	if err := h.policies.Rollback(ctx, 3, "worse"); err != nil {
		t.Errorf("the way back: %v", err)
	}
	h.wantLine("after the rollback", 3)
	if _, err := OpenPolicies(ctx, PoliciesConfig{Manual: true, KeepLoaded: 1}, Start{}); err == nil || !strings.Contains(err.Error(), "at least 2") {
		t.Errorf("one loaded version: %v; want a refusal", err)
	}
}

// wantLoaded wants these versions on the device.
func (h *house) wantLoaded(when string, want ...int64) {
	h.t.Helper()
	all, _, _, _, err := h.policies.List(context.Background())
	var got []int64
	for _, p := range all {
		if p.Loaded {
			got = append(got, p.Version)
		}
	}
	if err != nil || !slices.Equal(got, want) {
		h.t.Errorf("%s %v are loaded, %v; want %v", when, got, err, want)
	}
}

// Where rated completions are all there is, learning waits as soon as those of the served version could only be dropped, says for what,
// and goes on after a promotion. None is lost meanwhile.
func TestFeedbackWaitsForAPromotion(t *testing.T) {
	h := waits(t)
	c := lessons()
	c.Problems, c.EvalProblems, c.Grade = nil, nil, nil
	c.Served = Served{Learn: true, AtLeast: 12, Completions: 12, MaxStaleness: 1}
	l, err := NewLoop(c, h.policies, h.device)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	for i := range 36 {
		h.rate(1+int32(i%numQuestions), uint64(100+i))
	}
	go func() { done <- l.Run(ctx) }()
	until := func(what string, is func(Status) bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !is(l.Status()); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("it does not come: %s; status %+v", what, l.Status())
			}
		}
	}
	until("the wait", func(s Status) bool { return s.State == "paused" && strings.Contains(s.Reason, "promote version 3") })
	h.wantLine("while learning waits", 1, 2, 3)
	if n, err := h.store.Counts(ctx); err != nil || n.Used != 24 || n.Waiting != 12 {
		t.Errorf("%+v, %v; want 12 left for later", n, err)
	}
	if err := h.policies.Promote(ctx, 3); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		h.rate(1+int32(i%numQuestions), uint64(500+i))
	}
	until("the next candidate", func(s Status) bool { return s.Step == 3 && s.State == "running" })
	cancel()
	<-done
	h.wantLine("after the promotion", 3, 4)
}

// What fine-tuning jobs make waits as well, and each job begins from what the one before it made.
func TestVersionsOfJobsWait(t *testing.T) {
	h := waits(t)
	j := h.jobs()
	var imitation []map[string]string
	for q := 1; q <= numQuestions; q++ {
		imitation = append(imitation, map[string]string{"prompt": fmt.Sprint(q), "completion": "right"})
	}
	before := h.passRate(60)
	h.submit(j, "ftjob-1", openai.TuneReinforcement, reinforcement(), nil)
	h.submit(j, "ftjob-2", openai.TuneSupervised, imitation, nil)
	h.submit(j, "ftjob-3", openai.TuneSupervised, imitation, nil)
	firstLoss := 0.0
	for i, id := range []string{"ftjob-1", "ftjob-2", "ftjob-3"} {
		h.until(j, id, openai.TuneState.Final)
		state, job := h.state(id)
		line := h.policies.Candidates()
		if state != openai.TuneSucceeded || len(line) <= i || *job.FineTunedModel != fmt.Sprintf("m@v%d", line[len(line)-1]) {
			t.Fatalf("%s is %s, its model %v; %v wait; want it done, and its model the newest of those", id, state, job.FineTunedModel, line)
		}
		events, err := h.store.Events(context.Background(), "job:"+id, 0, 1000)
		waits := false
		for _, e := range events {
			waits = waits || strings.Contains(e.Message, "waits to be promoted")
			if rest, ok := strings.CutPrefix(e.Message, "Step 1/150: training loss="); ok {
				firstLoss, err = strconv.ParseFloat(rest, 64)
			}
		}
		if err != nil || !waits {
			t.Errorf("%s: one of %d events says that its version waits: %v; %v", id, len(events), waits, err)
		}
	}
	if firstLoss > .1 {
		t.Errorf("the third job began with a loss of %g; want that of the second one's end", firstLoss)
	}
	line := h.policies.Candidates()
	last := len(line) - 1
	if after := h.passRate(60); h.policies.Serving() != 1 || after != before || h.parents(line[last])[0] != line[last-1] {
		t.Errorf("version %d is served with a pass rate of %.2f, %.2f before; %v wait", h.policies.Serving(), after, before, line)
	}
}
