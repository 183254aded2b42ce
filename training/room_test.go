package training

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"astro/feedback"
	"astro/openai"
)

// Learning leaves a twentieth of the disk, at most 1 GiB, and has room for two checkpoints.
func TestRoomWanted(t *testing.T) {
	for _, c := range []struct{ total, checkpoint, want uint64 }{
		{100 << 20, 1 << 20, 5 << 20}, {100 << 20, 10 << 20, 20 << 20}, {10 << 40, 1 << 20, 1 << 30}, {10 << 40, 12 << 30, 24 << 30},
	} {
		if got := roomWanted(c.total, c.checkpoint); got != c.want {
			t.Errorf("a disk of %d bytes, checkpoints of %d: got %d; want %d", c.total, c.checkpoint, got, c.want)
		}
	}
}

// What is the disk's fault is told from what is not, however deep it is wrapped.
func TestFaultsOfTheDisk(t *testing.T) {
	for err, want := range map[error]bool{
		&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}: true, &fs.PathError{Op: "mkdir", Path: "x", Err: syscall.EROFS}: true,
		fmt.Errorf("commit: %w", feedback.ErrUnavailable): true, errors.Join(errors.New("first"), &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}): true,
		feedback.ErrBroken: false, errNothing: false, errOvertaken: false, os.ErrNotExist: false,
	} {
		if got := ofTheDisk(err); got != want {
			t.Errorf("%v: got %t; want %t", err, got, want)
		}
	}
}

// A disk that is gone is waited for, with a reason, and not counted as a reason to pause for good.
func TestLoopWaitsForTheDisk(t *testing.T) {
	h := build(t)
	l, err := NewLoop(lessons(), h.policies, h.device)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(h.dir, "policies")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	for s := l.Status(); s.State != "paused" || !strings.Contains(s.Reason, "disk"); s = l.Status() {
		time.Sleep(time.Millisecond)
	}
	if _, err := h.ask(1, 0, 1); err != nil {
		t.Error(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for h.policies.Serving() < 2 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	if s := l.Status(); s.Reason != "" || s.Counters.Failed != 1 {
		t.Errorf("status %+v; want no reason, and one failure for all the time without a disk", s)
	}
}

// A supervised job whose process died between its policy and its last word says it after the restart, and publishes nothing twice; the
// work of jobs that are done is removed.
func TestSupervisedJobPublishesOnce(t *testing.T) {
	h := build(t)
	j := h.jobs()
	lines := []map[string]string{{"prompt": "1", "completion": "x"}, {"prompt": "2", "completion": "x"}}
	h.submit(j, "ftjob-once", openai.TuneSupervised, lines, nil)
	h.until(j, "ftjob-once", openai.TuneState.Final)
	_, before := h.state("ftjob-once")
	served := h.policies.Serving()
	ctx := context.Background()
	row, err := h.store.Job(ctx, "t", "ftjob-once")
	if err != nil {
		t.Fatal(err)
	}
	row.State = string(openai.TuneRunning)
	if err := errors.Join(h.store.PutJob(ctx, row), os.MkdirAll(filepath.Join(h.dir, "jobs", "ftjob-gone"), 0o700)); err != nil {
		t.Fatal(err)
	}
	h.restart()
	j = h.jobs()
	h.until(j, "ftjob-once", openai.TuneState.Final)
	state, after := h.state("ftjob-once")
	if state != openai.TuneSucceeded || served != 2 || h.policies.Serving() != served || *after.FineTunedModel != *before.FineTunedModel || *after.TrainedTokens != *before.TrainedTokens {
		t.Errorf("the job is %s with %s, version %d is served; want succeeded with %s and version 2", state, *after.FineTunedModel, h.policies.Serving(), *before.FineTunedModel)
	}
	if err := j.tidy(ctx); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(h.dir, "jobs")); len(left) > 0 || err != nil {
		t.Errorf("the work of finished jobs is there: %v, %v", left, err)
	}
}
