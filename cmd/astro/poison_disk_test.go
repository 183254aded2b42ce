package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inNamespace marks a test that has been started again where it may mount.
const inNamespace = "ASTRO_TEST_NAMESPACE"

// mounting says that this process may mount. Otherwise it runs the same test in namespaces of its own, and says no.
func mounting(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		return true
	}
	own := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
	probe := exec.Command("mount", "-t", "tmpfs", "tmpfs", t.TempDir())
	probe.SysProcAttr = own
	if text, err := probe.CombinedOutput(); err != nil {
		t.Skipf("no user namespace in which a tmpfs can be mounted: %v %s", err, text)
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=4m")
	c.Env, c.SysProcAttr = append(os.Environ(), inNamespace+"=1"), own
	text, err := c.CombinedOutput()
	if t.Logf("%s", text); err != nil {
		t.Error(err)
	}
	return false
}

// diskMiB is the size of a disk on which a few checkpoints of a learner fit.
const diskMiB = 24

// onDisk puts the store onto a small disk of its own.
func (l *learner) onDisk() (disk string) {
	l.Helper()
	disk = filepath.Join(l.TempDir(), "disk")
	if err := errors.Join(os.Mkdir(disk, 0o700), syscall.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%dm", diskMiB))); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	l.store = filepath.Join(disk, "store")
	return disk
}

// state is what GET /learning says.
func state(url string) (state, reason string) {
	a := send("GET", url+"/learning", nil)
	return a.word("state"), a.word("reason")
}

// A full disk: completions go on, feedback is refused and never acknowledged for nothing, learning says what it waits for; when there is
// space again all of it goes on by itself.
func TestPoisonedByFullDisk(t *testing.T) {
	if !mounting(t) {
		return
	}
	l := newLearner(t)
	disk := l.onDisk()
	p, url := l.up()
	c := l.crowded(p, url, 3)
	eventuallyTrue(t, "version 3", func() bool { return l.seen() >= 3 || p.dead() })
	c.stop()
	c.work.Wait()
	l.complaints()
	id := askChat(url, nil).word("id")
	ballast := filepath.Join(disk, "ballast")
	fillDisk(t, ballast)
	refused := l.untilRefused(url, id)
	eventuallyTrue(t, "that learning says why it waits", func() bool {
		s, reason := state(url)
		return s == "paused" && strings.Contains(reason, "disk") || p.dead()
	})
	for range 10 {
		if a := askChat(url, nil); a.status != 200 {
			t.Errorf("a completion on a full disk: %d %s", a.status, a.text)
		}
	}
	before := l.votes()
	t.Logf("%d feedbacks were acknowledged before the disk was full; then one was refused with %s", before, refused)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	l.goesOn(p, url)
	p.stop(t)
	l.audit()
}

// fillDisk takes all space that is left.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for piece := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(piece)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// untilRefused rates a completion, as ever new raters, until the disk takes no more.
func (l *learner) untilRefused(url, id string) (code string) {
	l.Helper()
	for i := range 5000 {
		a := send("POST", url+"/v1/feedback", map[string]any{"completion_id": id, "reward": 1, "rater": fmt.Sprint("rater-", i), "metadata": map[string]any{"note": strings.Repeat("x", 500)}})
		switch {
		case a.status == 503 && a.code() == "storage_unavailable":
			return a.code()
		case a.status != 200:
			l.Fatalf("feedback on a full disk: %d %s", a.status, a.text)
		}
		l.acknowledged(vote{id: a.word("id"), completion: id})
	}
	l.Fatal("a full disk takes 5000 feedbacks")
	return ""
}

// goesOn wants feedback and learning to go on by themselves.
func (l *learner) goesOn(p *life, url string) {
	l.Helper()
	was := l.seen()
	eventuallyTrue(l.T, "a feedback that is taken", func() bool {
		v := vote{completion: askChat(url, nil).word("id"), key: fmt.Sprint("again-", names.Add(1)), reward: 1}
		return l.rate(url, &v) == nil || p.dead()
	})
	c := l.crowded(p, url, 3)
	eventuallyTrue(l.T, "a new version", func() bool { return l.seen() > was || p.dead() })
	c.stop()
	c.work.Wait()
	l.complaints()
	if s, reason := state(url); s != "running" || reason != "" && strings.Contains(reason, "disk") {
		l.Errorf("learning is %s: %s; want it to run", s, reason)
	}
}

// The folder of checkpoints can only be read: learning waits and says so, everything else goes on; then it learns again by itself.
func TestPoisonedByReadOnlyCheckpoints(t *testing.T) {
	if !mounting(t) {
		return
	}
	l := newLearner(t)
	l.onDisk()
	p, url := l.up()
	c := l.crowded(p, url, 3)
	eventuallyTrue(t, "version 2", func() bool { return l.seen() >= 2 || p.dead() })
	policies := filepath.Join(l.store, "policies")
	if err := syscall.Mount("tmpfs", policies, "tmpfs", syscall.MS_RDONLY, fmt.Sprintf("size=%dm", diskMiB)); err != nil {
		t.Fatal(err)
	}
	eventuallyTrue(t, "that learning says why it waits", func() bool {
		s, reason := state(url)
		return s == "paused" && strings.Contains(reason, "read-only") || p.dead()
	})
	asked, acked := c.asked.Load(), c.acked.Load()
	eventuallyTrue(t, "completions and feedback meanwhile", func() bool { return c.asked.Load() > asked+5 && c.acked.Load() > acked+5 || p.dead() })
	c.stop()
	c.work.Wait()
	l.complaints()
	if err := syscall.Unmount(policies, 0); err != nil {
		t.Fatal(err)
	}
	l.goesOn(p, url)
	p.stop(t)
	l.audit()
}

// A store that can only be read stops the start, with a line that says what to do.
func TestServeRefusesReadOnlyStore(t *testing.T) {
	if !mounting(t) {
		return
	}
	l := newLearner(t)
	disk := l.onDisk()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	p := l.begin()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if log := p.log.String(); p.ProcessState.ExitCode() != 1 || !strings.Contains(log, "must be writable") || !strings.Contains(log, "store/state.db") {
		t.Errorf("it ended with %v: %s; want 1 and what to do", p.ProcessState, log)
	}
}
