package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// ownSet is a problem set of this repository.
var ownSet = filepath.Join("..", "..", "benchmarks", "math", "testdata", "own.jsonl")

// deterministicServer answers each seed in its own way, always the same, and counts requests. After pause requests it answers
// no more until it is closed; 0 = it never pauses.
func deterministicServer(t *testing.T, pause int64) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var q struct{ Seed int64 }
		if err := json.Unmarshal(body, &q); err != nil {
			t.Errorf("got %s: %v", body, err)
		}
		if n := asked.Add(1); pause > 0 && n > pause {
			<-r.Context().Done()
			return
		}
		time.Sleep(time.Duration(q.Seed%3) * time.Millisecond) // so that answers come in another order than they were asked for
		fmt.Fprintf(w, `{"choices":[{"message":{"content":"so \\boxed{%d}"},"finish_reason":"stop"}],"usage":{"completion_tokens":%d}}`, q.Seed%50, q.Seed%9)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// A run that is killed in the middle, with no chance to tidy up, goes on and ends with the files of one that was not.
func TestBenchMathSurvivesKill(t *testing.T) {
	bench := func(url, dir string) []string {
		return []string{"bench", "math", "--set", ownSet, "--url", url, "--model", "m", "--samples", "4", "--greedy", "--concurrency", "3", "--out", dir}
	}
	url, asked := deterministicServer(t, 0)
	whole := t.TempDir()
	text, err := command(nil, bench(url, whole)...).CombinedOutput()
	if err != nil || !strings.Contains(string(text), "own: m, prompt box, 42 problems x 4 samples at temperature 1\n") ||
		!strings.Contains(string(text), "pass@4 ") || strings.Contains(string(text), "maj@8") {
		t.Fatalf("got %v: %s", err, text)
	}
	total := asked.Load()
	if total != 42*5 {
		t.Errorf("got %d requests; want %d", total, 42*5)
	}
	pausing, paused := deterministicServer(t, 100)
	dir := t.TempDir()
	c := command(nil, bench(pausing, dir)...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for paused.Load() <= 102 || linesOf(filepath.Join(dir, "samples.jsonl")) < 100 { // three workers wait for answers, and all 100 others were kept
		time.Sleep(5 * time.Millisecond)
	}
	c.Process.Kill()
	c.Wait() // fails, as it was killed
	if text, err := command(nil, bench(url, dir)...).CombinedOutput(); err != nil {
		t.Fatalf("the second start: %v: %s", err, text)
	}
	if again := asked.Load() - total; again != total-100 {
		t.Errorf("the second start asked %d times; want %d: no finished sample twice", again, total-100)
	}
	if got, want := folderOf(t, dir), folderOf(t, whole); !maps.Equal(got, want) {
		t.Error("the files differ from those of a run that was not killed")
	}
	for _, format := range []string{"text", "markdown", "json"} {
		text, err := command(nil, "bench", "compare", whole, dir, "--resamples", "200", "--format", format).CombinedOutput()
		if err != nil || !strings.Contains(string(text), "avg@k") {
			t.Errorf("compare as %s: %v: %s", format, err, text)
		}
	}
}

// linesOf counts the lines of a file, none where it is not there yet.
func linesOf(path string) int {
	data, _ := os.ReadFile(path)
	return bytes.Count(data, []byte("\n"))
}

// folderOf is the content of the files of a folder.
func folderOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	content := map[string]string{}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) < 5 {
		t.Fatalf("got %v in %s, error %v; want the files of a run", names, dir, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		content[filepath.Base(name)] = string(data)
	}
	return content
}

// Without --url the command serves the model itself. The demo model knows only its numbers game, so it is right by luck at most.
func TestBenchMathServesTheModel(t *testing.T) {
	dir := t.TempDir()
	c := command(nil, "bench", "math", "--set", ownSet, "--model", demo, "--backend", "go", "--prompt", "plain", "--limit", "3", "--samples", "2",
		"--max-tokens", "24", "--out", dir)
	text, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(text), "own: countdown-base, prompt plain, 3 problems x 2 samples") {
		t.Fatalf("got %v: %s", err, text)
	}
	if lines := strings.Count(folderOf(t, dir)["samples.jsonl"], "\n"); lines != 6 {
		t.Errorf("got %d samples; want 6", lines)
	}
}

// What cannot be run is said in one line that tells what to do.
func TestBenchMathRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no such set":       {[]string{"math", "--set", "olympiad"}, "JSONL"},
		"no such model":     {[]string{"math", "--set", ownSet, "--model", t.TempDir()}, "without --url"},
		"no such prompt":    {[]string{"math", "--set", ownSet, "--prompt", "kind"}, "fewshot"},
		"too large a k":     {[]string{"math", "--set", ownSet, "--url", "http://127.0.0.1:1", "--model", "m", "--pass", "32", "--out", t.TempDir()}, "--pass 32"},
		"nobody listens":    {[]string{"math", "--set", ownSet, "--url", "http://127.0.0.1:1", "--model", "m", "--tries", "1", "--out", t.TempDir()}, "run the same command"},
		"no run to compare": {[]string{"compare", t.TempDir(), t.TempDir()}, "is the run finished?"},
	} {
		text, err := command(nil, append([]string{"bench"}, c.args...)...).CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if last := lines[len(lines)-1]; err == nil || !strings.HasPrefix(last, "astro: ") || !strings.Contains(last, c.want) {
			t.Errorf("%s: got %v, %s; want a last line with %q", name, err, text, c.want)
		}
	}
}
