package math

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"astro/training/eval"
)

// line is one scripted answer: text, finish reason, and what the server counts as generated tokens.
type line struct {
	text, finish string
	tokens       int
}

// script is a server that answers each sample, known by its seed and temperature, with its line.
type script struct {
	mu    sync.Mutex
	lines map[int64]line // by seed, for samples
	best  map[int64]line // by seed, for the greedy pass
	asked map[string]int // how often each body came
}

// RoundTrip makes the script a server without sockets.
func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var q struct {
		Temperature float64
		Seed        int64
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[string(body)]++
	l, ok := s.lines[q.Seed]
	if q.Temperature == 0 {
		l, ok = s.best[q.Seed]
	}
	if !ok {
		return nil, fmt.Errorf("no line for %s", body)
	}
	answer := fmt.Sprintf(`{"choices":[{"message":{"role":"assistant","content":%q},"finish_reason":%q}],"usage":{"prompt_tokens":5,"completion_tokens":%d}}`,
		l.text, l.finish, l.tokens)
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer))}, nil
}

// requests is how many came, and how many of them a second time.
func (s *script) requests() (all, again int) {
	for _, n := range s.asked {
		all, again = all+n, again+n-1
	}
	return all, again
}

const back, restart = "Let\u2019s go back  to where we\nhad. ", "let's restart our solution from the beginning. "

// exam is four problems with four samples each, made for sums that fit on paper.
var exam = []struct {
	problem Problem
	tokens  int
	samples [4]line
	greedy  string
}{
	{Problem{"p1", "One?", "1", "Algebra", "1"}, 10, [4]line{
		{text: back + restart + `\boxed{1}`}, {text: back + `\boxed{1}`}, {text: back + back + `\boxed{1}`}, {text: `\boxed{2}`}}, `\boxed{1}`},
	{Problem{"p2", "Two?", "2", "Algebra", "2"}, 20, [4]line{
		{text: restart + `\boxed{2}`}, {text: `\boxed{5}`}, {text: `\boxed{5.0}`}, {text: `it is 2, no, 2`, finish: "length"}}, `\boxed{7}`},
	{Problem{"p3", "Three?", "3", "Geometry", "2"}, 30, [4]line{
		{text: restart + back + `\boxed{3}`}, {text: back + `The answer is 3.`}, {text: `\boxed{4}`}, {text: `\boxed{6}, but`, finish: "length"}}, `\boxed{3}`},
	{Problem{"p4", "Four?", "4", "", ""}, 40, [4]line{
		{text: back + back + `\boxed{4}`}, {text: back + restart + `\boxed{4}`}, {text: restart + `\boxed{4}`}, {text: back + `\boxed{4}`}}, `\boxed{4}`},
}

// newExam makes the run of exam into dir, with its server.
func newExam(t *testing.T, dir string) (Config, *script) {
	t.Helper()
	c := Config{Set: Set{Name: "exam"}, Samples: 4, Temperature: 1, TopP: 1, Greedy: true, Seed: 11, Concurrency: 3, Dir: dir,
		Grader: Verifier(), Pass: []int{1, 2, 4}, Maj: []int{2, 4}}
	s := &script{lines: map[int64]line{}, best: map[int64]line{}, asked: map[string]int{}}
	for _, e := range exam {
		c.Set.Problems = append(c.Set.Problems, e.problem)
		for i, l := range e.samples {
			l.tokens = e.tokens
			if l.finish == "" {
				l.finish = "stop"
			}
			s.lines[key{e.problem.ID, false, i}.seed(c.Seed)] = l
		}
		s.best[key{e.problem.ID, true, 0}.seed(c.Seed)] = line{e.greedy, "stop", 3}
	}
	var err error
	if c.Prompt, err = LoadPrompt("box"); err != nil {
		t.Fatal(err)
	}
	if c.Phrases, err = LoadPhrases(""); err != nil {
		t.Fatal(err)
	}
	c.Client = NewClient("http://exam", "toy", "", 3)
	c.Client.HTTP = &http.Client{Transport: s}
	return c, s
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12 || math.IsNaN(got) {
		t.Errorf("%s: got %.17g; want %.17g", what, got, want)
	}
}

