package feedback_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"astro/feedback"
)

// asChild makes this test binary do a task instead of running tests, so that it can be killed.
const asChild = "ASTRO_TEST_FEEDBACK_CHILD"

func TestMain(m *testing.M) {
	text := os.Getenv(asChild)
	if text == "" {
		os.Exit(m.Run())
	}
	var w task
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if err := w.run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// task is what a child does: Writers goroutines store completions and rate them, Each of them (0 = until it is killed), and one learns
// from them. After each answer it writes what was acknowledged to the journal.
type task struct {
	Run            int // makes ids unique
	Store, Journal string
	Writers, Each  int
	Disk           string // "" = as it is; the limits of disk_test.go
	Folder         string // that the disk is mounted at
}

// command is the child, not started.
func (w task) command(t *testing.T, wrapper ...string) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	args := append(wrapper, os.Args[0])
	c := exec.CommandContext(t.Context(), args[0], args[1:]...)
	c.Env = append(os.Environ(), asChild+"="+string(text), "GORACE=atexit_sleep_ms=0")
	return c
}

// summary is what a child says at its end.
type summary struct {
	Acknowledged, Unavailable, Broken int
	Wrong                             []string // errors that nothing explains
}

// output runs the child to its end.
func (w task) output(t *testing.T, c *exec.Cmd) (s summary) {
	t.Helper()
	var log strings.Builder
	c.Stderr = &log
	text, err := c.Output()
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		t.Fatalf("the child: %v: %s%s", err, text, log.String())
	}
	for _, wrong := range s.Wrong {
		t.Errorf("the child: %s", wrong)
	}
	return s
}

func (w task) run() error {
	if w.Disk != "" {
		return w.fill()
	}
	s, err := feedback.Open(w.Store, feedback.Options{})
	if err != nil {
		return err
	}
	j, err := openJournal(w.Journal)
	if err != nil {
		return err
	}
	w.work(s, j)
	if err := s.Close(); err != nil && j.Broken == 0 {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(j.summary)
}

// work runs the writers and the learner.
func (w task) work(s *feedback.Store, j *journal) {
	var wait sync.WaitGroup
	for writer := range w.Writers {
		wait.Go(func() {
			for i := 0; w.Each == 0 || i < w.Each; i++ {
				w.serve(s, j, fmt.Sprintf("c-%d-%d-%d;", w.Run, writer, i))
			}
		})
	}
	stop := make(chan struct{})
	learned := make(chan struct{})
	go func() {
		defer close(learned)
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				learn(s, j)
			}
		}
	}()
	wait.Wait()
	close(stop)
	<-learned
}

// serve stores a completion and a vote, as a server does.
func (w task) serve(s *feedback.Store, j *journal, id string) {
	c := answer(id)
	if !j.note(s.Add(context.Background(), c), "c "+id) {
		return
	}
	f, _, err := s.Rate(context.Background(), feedback.Feedback{Completion: id, Tenant: "a", Key: "k", Source: feedback.App, Reward: 1}, false)
	j.note(err, "f "+id+" "+f.ID)
}

// answer is a completion of 100 tokens.
func answer(id string) *feedback.Completion {
	c := &feedback.Completion{ID: id, Tenant: "a", Key: "k", Model: "m", State: feedback.Complete, Finish: "stop", Prompt: make([]int32, 100), Output: make([]int32, 100),
		Logprobs: make([]float32, 100), Spans: []feedback.Span{{Version: 1, End: 100}}}
	for i := range c.Output {
		c.Output[i], c.Logprobs[i] = int32(i*31+len(id)), -float32(i)/7
	}
	return c
}

// learn commits an update that uses a few rated completions.
func learn(s *feedback.Store, j *journal) {
	rated, err := s.Waiting(context.Background(), 4, time.Now().Add(time.Hour))
	if err != nil || len(rated) == 0 {
		j.note(err, "")
		return
	}
	u := feedback.Update{Applied: true}
	line := "u"
	for _, r := range rated {
		u.Used = append(u.Used, feedback.Used{Completion: r.ID, Choice: r.Choice})
		line += " " + r.ID
	}
	_, err = s.Commit(context.Background(), u)
	j.note(err, line)
}

// journal is what a client believes: each acknowledged operation in a line, written by one write.
type journal struct {
	mu   sync.Mutex
	file *os.File
	summary
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return &journal{file: f}, err
}

// note writes a line if there was no error, and says so.
func (j *journal) note(err error, line string) bool {
	if err == nil && line != "" {
		_, err = j.file.WriteString(line + "\n")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case err == nil:
		j.Acknowledged++
	case errors.Is(err, feedback.ErrBroken):
		j.Broken++
	case errors.Is(err, feedback.ErrUnavailable):
		j.Unavailable++
	default:
		j.Wrong = append(j.Wrong, err.Error())
	}
	return err == nil
}

// readJournal gives its whole lines as words; a line that a kill cut off was not said.
func readJournal(t *testing.T, path string, from int64) (lines [][]string, end int64) {
	t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0 // killed before it began
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(from, 0); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(f)
	for end = from; ; {
		text, err := r.ReadString('\n')
		if err != nil {
			return lines, end
		}
		end += int64(len(text))
		lines = append(lines, strings.Fields(text))
	}
}
