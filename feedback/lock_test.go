package feedback_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"astro/feedback"
)

// A store that another process has open is refused, with that process's number; when it is dead nothing is in the way.
func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	w := task{Store: filepath.Join(dir, "state.db"), Journal: filepath.Join(dir, "journal"), Writers: 1}
	c := w.command(t)
	noError(t, c.Start())
	defer c.Process.Kill()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if lines, _ := readJournal(t, w.Journal, 0); len(lines) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the child does not begin")
		}
	}
	want := fmt.Sprintf("process %d has it open", c.Process.Pid)
	for range 2 { // looking changes nothing
		if _, err := feedback.Open(w.Store, feedback.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
	c.Process.Kill()
	c.Wait()
	s := opened(t, w.Store)
	if _, err := feedback.Open(w.Store, feedback.Options{}); err == nil || !strings.Contains(err.Error(), "has it open") {
		t.Errorf("a second time in this process: got %v", err)
	}
	noError(t, s.Close())
}
