package feedback

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
)

// A tenant's jobs are bounded: the oldest that is over makes room, with its events; where all still run, one more is refused.
func TestJobsAreBounded(t *testing.T) {
	s, _ := scratch(t)
	ctx := context.Background()
	put := func(i int, state string) error {
		return s.PutJob(ctx, Job{ID: fmt.Sprintf("job%04d", i), Tenant: "a", State: state})
	}
	for i := range maxJobsTenant {
		state := "running"
		if i == 3 {
			state = "failed"
		}
		if err := put(i, state); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Log(ctx, Event{Subject: "job:job0003", Level: "info", Message: "it failed"}); err != nil {
		t.Fatal(err)
	}
	if err := put(maxJobsTenant, "queued"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Job(ctx, "a", "job0003")
	events, _ := s.Events(ctx, "job:job0003", 0, 10)
	if !errors.Is(err, ErrUnknown) || len(events) != 0 {
		t.Errorf("the oldest finished job: %v, %d events; want it gone", err, len(events))
	}
	if err := put(maxJobsTenant+1, "queued"); !errors.Is(err, ErrFull) {
		t.Errorf("one more: %v; want ErrFull", err)
	}
	if err := put(5, "succeeded"); err != nil {
		t.Errorf("a new state of a job that is there: %v", err)
	}
}

// A tenant's files are bounded by their bytes together.
func TestFilesAreBounded(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"), Options{MaxFilesBytes: 4 << 10})
	ctx := context.Background()
	content := make([]byte, 1<<10)
	for i := range 4 {
		if err := s.PutFile(ctx, File{ID: fmt.Sprint("f", i), Tenant: "a", Content: content}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutFile(ctx, File{ID: "more", Tenant: "a", Content: []byte{1}}); !errors.Is(err, ErrFull) {
		t.Errorf("one more byte: %v; want ErrFull", err)
	}
	if err := s.PutFile(ctx, File{ID: "other", Tenant: "b", Content: []byte{1}}); err != nil {
		t.Errorf("another tenant: %v", err)
	}
}
