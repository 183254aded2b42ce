package feedback

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Readers beside the writer see whole answers: both choices of each or none, and each vote with its completion.
func TestReadersBesideTheWriter(t *testing.T) {
	s, _ := scratch(t)
	ctx := context.Background()
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := range 30 {
				one, two := served(fmt.Sprint("c", w, "-", i)), served(fmt.Sprint("c", w, "-", i))
				two.Choice = 1
				if err := s.Add(ctx, one, two); err != nil {
					t.Error(err)
				}
				if _, _, err := s.Rate(ctx, vote(one.ID, 1), false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					readSome(t, s)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if n := must[Counts](t)(s.Counts(ctx)); n != (Counts{Completions: 240, Feedback: 120, Waiting: 120}) {
		t.Errorf("got %+v", n)
	}
}

func readSome(t *testing.T, s *Store) {
	var out bytes.Buffer
	if err := s.Export(context.Background(), &out, 0); err != nil {
		t.Error(err)
	}
	if completions := strings.Count(out.String(), `"type":"completion"`); completions%2 != 0 || strings.Count(out.String(), `"type":"feedback"`) > completions/2 {
		t.Errorf("half an answer was seen, or a vote without one:\n%s", out.String())
	}
	if _, err := s.Waiting(context.Background(), 1000, time.UnixMilli(1<<60)); err != nil {
		t.Error(err)
	}
	s.Stats()
}

// hold makes the writer wait within an operation until release.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	entered, gate := make(chan struct{}), make(chan struct{})
	go s.change(context.Background(), func(*sql.Tx) error {
		close(entered)
		<-gate
		return nil
	})
	<-entered
	return func() { close(gate) }
}

// Close answers all that wait: each is stored or has got ErrClosed, and what comes later gets ErrClosed.
func TestCloseAnswersAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path, Options{})
	release := hold(t, s)
	const n = 300
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { errs[i] = s.Add(context.Background(), served(fmt.Sprint("c", i))) })
	}
	for s.Stats().Waiting < n/2 {
		time.Sleep(time.Millisecond)
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	release()
	wait.Wait()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := s.Add(context.Background(), served("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
	if _, err := s.Counts(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("Counts after Close: %v", err)
	}
	if err := s.Export(context.Background(), io.Discard, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("Export after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	s, stored := open(t, path, Options{}), 0
	for i, err := range errs {
		_, _, found := s.Completion(context.Background(), "a", fmt.Sprint("c", i))
		if err == nil {
			stored++
		}
		if err == nil && found != nil || err != nil && (!errors.Is(err, ErrClosed) || !errors.Is(found, ErrUnknown)) {
			t.Errorf("operation %d was answered with %v; looking for it: %v", i, err, found)
		}
	}
	if stored < n/2 {
		t.Errorf("%d were stored; want at least those that waited", stored)
	}
}

// Close ends a read that goes on, and says so to it.
func TestCloseEndsReads(t *testing.T) {
	s, _ := scratch(t)
	for i := range 200 {
		big := served(fmt.Sprint("c", i))
		big.Prompt = make([]int32, 1000)
		add(t, s, big)
	}
	r, w := io.Pipe()
	result := make(chan error)
	go func() { result <- s.Export(context.Background(), w, 0) }()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	go io.Copy(io.Discard, r)
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("the export said %v; want ErrClosed", err)
	}
}

// An operation whose context ends while it waits is never run; one that is under way may come to be, without a race with its caller.
func TestContextEnds(t *testing.T) {
	s, _ := scratch(t)
	add(t, s, served("c1"))
	release := hold(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error)
	go func() { result <- s.Add(ctx, served("c2")) }()
	for s.Stats().Waiting < 1 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want Canceled", err)
	}
	if err := s.Add(ctx, served("c3")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want Canceled", err)
	}
	release()
	add(t, s, served("c4"))
	if n := must[Counts](t)(s.Counts(context.Background())); n.Completions != 2 {
		t.Errorf("%d completions; want c1 and c4", n.Completions)
	}
	for i := range 100 { // ends anywhere within; the race detector looks on
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i*20)*time.Microsecond)
		v := vote("c1", 1)
		v.Rater, v.Metadata = fmt.Sprint(i), []byte(`{"a":1}`)
		stored, _, err := s.Rate(ctx, v, false)
		v.Metadata[2] = 'b'
		if err == nil && stored.Seq == 0 || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %+v, %v", stored, err)
		}
		if _, err := s.Commit(ctx, Update{}); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := s.Prune(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		cancel()
	}
}

