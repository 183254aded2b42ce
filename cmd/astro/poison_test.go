package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// graderService is a service that judges answers, each path in its own way.
func graderService(t *testing.T) string {
	hang := make(chan struct{})
	mux := http.NewServeMux()
	say := func(path, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(text)) })
	}
	say("/good", `{"score": 1, "reason": "correct"}`)
	say("/garbage", "<html>")
	say("/empty", "")
	say("/high", `{"score": 7}`)
	say("/nan", `{"score": NaN}`)
	say("/nothing", `{"reason": "correct"}`)
	say("/long", `{"score": 1, "reason": "`+strings.Repeat("x", 1<<20)+`"}`)
	mux.HandleFunc("/lies", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		w.Write([]byte(`{"score": 1}`))
	})
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/late", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(600 * time.Millisecond)
		w.Write([]byte(`{"score": 1}`))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		close(hang)
		s.Close()
	})
	return s.URL
}

// bad are the ways of graderService that give no verdict.
var bad = []string{"garbage", "empty", "high", "nan", "nothing", "long", "lies", "hang", "late"}

// Grader services that hang, lie, or answer late or with garbage: the feedback gets its error and leaves nothing, completions go on, and
// a service that works is believed afterwards.
func TestPoisonedGraderServices(t *testing.T) {
	service := graderService(t)
	flags := []string{"--grader-timeout", "300ms", "--grader", "good=" + service + "/good"}
	for _, name := range bad {
		flags = append(flags, "--grader", name+"="+service+"/"+name)
	}
	l := newLearner(t, flags...)
	p, url := l.up()
	first := askChat(url, nil)
	id := first.word("id")
	var work sync.WaitGroup
	for _, name := range bad {
		for range 6 {
			work.Go(func() {
				a := send("POST", url+"/v1/feedback", map[string]any{"completion_id": id, "grader": map[string]any{"type": "http", "name": name}})
				if a.status != 422 || a.code() != "grader_failed" || strings.Contains(a.text, "127.0.0.1") {
					t.Errorf("%s: got %d %s; want 422 grader_failed, without an address", name, a.status, a.text)
				}
			})
		}
	}
	for range 20 {
		if a := askChat(url, map[string]any{"metadata": map[string]any{"answer": "27", "grader": "hang"}}); a.status != 200 {
			t.Errorf("a completion beside them: %d %s", a.status, a.text)
		}
	}
	work.Wait()
	if said, _ := send("GET", url+"/v1/completions/"+id, nil).body["feedback"].([]any); len(said) != 0 {
		t.Errorf("graders that failed left %v", said)
	}
	a := send("POST", url+"/v1/feedback", map[string]any{"completion_id": id, "grader": map[string]any{"type": "http", "name": "good"}})
	if a.status != 200 || a.body["reward"] != 1. || a.word("source") != "verifier" {
		t.Errorf("the service that works: %d %s", a.status, a.text)
	}
	p.stop(t)
}

// A job whose grader never gives a verdict fails and says so; the server goes on, and so does the next job.
func TestPoisonedJob(t *testing.T) {
	service := graderService(t)
	l := newLearner(t, "--grader-timeout", "100ms", "--grader", "garbage="+service+"/garbage", "--learn-paused")
	p, url := l.up()
	file := upload(t, url, strings.Repeat(`{"messages":[{"role":"user","content":"3 7 2 9 -> 27"}],"answer":"27"}`+"\n", 2))
	job := func(grader map[string]any) string {
		t.Helper()
		a := send("POST", url+"/v1/fine_tuning/jobs", map[string]any{"model": "m", "training_file": file, "seed": 1, "method": map[string]any{"type": "reinforcement",
			"reinforcement": map[string]any{"grader": grader, "hyperparameters": map[string]any{"n_epochs": 1, "batch_size": 2}}}})
		if a.status != 200 {
			t.Fatalf("the job: %d %s", a.status, a.text)
		}
		return a.word("id")
	}
	poisoned, sound := job(map[string]any{"type": "http", "name": "garbage"}), job(map[string]any{"type": "math"})
	var last answer
	eventuallyTrue(t, "the end of the poisoned job", func() bool {
		if a := askChat(url, nil); a.status != 200 {
			t.Fatalf("a completion beside it: %d %s", a.status, a.text)
		}
		last = send("GET", url+"/v1/fine_tuning/jobs/"+poisoned, nil)
		return last.word("status") == "failed" || last.word("status") == "succeeded"
	})
	if last.word("status") != "failed" || last.code() == "" {
		t.Errorf("the poisoned job: %s; want it to have failed, with a reason", last.text)
	}
	eventuallyTrue(t, "the end of the sound job", func() bool {
		last = send("GET", url+"/v1/fine_tuning/jobs/"+sound, nil)
		return last.word("status") == "failed" || last.word("status") == "succeeded"
	})
	if last.word("status") != "succeeded" {
		t.Errorf("the sound job: %s", last.text)
	}
	p.stop(t)
}

