package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gomlx/compute/dtypes"

	"astro/feedback"
	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/training/recipe"
)

// learner is a server that learns, over many lives: a model that knows nothing, a store, and what clients were told about it.
type learner struct {
	*testing.T
	model, problems, store string
	flags                  []string // besides those that all have

	mu       sync.Mutex
	told     []vote // that were acknowledged
	unsure   []vote // that were sent and got no answer
	wrong    []string
	serving  int64 // highest version that was seen
	verified int   // of told

	missing, twice int // of told, at the last audit
}

// vote is an acknowledged feedback.
type vote struct {
	id, completion, key string
	reward              float64
}

// newLearner makes the folders.
func newLearner(t *testing.T, flags ...string) *learner {
	t.Helper()
	dir := t.TempDir()
	l := &learner{T: t, model: filepath.Join(dir, "m"), problems: filepath.Join(dir, "problems.jsonl"), store: filepath.Join(dir, "store"), flags: flags}
	if err := os.MkdirAll(l.model, 0o755); err != nil {
		t.Fatal(err)
	}
	d := devicetest.Open(t, device.Go)
	w, err := model.Random(model.Config{Vocab: 70, Hidden: 32, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 16, FFN: 64, MaxPositions: 128, NormEps: 1e-5, TiedHead: true,
		Rope: model.Rope{Theta: 1e4}, BOS: 1, EOS: []int32{2}, InitStd: .05}, 1, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	var lines strings.Builder
	for i := range 8 { // fewer than ten: none is held out, so that no time goes into evaluations
		fmt.Fprintf(&lines, "{\"problem\":\"3 7 2 %d -> 27\",\"answer\":\"27\"}\n", 2+i)
	}
	if err := errors.Join(model.SaveFiles(l.model, w, dtypes.Float32), recipe.CopyTexts(l.model, demo), os.WriteFile(l.problems, []byte(lines.String()), 0o600)); err != nil {
		t.Fatal(err)
	}
	return l
}

// life is one process of a learner. url is sent when it listens, and the channel closed when it is dead.
type life struct {
	*exec.Cmd
	url   chan string
	ended chan struct{}
	log   *syncBuffer
}

// begin starts a process.
func (l *learner) begin(env ...string) *life {
	l.Helper()
	args := append([]string{"serve", l.model, "--port", "0", "--backend", "go", "--served-model-name", "m", "--store", filepath.Base(l.store), "--learn", l.problems, "--learn-prompts", "2",
		"--context", "104", "--max-slots", "16", "--kv-bytes", "4000000"}, l.flags...)
	p := &life{Cmd: command(env, args...), url: make(chan string, 1), ended: make(chan struct{}), log: &syncBuffer{}}
	p.Stderr, p.Dir = p.log, filepath.Dir(l.store) // a folder as a user names one, not from the root
	out := &lineWatch{prefix: "listening on ", found: p.url}
	p.Stdout = out
	if err := p.Start(); err != nil {
		l.Fatal(err)
	}
	go func() {
		_ = p.Cmd.Wait() // ProcessState says it
		close(p.url)
		close(p.ended)
	}()
	l.Cleanup(func() { p.Process.Kill() })
	return p
}

// lineWatch finds a line of what is written to it.
type lineWatch struct {
	prefix string
	found  chan string
	text   []byte
	done   bool
}

// Write implements io.Writer.
func (w *lineWatch) Write(p []byte) (int, error) {
	w.text = append(w.text, p...)
	for !w.done {
		line, rest, whole := bytes.Cut(w.text, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		if url, ok := strings.CutPrefix(string(line), w.prefix); ok {
			w.done = true
			w.found <- url
		}
		w.text = rest
	}
	return len(p), nil
}

// listening waits for the address; "" = it died before.
func (p *life) listening() string { return <-p.url }

// up starts a process and wants it to listen.
func (l *learner) up(env ...string) (*life, string) {
	l.Helper()
	p := l.begin(env...)
	url := p.listening()
	if url == "" {
		l.Fatalf("it does not start: %s", p.log)
	}
	return p, url
}

// kill ends a process as nothing else does.
func (p *life) kill(t *testing.T) {
	t.Helper()
	p.Process.Kill()
	<-p.ended
	p.wantKilled(t)
}

func (p *life) wantKilled(t *testing.T) {
	t.Helper()
	if status, ok := p.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the server ended with %v and not by the kill: %s", p.ProcessState, p.log)
	}
}

// stop asks a process to end and wants status 0 within its drain timeout and a little more.
func (p *life) stop(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wantStopped(t)
}

func (p *life) wantStopped(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(40 * time.Second):
		t.Fatalf("it does not end: %s", p.log)
	}
	if !p.ProcessState.Success() {
		t.Fatalf("it ended with %v: %s", p.ProcessState, p.log)
	}
}

// answer is a reply with its status; 0 = there was none that is whole.
type answer struct {
	status int
	body   map[string]any
	text   string
	err    error
}

// quick is a client that gives up, as a hang is a failure.
var quick = &http.Client{Timeout: 60 * time.Second}

// send sends JSON.
func send(method, url string, body any) (a answer) {
	text, err := json.Marshal(body)
	if err != nil {
		return answer{err: err}
	}
	if body == nil {
		text = nil
	}
	request, err := http.NewRequest(method, url, bytes.NewReader(text))
	if err != nil {
		return answer{err: err}
	}
	request.Header.Set("Content-Type", "application/json")
	return do(request)
}