// An operation that panics takes back what it wrote; the others of its group and those that come later do not notice.
func TestPanicIsItsOwn(t *testing.T) {
	s, _ := scratch(t)
	ctx := context.Background()
	release := hold(t, s)
	var wait sync.WaitGroup
	wait.Go(func() {
		err := s.change(ctx, func(tx *sql.Tx) error {
			if _, err := tx.Exec("INSERT INTO events(subject, actor, level, message, created_ms) VALUES('s','','info','m',0)"); err != nil {
				return err
			}
			rows, err := tx.Query("SELECT 1 UNION SELECT 2")
			if err != nil {
				return err
			}
			rows.Next()
			defer rows.Close()
			panic("BUG: of a test")
		})
		if err == nil || !strings.Contains(err.Error(), "panicked: BUG: of a test") {
			t.Errorf("got %v", err)
		}
	})
	wait.Go(func() { add(t, s, served("c1")) })
	for s.Stats().Waiting < 2 {
		time.Sleep(time.Millisecond)
	}
	release()
	wait.Wait()
	add(t, s, served("c2"))
	if all := must[[]Event](t)(s.Events(ctx, "s", 0, 10)); len(all) != 0 {
		t.Errorf("the panic left %+v", all)
	}
	if n := must[Counts](t)(s.Counts(ctx)); n.Completions != 2 || s.Stats().Failures != 0 {
		t.Errorf("%+v, %+v; want two completions and no failure", n, s.Stats())
	}
}

// The log begins anew when it is in the file, and does not grow with what was ever written.
func TestLogStaysShort(t *testing.T) {
	s, _ := scratch(t)
	longest := int64(0)
	for i := range 300 {
		big := served(fmt.Sprint("c", i))
		big.Prompt = make([]int32, 20000)
		add(t, s, big)
		longest = max(longest, s.Stats().LogBytes)
	}
	if longest < logCopyBytes/2 || longest > 2*logCopyBytes || s.Stats().Bytes < 20<<20 {
		t.Errorf("the log had up to %d bytes; want about %d, for a file of %d", longest, logCopyBytes, s.Stats().Bytes)
	}
}

// A reader that takes too long is ended before the log, which must be kept for it, outgrows its bound.
func TestSlowReaderIsEnded(t *testing.T) {
	const most = 16 << 20
	s := open(t, filepath.Join(t.TempDir(), "state.db"), Options{maxLogBytes: most})
	big := func(i int) {
		big := served(fmt.Sprint("c", i))
		big.Prompt = make([]int32, 50000)
		add(t, s, big)
	}
	for i := range 10 {
		big(i)
	}
	r, w := io.Pipe()
	result := make(chan error)
	go func() { result <- s.Export(context.Background(), w, 0) }()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	longest := int64(0)
	for i := range 150 {
		big(10 + i)
		longest = max(longest, s.Stats().LogBytes)
	}
	go io.Copy(io.Discard, r)
	if err := <-result; !errors.Is(err, ErrTooSlow) {
		t.Errorf("the export said %v; want ErrTooSlow", err)
	}
	if longest < most || longest > most+2*logCopyBytes {
		t.Errorf("the log had %d bytes; want the reader to be ended at %d", longest, most)
	}
	if err := s.Export(context.Background(), io.Discard, 0); err != nil {
		t.Errorf("the next export: %v", err)
	}
}