// upload sends a file of examples and gives its id.
func upload(t *testing.T, url, content string) string {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	form.WriteField("purpose", "fine-tune")
	part, err := form.CreateFormFile("file", "problems.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	part.Write([]byte(content))
	form.Close()
	request, err := http.NewRequest("POST", url+"/v1/files", &body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	a := do(request)
	if a.status != 200 {
		t.Fatalf("the file: %d %s", a.status, a.text)
	}
	return a.word("id")
}

// Feedback that is sent again and again, also after a restart, counts once; a contradiction is refused.
func TestPoisonedReplays(t *testing.T) {
	l := newLearner(t)
	p, url := l.up()
	id := askChat(url, nil).word("id")
	v := vote{completion: id, key: "replay", reward: 1}
	if err := l.rate(url, &v); err != nil {
		t.Fatal(err)
	}
	replay := func() {
		t.Helper()
		var work sync.WaitGroup
		for range 8 {
			work.Go(func() {
				for range 25 {
					again := v
					if err := l.rate(url, &again); err != nil {
						t.Error(err)
					}
				}
			})
		}
		work.Wait()
		for _, other := range []map[string]any{{"completion_id": id, "reward": -1, "idempotency_key": "replay"}, {"completion_id": id, "reward": -1, "idempotency_key": "other"}} {
			if a := send("POST", url+"/v1/feedback", other); a.status != 409 || a.code() != "feedback_conflict" {
				t.Errorf("a contradiction: %d %s; want 409 feedback_conflict", a.status, a.text)
			}
		}
	}
	replay()
	p.kill(t)
	p, url = l.up()
	replay()
	l.verify(p, url)
	p.stop(t)
	l.audit()
}

// A thousand sessions that nobody ends: the next one is told when to come again, also after a restart; everything else goes on.
func TestPoisonedSessions(t *testing.T) {
	l := newLearner(t, "--learn-paused")
	p, url := l.up()
	var work sync.WaitGroup
	for client := range 10 {
		work.Go(func() {
			for i := range 100 {
				if a := send("POST", url+"/rl/start_session", map[string]any{"task_id": fmt.Sprint(client, "-", i)}); a.status != 200 || a.word("api_key") == "" {
					t.Errorf("session %d of client %d: %d %s", i, client, a.status, a.text)
					return
				}
			}
		})
	}
	work.Wait()
	full := func() {
		t.Helper()
		if a := send("POST", url+"/rl/start_session", map[string]any{"task_id": "one more"}); a.status != 429 {
			t.Errorf("one more session: %d %s; want 429", a.status, a.text)
		}
		if a := askChat(url, nil); a.status != 200 {
			t.Errorf("a completion: %d %s", a.status, a.text)
		}
	}
	full()
	p.kill(t)
	p, url = l.up()
	full()
	p.stop(t)
}

// SIGTERM in each phase of an update: what clients asked for is answered whole or refused in so many words, the process ends with
// status 0 within its drain timeout, the store is closed, and nothing is lost.
func TestStoppedInTheMiddleOfAnUpdate(t *testing.T) {
	l := newLearner(t, "--learn-prompts", "8", "--drain-timeout", "20s")
	for _, phase := range []string{"gather", "learn", "publish"} {
		p, url := l.up()
		l.verify(p, url)
		c := l.crowded(p, url, 3)
		eventuallyTrue(t, "the phase "+phase, func() bool {
			return c.acked.Load() > 2 && send("GET", url+"/learning", nil).word("phase") == phase || p.dead()
		})
		begin := time.Now()
		p.stop(t)
		took := time.Since(begin)
		c.stop()
		c.work.Wait()
		l.mu.Lock()
		for _, wrong := range l.wrong {
			if !strings.Contains(wrong, "service_unavailable") {
				t.Error(wrong)
			}
		}
		l.wrong = nil
		l.mu.Unlock()
		if info, err := os.Stat(filepath.Join(l.store, "state.db-wal")); err == nil && info.Size() > 0 {
			t.Errorf("%s: the log of the store has %d bytes: it was not closed", phase, info.Size())
		}
		t.Logf("in the phase %s: ended after %v, %d feedbacks acknowledged so far", phase, took.Round(time.Millisecond), l.votes())
	}
	p, url := l.up()
	l.verify(p, url)
	p.stop(t)
	l.audit()
}

// A program of the device cannot be stopped: the end does not wait for it beyond its deadline, and says that the device is in use.
func TestEndDoesNotWaitForEver(t *testing.T) {
	hang := make(chan struct{})
	l := &learning{log: slog.New(slog.DiscardHandler)}
	l.work.Go(func() { <-hang })
	if l.end(time.Now()) {
		t.Error("it says that nothing works any more")
	}
	close(hang)
	if !l.end(time.Now()) {
		t.Error("it says that something works still")
	}
}