func nearEstimate(t *testing.T, what string, got eval.Estimate, mean, se float64) {
	t.Helper()
	near(t, what, got.Mean, mean)
	near(t, "standard error of "+what, got.SE, se)
}

// Every figure of the summary against one that was computed by hand.
//
// Shares right: 3/4 1/4 1/2 1. pass@2: 1, 1 - 3/6, 1 - 1/6, 1. maj@2 over the six pairs: p1 AAAB (3 + 3/2)/6, p2 AB'B- (2/2 + 1)/6,
// p3 AABC (1 + 4/2)/6, p4 1. maj@4: 1, 0 (5 and 5.0 are one answer with two votes), 1, 1. Backtracks: the ten right samples
// have five times 2 and five times 1, the six wrong ones none: sums of squares 25 - 15*15/16, 10 - 10*10/16, products 15 - 15*10/16.
func TestSummaryByHand(t *testing.T) {
	c, server := newExam(t, t.TempDir())
	s, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	nearEstimate(t, "avg@4", s.Avg, 5.0/8, math.Sqrt(5.0/192))
	nearEstimate(t, "avg@4, box only", s.AvgBoxed, 9.0/16, math.Sqrt((9+25+25+49)/256.0/12))
	nearEstimate(t, "greedy", *s.GreedyScore, 3.0/4, 1.0/4)
	nearEstimate(t, "pass@1", s.Pass[0].Estimate, 5.0/8, math.Sqrt(5.0/192))
	nearEstimate(t, "pass@2", s.Pass[1].Estimate, 5.0/6, math.Sqrt(1.0/72))
	nearEstimate(t, "pass@4", s.Pass[2].Estimate, 1, 0)
	near(t, "maj@2", s.Maj[0].Mean, 31.0/48)
	nearEstimate(t, "maj@4", s.Maj[1].Estimate, 3.0/4, 1.0/4)
	nearEstimate(t, "truncated", s.Truncated, 1.0/8, math.Sqrt(1.0/192))
	nearEstimate(t, "tokens", s.Tokens, 25, math.Sqrt(500.0/12))
	near(t, "backtracks", s.Backtracks.Mean, 15.0/16)
	near(t, "correlation", s.Correlation.R, 90/math.Sqrt(175*60))
	if s.Correlation.N != 16 || s.Refused != 0 || s.Avg.N != 4 {
		t.Errorf("got n %d and %d, %d refused; want 16, 4 and none", s.Correlation.N, s.Avg.N, s.Refused)
	}
	nearEstimate(t, "Algebra", s.Subjects[0].Avg, 1.0/2, 1.0/4)
	nearEstimate(t, "level 2", s.Levels[1].Avg, 3.0/8, 1.0/8)
	if len(s.Subjects) != 2 || s.Subjects[1].Name != "Geometry" || s.Subjects[1].Truncated != 0.25 || len(s.Levels) != 2 {
		t.Errorf("got groups %+v and %+v", s.Subjects, s.Levels)
	}
	if all, again := server.requests(); all != 20 || again != 0 {
		t.Errorf("got %d requests, %d of them repeated; want 20 and none", all, again)
	}
	checkReports(t, c.Dir, s)
}

// checkReports reads the three forms back.
func checkReports(t *testing.T, dir string, s Summary) {
	t.Helper()
	read, err := ReadSummary(dir)
	if err != nil || read.Text() != s.Text() {
		t.Errorf("summary.json read back gives another text, error %v", err)
	}
	for name, want := range map[string][]string{
		"summary.txt": {"exam: toy, prompt box, 4 problems x 4 samples at temperature 1\n", "avg@4 ", "62.50 ± 16.14 %", "pass@2 ", "83.33 ± 11.79 %", "maj@4 ",
			"75.00 ± 25.00 %", "12.50 ± 7.22 %", "25.0 ± 6.5", "+0.878 (n = 16)", "Geometry"},
		"summary.md": {"| metric | value ± standard error |\n|---|---|\n| avg@4 | 62.50 ± 16.14 % |\n", "| Algebra | 2 | 50.00 ± 25.00 % |"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		for _, part := range want {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s has no %q:\n%s", name, part, text)
			}
		}
	}
}