func do(request *http.Request) (a answer) {
	reply, err := quick.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer reply.Body.Close()
	whole, err := io.ReadAll(reply.Body)
	if err != nil {
		return answer{err: err}
	}
	a.status, a.text, a.err = reply.StatusCode, string(whole), json.Unmarshal(whole, &a.body)
	return a
}

// code is that of an error object.
func (a answer) code() string {
	e, _ := a.body["error"].(map[string]any)
	code, _ := e["code"].(string)
	return code
}

// word is a member of the body.
func (a answer) word(name string) string {
	text, _ := a.body[name].(string)
	return text
}

// askChat asks for a short answer.
func askChat(url string, extra map[string]any) answer {
	body := map[string]any{"model": "m", "messages": []any{map[string]any{"role": "user", "content": problem}}, "max_tokens": 8}
	for name, value := range extra {
		body[name] = value
	}
	return send("POST", url+"/v1/chat/completions", body)
}

// crowd are clients that complete, rate and repeat themselves until stop, or until the server is gone.
type crowd struct {
	l     *learner
	p     *life
	url   string
	over  atomic.Bool
	work  sync.WaitGroup
	acked atomic.Int64
	asked atomic.Int64
}

// names makes idempotency keys unique over all lives.
var names atomic.Int64

// crowded starts n clients.
func (l *learner) crowded(p *life, url string, n int) *crowd {
	c := &crowd{l: l, p: p, url: url}
	for range n {
		c.work.Go(func() {
			for !c.over.Load() {
				if err := c.turn(); err != nil {
					if !errors.Is(err, errGone) {
						l.note(err.Error())
					}
					return
				}
			}
		})
	}
	c.work.Go(c.watch)
	return c
}

// stop lets the clients end what they do.
func (c *crowd) stop() { c.over.Store(true) }

func (l *learner) note(wrong string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, wrong)
}

// What clients hear besides an acknowledgement.
var (
	errGone    = errors.New("the server is gone") // there was no whole answer
	errUnknown = errors.New("the completion is unknown")
)

// turn is one completion and what is said about it.
func (c *crowd) turn() error {
	a := askChat(c.url, nil)
	switch a.status {
	case 200:
	case 0:
		return fmt.Errorf("%w: %w", errGone, a.err)
	default:
		return fmt.Errorf("a completion: %d %s", a.status, a.text)
	}
	c.asked.Add(1)
	v := vote{completion: a.word("id"), key: fmt.Sprint("key-", names.Add(1)), reward: float64(rand.IntN(2))*2 - 1}
	err := c.l.rate(c.url, &v)
	switch {
	case errors.Is(err, errUnknown) && c.p.logs("an answer was not stored"): // the disk of a busy machine took longer than an answer waits
		return nil
	case errors.Is(err, errGone):
		c.l.doubt(v)
		return err
	case err != nil:
		return err
	}
	c.acked.Add(1)
	if rand.IntN(2) == 0 {
		return c.l.rate(c.url, &v)
	}
	return nil
}

// rate sends a vote, which may have been sent before, and keeps that it was acknowledged.
func (l *learner) rate(url string, v *vote) error {
	a := send("POST", url+"/v1/feedback", map[string]any{"completion_id": v.completion, "reward": v.reward, "idempotency_key": v.key})
	switch {
	case a.status == 0:
		return fmt.Errorf("%w: %w", errGone, a.err)
	case a.status == 404:
		return fmt.Errorf("%w: feedback: %s", errUnknown, a.text)
	case a.status != 200:
		return fmt.Errorf("feedback: %d %s", a.status, a.text)
	case v.id != "" && (a.word("id") != v.id || a.body["duplicate"] != true):
		return fmt.Errorf("the same feedback again: %s; want %s and duplicate", a.text, v.id)
	case v.id == "":
		v.id = a.word("id")
		l.acknowledged(*v)
	}
	return nil
}

func (l *learner) doubt(v vote) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsure = append(l.unsure, v)
}

func (l *learner) acknowledged(v vote) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, v)
}

// watch looks at the served version.
func (c *crowd) watch() {
	for !c.over.Load() {
		if a := send("GET", c.url+"/v1/policies", nil); a.status == 200 {
			c.l.sees(int64(a.body["serving"].(float64)))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// sees wants that versions never go back.
func (l *learner) sees(version int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if version < l.serving {
		l.wrong = append(l.wrong, fmt.Sprintf("version %d is served after %d", version, l.serving))
	}
	l.serving = max(l.serving, version)
}

// complaints are what clients saw and must not have seen.
func (l *learner) complaints() {
	l.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, wrong := range l.wrong {
		l.Error(wrong)
	}
	l.wrong = nil
}

// votes is how many were acknowledged.
func (l *learner) votes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.told)
}

// folders are the names in the folder of checkpoints.
func (l *learner) folders() (names []string) {
	l.Helper()
	all, err := os.ReadDir(filepath.Join(l.store, "policies"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.Fatal(err)
	}
	for _, f := range all {
		names = append(names, f.Name())
	}
	return names
}

// eventuallyTrue waits for what must come.
func eventuallyTrue(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come: ", what)
		}
	}
}

// openStore reads the store as nobody else does now.
func (l *learner) openStore() *feedback.Store {
	l.Helper()
	s, err := feedback.Open(filepath.Join(l.store, "state.db"), feedback.Options{})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { s.Close() })
	return s
}
