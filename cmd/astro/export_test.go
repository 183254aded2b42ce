package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"astro/feedback"
)

// runStore runs astro export or import with an input.
func runStore(t *testing.T, input string, args ...string) (out, diagnostics string, err error) {
	t.Helper()
	c := newRootCommand()
	var o, d strings.Builder
	c.SetIn(strings.NewReader(input))
	c.SetOut(&o)
	c.SetErr(&d)
	c.SetArgs(args)
	err = c.ExecuteContext(t.Context())
	return o.String(), d.String(), err
}

// sampleStore has two completions with their texts, and a vote.
func sampleStore(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := feedback.Open(path, feedback.Options{KeepText: true})
	if err != nil {
		t.Fatal(err)
	}
	prompt, output := "2 + 3 <=>", "fünf"
	for _, id := range []string{"c1", "c2"} {
		if err := s.Add(context.Background(), &feedback.Completion{ID: id, Tenant: "a", Key: "k", Model: "m", State: feedback.Complete, Finish: "stop", Prompt: []int32{1, 2},
			Output: []int32{70000, 4}, Logprobs: []float32{-0.25, -1.1}, Spans: []feedback.Span{{Version: 3, End: 2}}, PromptText: &prompt, OutputText: &output}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Rate(context.Background(), feedback.Feedback{Completion: "c2", Tenant: "a", Key: "k", Rater: "ann", Source: feedback.App, Reward: -0.5}, false); err != nil {
		t.Fatal(err)
	}
	if err := s.PutTree(context.Background(), feedback.Tree{ID: "3 7 -> 10", Version: 3, Tree: []byte(`{"format":1,"id":"3 7 -> 10"}`)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExportAndImport(t *testing.T) {
	path := sampleStore(t)
	all, _, err := runStore(t, "", "export", "--store", path)
	if err != nil || strings.Count(all, "\n") != 4 || !strings.Contains(all, `"completion":"fünf"`) || !strings.Contains(all, `"prompt":"2 + 3 <=>"`) {
		t.Fatalf("got %q, %v", all, err)
	}
	if some, _, err := runStore(t, "", "export", "--store", path, "--since", "1"); err != nil || strings.Count(some, "\n") != 2 || strings.Contains(some, `"c1"`) {
		t.Errorf("since 1: got %q, %v", some, err)
	}
	copied, bare := filepath.Join(t.TempDir(), "new", "copy.db"), filepath.Join(t.TempDir(), "bare.db")
	for range 2 {
		if _, said, err := runStore(t, all, "import", "--store", copied, "--keep-text"); err != nil || !strings.HasPrefix(said, "2 completions, 1 feedbacks and 1 trees") {
			t.Errorf("got %q, %v", said, err)
		}
	}
	if again, _, err := runStore(t, "", "export", "--store", copied); err != nil || again != all {
		t.Errorf("the copy is\n%s%v; want\n%s", again, err, all)
	}
	if _, _, err := runStore(t, all, "import", "--store", bare); err != nil {
		t.Error(err)
	}
	if text, _, err := runStore(t, "", "export", "--store", bare); err != nil || strings.Contains(text, "fünf") || strings.Contains(text, `"prompt"`) || strings.Contains(text, `"completion"`+":\"f") {
		t.Errorf("a store that keeps no texts gave %q, %v", text, err)
	}
}

func TestExportSaysWhatIsWrong(t *testing.T) {
	path := sampleStore(t)
	missing := filepath.Join(t.TempDir(), "no.db")
	for _, test := range []struct {
		input, want string
		args        []string
	}{
		{"", "--store FILE is missing", []string{"export"}},
		{"", "--store FILE is missing", []string{"import"}},
		{"", "there is no such file", []string{"export", "--store", missing}},
		{"", "--since -1", []string{"export", "--store", path, "--since", "-1"}},
		{"{}\n", "import line 1: type", []string{"import", "--store", path}},
		{`{"type":"feedback","id":"f","completion_id":"c9","source":"app","reward":1}`, "import that one first", []string{"import", "--store", path}},
		{`{"type":"completion","id":"x","unheard":1}`, `unknown field "unheard"`, []string{"import", "--store", path}},
	} {
		if out, _, err := runStore(t, test.input, test.args...); err == nil || !strings.Contains(err.Error(), test.want) || out != "" {
			t.Errorf("%q: got %q, %v; want %q", test.args, out, err, test.want)
		}
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("an export made a store")
	}
}

// What others see: Python reads the lines, and the file itself as docs/formats/feedback-store.md says.
func TestPythonReadsExportAndStore(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err == nil {
		err = exec.Command(python, "-c", "import json, sqlite3, struct").Run()
	}
	if err != nil {
		t.Skipf("no python3 with json and sqlite3: %v", err)
	}
	path := sampleStore(t)
	all, _, err := runStore(t, "", "export", "--store", path)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(python, filepath.Join("testdata", "read_store.py"), path)
	c.Stdin = strings.NewReader(all)
	if out, err := c.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "2 completions, 1 feedback, 1 trees, as exported" {
		t.Errorf("%v: %s", err, out)
	}
}