// shuffledExam is the samples of a small run in an order in which they might have come, and the folder of the finished run.
func shuffledExam(t *testing.T) (lines [][]byte, want map[string]string) {
	t.Helper()
	c := smallExam(t, t.TempDir())
	if _, err := Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	want = folder(t, c.Dir)
	lines = slices.Collect(bytes.Lines([]byte(want[samplesFile])))
	random := rand.New(rand.NewPCG(5, 6))
	random.Shuffle(len(lines), func(i, k int) { lines[i], lines[k] = lines[k], lines[i] })
	return lines, want
}

// smallExam asks two samples and the greedy one of the first two problems.
func smallExam(t *testing.T, dir string) Config {
	c, _ := newExam(t, dir)
	c.Set, c.Samples, c.Pass, c.Maj = c.Set.Limit(2), 2, nil, nil
	return c
}

// A crash may leave any beginning of the file. Whatever it is, whole lines are kept, a torn one is cut, and what is appended
// then makes a file of whole lines again.
func TestJournalAfterACrashAtEveryByte(t *testing.T) {
	lines, _ := shuffledExam(t)
	lines = lines[:3]
	crashed := bytes.Join(lines, nil)
	dir := t.TempDir()
	for length := range len(crashed) + 1 {
		if err := os.WriteFile(filepath.Join(dir, samplesFile), crashed[:length], 0o644); err != nil {
			t.Fatal(err)
		}
		j, samples, cut, err := openJournal(dir)
		if err != nil {
			t.Fatalf("crash at byte %d: %v", length, err)
		}
		whole := wholeLines(crashed[:length])
		if kept := len(bytes.Join(lines[:whole], nil)); len(samples) != whole || cut != max(0, length-kept) {
			t.Fatalf("crash at byte %d: got %d samples, %d bytes cut; want %d samples", length, len(samples), cut, whole)
		}
		for _, l := range lines[whole:] {
			var s Sample
			if err := json.Unmarshal(l, &s); err != nil {
				t.Fatal(err)
			}
			if err := j.append(&s); err != nil {
				t.Fatal(err)
			}
		}
		j.close()
		if got, err := os.ReadFile(j.path()); err != nil || !bytes.Equal(got, crashed) {
			t.Fatalf("crash at byte %d: the file went on as\n%s\nwant\n%s", length, got, crashed)
		}
	}
}

// The next start asks for just what is missing and ends with the same bytes as a run that was never stopped.
func TestResumeAfterACrash(t *testing.T) {
	lines, want := shuffledExam(t)
	crashed := bytes.Join(lines, nil)
	random := rand.New(rand.NewPCG(7, 8))
	for range 12 {
		length := random.IntN(len(crashed) + 1)
		dir := t.TempDir()
		c := smallExam(t, dir)
		server := c.Client.HTTP.Transport.(*script)
		for name, data := range map[string][]byte{samplesFile: crashed[:length], settingsFile: []byte(want[settingsFile])} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Run(context.Background(), c); err != nil {
			t.Fatalf("after a crash at byte %d: %v", length, err)
		}
		whole := wholeLines(crashed[:length])
		if all, again := server.requests(); all != len(lines)-whole || again != 0 {
			t.Errorf("crash at byte %d left %d whole lines of %d: got %d requests, %d repeated", length, whole, len(lines), all, again)
		}
		if got := folder(t, dir); !maps.Equal(got, want) {
			t.Errorf("crash at byte %d: the files differ from those of a run that was not stopped", length)
		}
	}
}

