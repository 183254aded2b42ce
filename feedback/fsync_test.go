package feedback_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"astro/feedback"
)

// traced is a task of a few writers below strace; its store is there, empty. LOG in an argument is the store's log.
func traced(t *testing.T, arguments ...string) (w task, s summary) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err == nil {
		err = exec.Command(strace, "-f", "-o", os.DevNull, "true").Run()
	}
	if err != nil {
		t.Skipf("no strace that may trace here: %v", err)
	}
	dir := t.TempDir()
	w = task{Store: filepath.Join(dir, "state.db"), Journal: filepath.Join(dir, "journal"), Writers: 8, Each: 16}
	noError(t, opened(t, w.Store).Close())
	for i := range arguments {
		arguments[i] = strings.ReplaceAll(arguments[i], "LOG", w.Store+"-wal")
	}
	return w, w.output(t, w.command(t, append([]string{strace, "-f", "-qq"}, arguments...)...))
}

// A kill does not show a forgotten fsync, since the kernel still has what was written. The order of the system calls does: no line of the
// journal is written before the log's bytes with that very record are synced.
func TestSyncedBeforeAcknowledged(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	w, s := traced(t, "-y", "-s", "8192", "-e", "trace=pwrite64,write,fsync,fdatasync", "-o", trace)
	o := order{written: map[string]bool{}, synced: map[string]bool{}, syncing: map[string][]string{}, writing: map[string][]string{}, log: w.Store + "-wal>", journal: w.Journal + ">"}
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		o.line(t, lines.Text())
	}
	t.Logf("%d acknowledgements, %d syncs of the log, %d acknowledgements before their sync", o.acknowledged, o.syncs, o.early)
	if lines.Err() != nil || o.early > 0 || o.syncs == 0 || o.acknowledged < 2*w.Writers*w.Each || s.Unavailable+s.Broken > 0 {
		t.Errorf("%v, %+v: want %d acknowledgements, none before its sync", lines.Err(), s, 2*w.Writers*w.Each)
	}
}

// order follows a trace: which records are in the log, and which were before a sync began that has ended well.
type order struct {
	log, journal               string
	written, synced            map[string]bool
	writing, syncing           map[string][]string // by thread: the records of a call that has not ended
	acknowledged, syncs, early int
}

var (
	call   = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	resume = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
	// names of completions and feedbacks, as task gives them and Rate draws them
	record = regexp.MustCompile(`c-\d+-\d+-\d+;|fb-[0-9a-f]{32}`)
)

func (o *order) line(t *testing.T, text string) {
	if m := call.FindStringSubmatch(text); m != nil {
		o.begin(t, m[1], m[2], m[3])
		if !strings.HasSuffix(text, "<unfinished ...>") {
			o.end(m[1], m[3])
		}
		return
	}
	if m := resume.FindStringSubmatch(text); m != nil {
		o.end(m[1], m[3])
	}
}

func (o *order) begin(t *testing.T, thread, name, arguments string) {
	file, _, _ := strings.Cut(arguments, ",")
	switch {
	case name == "pwrite64" && strings.HasSuffix(file, o.log):
		o.writing[thread] = record.FindAllString(arguments, -1)
	case strings.HasSuffix(name, "sync") && strings.Contains(file, o.log):
		o.syncs++
		o.syncing[thread] = []string{}
		for id := range o.written {
			o.syncing[thread] = append(o.syncing[thread], id)
		}
	case name == "write" && strings.HasSuffix(file, o.journal):
		ids := record.FindAllString(arguments, -1)
		if len(ids) > 0 {
			o.acknowledged++
		}
		for _, id := range ids {
			if !o.synced[id] {
				o.early++
				t.Errorf("%s was acknowledged before it was synced", id)
			}
		}
	}
}

// end takes the result of a thread's call.
func (o *order) end(thread, rest string) {
	good := !strings.Contains(rest[strings.LastIndex(rest, ")")+1:], "= -1")
	if good {
		for _, id := range o.writing[thread] {
			o.written[id] = true
		}
		for _, id := range o.syncing[thread] {
			o.synced[id] = true
			delete(o.written, id)
		}
	}
	delete(o.writing, thread)
	delete(o.syncing, thread)
}

// Calls on the log that fail (each thread's 40th write, its sixth sync): a write that does is unavailable for a while, a sync that does breaks the store for good. In neither case is anything
// acknowledged that is not there.
func TestCallsThatFail(t *testing.T) {
	for name, test := range map[string]struct {
		fault string
		want  func(summary) bool
	}{
		"no space":    {"pwrite64:error=ENOSPC:when=40..50", func(s summary) bool { return s.Unavailable > 0 && s.Broken == 0 }},
		"over quota":  {"pwrite64:error=EDQUOT:when=40..50", func(s summary) bool { return s.Unavailable > 0 && s.Broken == 0 }},
		"write error": {"pwrite64:error=EIO:when=40..50", func(s summary) bool { return s.Unavailable > 0 && s.Broken == 0 }},
		"read-only":   {"pwrite64:error=EROFS:when=40..50", func(s summary) bool { return s.Unavailable > 0 && s.Broken == 0 }},
		"sync error":  {"fdatasync,fsync:error=EIO:when=6+", func(s summary) bool { return s.Broken > 0 && s.Unavailable == 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := traced(t, "-e", "trace=pwrite64,fdatasync,fsync", "-P", "LOG", "-e", "inject="+test.fault, "-o", os.DevNull)
			t.Logf("%+v", s)
			if !test.want(s) || s.Acknowledged == 0 {
				t.Errorf("got %+v", s)
			}
			store, err := feedback.Open(w.Store, feedback.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			lines, _ := readJournal(t, w.Journal, 0)
			for _, line := range lines {
				if line[0] == "u" {
					continue
				}
				if _, said, err := store.Completion(context.Background(), "a", line[1]); err != nil || line[0] == "f" && (len(said) != 1 || said[0].ID != line[2]) {
					t.Errorf("%s was acknowledged: %v, %v", line, said, err)
				}
			}
		})
	}
}
