package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"astro/openai"
	"astro/server/servertest"
)

// asAstro makes this test binary be astro: the same main, flags, signals and exit status, without a second build.
const asAstro = "ASTRO_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asAstro) != "" {
		if os.Getenv(readOnlyMark) != "" {
			awaitReadOnly()
		}
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// demo is the model of this repository, from this package's folder.
var demo = filepath.Join("..", "..", "models", "countdown-base")

// problem is a user message that the demo model can answer.
const problem = "3 7 2 9 -> 27"

// astro is a running program.
type astro struct {
	*exec.Cmd
	url string
	log *syncBuffer
}

// syncBuffer collects what a program writes while a test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// command prepares astro with arguments.
func command(env []string, args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(append(os.Environ(), asAstro+"=1", "ASTRO_API_KEY="), env...)
	return c
}

// startServe runs astro serve on a free port and waits for its address.
func startServe(t *testing.T, env []string, args ...string) *astro {
	t.Helper()
	a := &astro{Cmd: command(env, append([]string{"serve", "--port", "0"}, args...)...), log: &syncBuffer{}}
	a.Stderr = a.log
	out, err := a.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Process.Kill() }) // says that it has ended where a test has waited for it
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			a.url = url
			go io.Copy(io.Discard, out)
			return a
		}
	}
	t.Fatalf("astro serve ended without listening: %s", a.log)
	return nil
}

// end asks the server to stop and wants status 0.
func (a *astro) end(t *testing.T) {
	t.Helper()
	if err := a.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := a.Wait(); err != nil {
		t.Errorf("astro serve ended with %v: %s", err, a.log)
	}
}

// The official client for Go, and the one for Python where it is installed, against the program itself.
func TestServeOfficialClients(t *testing.T) {
	a := startServe(t, []string{"ASTRO_API_KEY=sk-a,sk-b"}, demo, "--backend", "go", "--served-model-name", "demo,alias")
	servertest.Run(t, servertest.Target{URL: a.url, Key: "sk-b", Model: "demo", User: problem})
	t.Run("python", func(t *testing.T) {
		python := openaiPython()
		if python == "" {
			t.Skip("no Python with the openai package: set ASTRO_PYTHON to one to run scripts/e2e_openai.py")
		}
		c := exec.Command(python, filepath.Join("..", "..", "scripts", "e2e_openai.py"), a.url, problem)
		c.Env = append(os.Environ(), "ASTRO_API_KEY=sk-a")
		if text, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, text)
		}
	})
	a.end(t)
}

// openaiPython is a Python that has the openai package, or "".
func openaiPython() string {
	for _, python := range []string{os.Getenv("ASTRO_PYTHON"), "python3"} {
		if python != "" && exec.Command(python, "-c", "import openai").Run() == nil {
			return python
		}
	}
	return ""
}

// SIGTERM lets a stream that has begun come to its end, and the program then ends with status 0.
func TestServeDrainsOnSIGTERM(t *testing.T) {
	a := startServe(t, nil, demo, "--backend", "go")
	body := fmt.Sprintf(`{"model":"countdown-base","messages":[{"role":"user","content":%q}],"stream":true,"ignore_eos":true,"max_tokens":200}`, problem)
	answer, err := http.Post(a.url+"/v1/chat/completions", openai.JSONType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	events := bufio.NewReader(answer.Body)
	if _, err := events.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := a.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(events)
	if err != nil || !strings.Contains(string(rest), `"finish_reason":"length"`) || !strings.HasSuffix(string(rest), openai.Done) {
		t.Errorf("the stream ended with %v after %.200s", err, rest[max(0, len(rest)-200):])
	}
	if err := a.Wait(); err != nil {
		t.Errorf("got %v: %s", err, a.log)
	}
}

// A second signal does not wait.
func TestServeSecondSignalEndsAtOnce(t *testing.T) {
	a := startServe(t, nil, demo, "--backend", "go", "--drain-timeout", "1h")
	body := fmt.Sprintf(`{"model":"countdown-base","messages":[{"role":"user","content":%q}],"stream":true,"ignore_eos":true,"n":32}`, problem)
	answer, err := http.Post(a.url+"/v1/chat/completions", openai.JSONType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	a.Process.Signal(syscall.SIGTERM)
	for !strings.Contains(a.log.String(), "draining") {
		time.Sleep(5 * time.Millisecond)
	}
	a.Process.Signal(syscall.SIGTERM)
	if err := a.Wait(); err == nil {
		t.Error("the program ended with status 0; want the signal's")
	}
}

// Graphs of reasoning need no store; problems of the numbers game have their steps judged.
func TestServeDrawsReasoningWithoutStore(t *testing.T) {
	a := startServe(t, nil, demo, "--backend", "go")
	post := func(body string) (int, string) {
		answer, err := http.Post(a.url+"/reasoning/graph", openai.JSONType, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	for body, want := range map[string]string{
		`{"text":"First, 2 + 2 = 4.\n\nWait, let me check that.\n\nSo it is 4.","problem":"What is 2 + 2?"}`: `"nodes":`,
		`{"text":"3 + 7 = 10 ; ","problem":"3 7 2 9 -> 27","format":"dot"}`:                                  "digraph",
	} {
		if status, text := post(body); status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: got %d, %.300s; want 200 with %s", body, status, text, want)
		}
	}
	if status, text := post(`{"text":""}`); status != 400 || !strings.Contains(text, "'text'") {
		t.Errorf("an empty text: got %d, %s; want 400 about 'text'", status, text)
	}
	a.end(t)
}

// What cannot be served is said in one line that tells what to do, before anything is loaded.
func TestServeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"open to others without keys": {[]string{demo, "--host", "0.0.0.0"}, "ASTRO_API_KEY"},
		"no such folder":              {[]string{filepath.Join(t.TempDir(), "absent")}, "absent"},
		"trees without a store":       {[]string{demo, "--trees", "trees.jsonl"}, "--store DIR"},
		"unknown dtype":               {[]string{demo, "--dtype", "q4"}, "f32 and bf16"},
		"unknown backend":             {[]string{demo, "--backend", "tpu"}, "tpu"},
		"too little memory":           {[]string{demo, "--backend", "go", "--memory-bytes", "1000"}, "not enough memory"},
		"learning over devices":       {[]string{demo, "--tensor-parallel", "2", "--learn", "countdown", "--store", t.TempDir()}, "cannot be trained yet"},
		"no device":                   {[]string{demo, "--tensor-parallel", "0"}, "want at least 1"},
		"devices of go":               {[]string{demo, "--tensor-parallel", "2", "--backend", "go"}, "backend go has one device"},
		"no page fits":                {[]string{demo, "--backend", "go", "--kv-bytes", "10"}, "--page-tokens"},
	} {
		text, err := command(nil, append([]string{"serve", "--port", "0"}, c.args...)...).CombinedOutput()
		if err == nil || !strings.HasPrefix(string(text), "astro: ") || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), c.want) {
			t.Errorf("%s: got %v, %s; want one line with %q", name, err, text, c.want)
		}
	}
}
