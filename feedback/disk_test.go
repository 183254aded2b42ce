package feedback_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"astro/feedback"
)

// The limits that a child gives itself.
const (
	smallTmpfs    = "tmpfs"    // a file system of 5 MiB at Folder
	smallFiles    = "rlimit"   // no file may have more than 4 MiB
	readOnlyMount = "readonly" // Folder can only be read
)

// A full disk: operations say ErrUnavailable, none is acknowledged that is not stored, reads go on; when there is space again the same
// store takes operations.
func TestFullDisk(t *testing.T) {
	for _, disk := range []string{smallTmpfs, smallFiles} {
		t.Run(disk, func(t *testing.T) {
			dir := t.TempDir()
			w := task{Writers: 16, Disk: disk, Folder: filepath.Join(dir, "disk"), Store: filepath.Join(dir, "disk", "state.db"), Journal: filepath.Join(dir, "journal")}
			s := w.onDisk(t)
			t.Logf("%d operations were acknowledged and are there, %d said ErrUnavailable", s.Acknowledged, s.Unavailable)
			if s.Unavailable == 0 || s.Acknowledged == 0 || s.Broken != 0 {
				t.Errorf("%+v: want some acknowledged, some unavailable, none broken", s)
			}
		})
	}
}

// A folder that can only be read: Open says what to do.
func TestReadOnlyFolder(t *testing.T) {
	dir := t.TempDir()
	w := task{Disk: readOnlyMount, Folder: filepath.Join(dir, "disk"), Store: filepath.Join(dir, "disk", "state.db")}
	w.onDisk(t)
}

// onDisk runs a child that may mount, in namespaces of its own.
func (w task) onDisk(t *testing.T) summary {
	t.Helper()
	c := w.command(t)
	if err := os.MkdirAll(w.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if w.Disk != smallFiles {
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
		mount := task{Disk: "probe", Folder: w.Folder}.command(t)
		mount.SysProcAttr = c.SysProcAttr
		if text, err := mount.CombinedOutput(); err != nil {
			t.Skipf("no user namespace in which a tmpfs can be mounted: %v %s", err, text)
		}
	}
	return w.output(t, c)
}

// fill is the child's part of the tests of this file.
func (w task) fill() error {
	more, err := w.limit()
	if err != nil || w.Disk == "probe" {
		return err
	}
	if w.Disk == readOnlyMount {
		return w.openReadOnly()
	}
	s, err := feedback.Open(w.Store, feedback.Options{})
	if err != nil {
		return err
	}
	j, err := openJournal(w.Journal)
	if err != nil {
		return err
	}
	w.workUntilFull(s, j)
	if err := w.compare(s, j); err != nil {
		return err
	}
	if err := more(); err != nil {
		return err
	}
	refused := j.Unavailable
	again := task{Run: w.Run + 1, Writers: 4, Each: 20}
	again.work(s, j)
	if j.Unavailable > refused {
		return fmt.Errorf("%d operations said ErrUnavailable after there was space again", j.Unavailable-refused)
	}
	if err := errors.Join(w.compare(s, j), s.Close()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(j.summary)
}

// workUntilFull works until 40 operations were refused; a checkpoint may make space in between.
func (w task) workUntilFull(s *feedback.Store, j *journal) {
	for part := 0; part < 1000 && j.Unavailable < 40; part++ {
		task{Run: w.Run*10000 + part + 100, Writers: w.Writers, Each: 20}.work(s, j)
	}
}

// limit sets the limit and gives what takes it away.
func (w task) limit() (more func() error, err error) {
	switch w.Disk {
	case smallFiles:
		signal.Ignore(syscall.SIGXFSZ)
		var was syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			return nil, err
		}
		return func() error { return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was) }, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4 << 20, Max: was.Max})
	case readOnlyMount:
		return nil, syscall.Mount("tmpfs", w.Folder, "tmpfs", syscall.MS_RDONLY, "size=5m")
	}
	return func() error { return syscall.Mount("tmpfs", w.Folder, "tmpfs", syscall.MS_REMOUNT, "size=64m") }, syscall.Mount("tmpfs", w.Folder, "tmpfs", 0, "size=5m")
}

func (w task) openReadOnly() error {
	_, err := feedback.Open(w.Store, feedback.Options{})
	if err == nil || !strings.Contains(err.Error(), "must be writable") || !strings.Contains(err.Error(), w.Store) {
		return fmt.Errorf("got %v; want an error that names the file and says that it must be writable", err)
	}
	return json.NewEncoder(os.Stdout).Encode(summary{})
}

// compare wants exactly what was acknowledged: an operation that was refused left nothing.
func (w task) compare(s *feedback.Store, j *journal) error {
	if s.Stats().Broken {
		return errors.New("a full disk broke the store")
	}
	text, err := os.ReadFile(w.Journal)
	if err != nil {
		return err
	}
	completions, votes, used := 0, 0, 0
	for line := range strings.Lines(string(text)) {
		switch line[0] {
		case 'c':
			completions++
		case 'f':
			votes++
		case 'u':
			used += strings.Count(line, " ")
		}
	}
	n, err := s.Counts(context.Background())
	if err != nil || n.Completions != completions || n.Feedback != votes || n.Used != used {
		return fmt.Errorf("stored are %+v, %v; acknowledged were %d completions, %d feedbacks, %d uses", n, err, completions, votes, used)
	}
	return nil
}