// wholeLines counts lines whose JSON is whole; the last may lack its end of line.
func wholeLines(data []byte) int {
	n := 0
	for l := range bytes.Lines(data) {
		if json.Valid(l) {
			n++
		}
	}
	return n
}

// folder is the content of the files of a run.
func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	content := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		content[e.Name()] = string(data)
	}
	return content
}

// A run that is stopped keeps what it has, says how to go on, and goes on with more samples of more problems.
func TestStopAndGrow(t *testing.T) {
	c, server := newExam(t, t.TempDir())
	c.Concurrency = 1
	ctx, stop := context.WithCancel(context.Background())
	c.Progress = func(done, _ int) {
		if done == 7 {
			stop()
		}
	}
	if _, err := Run(ctx, c); err == nil || !strings.Contains(err.Error(), "of 20 samples are kept") {
		t.Fatalf("got %v; want that it stopped within 20", err)
	}
	c.Progress = nil
	if _, err := Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if all, again := server.requests(); all > 21 || again > 1 {
		t.Errorf("got %d requests, %d repeated; want 20 and the one that was in flight", all, again)
	}

	small, server := newExam(t, t.TempDir())
	small.Set, small.Samples, small.Greedy, small.Pass, small.Maj = small.Set.Limit(2), 2, false, nil, nil
	if _, err := Run(context.Background(), small); err != nil {
		t.Fatal(err)
	}
	grown, _ := newExam(t, small.Dir)
	grown.Client = small.Client
	if _, err := Run(context.Background(), grown); err != nil {
		t.Fatal(err)
	}
	if all, again := server.requests(); all != 20 || again != 0 {
		t.Errorf("a run that grew: got %d requests, %d repeated; want 20 and none", all, again)
	}
	if folder(t, grown.Dir)[samplesFile] != folder(t, c.Dir)[samplesFile] {
		t.Error("a run that grew ended with another file than one that was whole from the start")
	}
}

// What cannot go on in a folder is refused before anything is asked.
func TestRefuses(t *testing.T) {
	c, server := newExam(t, t.TempDir())
	if _, err := Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *Config){
		"--temperature 1, not 0.5": func(c *Config) { c.Temperature = 0.5 },
		"the model toy, not other": func(c *Config) { c.Client = NewClient("http://exam", "other", "", 1) },
		"more --samples: 4, not 3": func(c *Config) { c.Samples, c.Pass, c.Maj = 3, nil, nil },
		"more problems: 4, not 2":  func(c *Config) { c.Set = c.Set.Limit(2) },
		"other texts or answers": func(c *Config) {
			c.Set.Problems = append([]Problem{{ID: "p1", Text: "One?", Gold: "9"}}, c.Set.Problems[1:]...)
		},
		"--pass 5 with 4": func(c *Config) { c.Pass = []int{5} },
		"concurrency 0":   func(c *Config) { c.Concurrency = 0 },
		"0 samples":       func(c *Config) { c.Samples, c.Greedy = 0, false },
		"temperature NaN": func(c *Config) { c.Temperature = math.NaN() },
		"top-p 0":         func(c *Config) { c.TopP = 0 },
	} {
		other, _ := newExam(t, c.Dir)
		change(&other)
		if _, err := Run(context.Background(), other); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v; want an error with %q", err, name)
		}
	}
	lock, _, _, err := openJournal(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.close()
	if _, err := Run(context.Background(), c); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second run in the folder: got %v", err)
	}
	if all, _ := server.requests(); all != 20 {
		t.Errorf("got %d requests; want the 20 of the first run", all)
	}
}

// A line that no crash can have made is not thrown away.
func TestForeignLine(t *testing.T) {
	c, _ := newExam(t, t.TempDir())
	if err := os.WriteFile(filepath.Join(c.Dir, samplesFile), []byte("{\"id\":\"p1\"\n{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), c); err == nil || !strings.Contains(err.Error(), "line 1 is no sample") {
		t.Errorf("got %v; want an error that names line 1", err)
	}
}
