package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeProblems writes lines to a file of problems.
func writeProblems(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "problems.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// A search in lock step that is killed, with no chance to tidy up, goes on to the very bytes of one that was not.
func TestSearchSurvivesKill(t *testing.T) {
	problems := writeProblems(t, `{"problem":"3 7 2 9 -> 27"}`, `{"problem":"1 2 3 4 -> 24"}`, `{"problem":"5 5 2 8 -> 30"}`, `{"problem":"6 2 9 4 -> 12"}`,
		`{"problem":"7 7 1 3 -> 21"}`, `{"problem":"8 2 4 1 -> 16"}`)
	dir := t.TempDir()
	search := func(out string) []string {
		return []string{"search", "--model", demo, "--backend", "go", "--problems", problems, "--out", filepath.Join(dir, out), "--lock-step", "--parallel", "2",
			"--children", "4", "--rollouts", "1", "--iterations", "4"}
	}
	text, err := command(nil, search("whole.jsonl")...).CombinedOutput()
	if err != nil || !strings.Contains(string(text), "6 problems: 6 trees (0 from an earlier run), 0 failed, 0 skipped") || !strings.Contains(string(text), "tokens/s") {
		t.Fatalf("got %v: %s", err, text)
	}
	want, err := os.ReadFile(filepath.Join(dir, "whole.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(dir, "killed.jsonl")
	c := command(nil, search("killed.jsonl")...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for got := []byte(nil); bytes.Count(got, []byte("\n")) < 2; got, _ = os.ReadFile(killed) { // it is not there at first
		time.Sleep(time.Millisecond)
	}
	c.Process.Kill()
	c.Wait() // fails, as it was killed
	text, err = command(nil, search("killed.jsonl")...).CombinedOutput()
	if err != nil || strings.Contains(string(text), "(0 from an earlier run)") {
		t.Fatalf("the second start: %v: %s", err, text)
	}
	if got, _ := os.ReadFile(killed); !bytes.Equal(got, want) {
		t.Error("the trees differ from those of a search that was not killed")
	}
	text, err = command(nil, append(search("killed.jsonl"), "--seed", "9")...).CombinedOutput()
	if err == nil || !strings.Contains(string(text), "another search") {
		t.Errorf("another seed in the same file: %v: %s", err, text)
	}
}

// Bad input: each mistake is named, and problems that the domain cannot take are skipped and counted.
func TestSearchInput(t *testing.T) {
	out := filepath.Join(t.TempDir(), "trees.jsonl")
	search := func(problems string, more ...string) (string, error) {
		c := command(nil, append([]string{"search", "--model", demo, "--backend", "go", "--problems", problems, "--out", out, "--children", "2", "--rollouts", "1",
			"--iterations", "1"}, more...)...)
		text, err := c.CombinedOutput()
		return string(text), err
	}
	mixed := writeProblems(t, `{"problem":"3 7 2 9 -> 27"}`, `{"problem":"3 7 2 9"}`, `{"problem":"3 7 2 99 -> 27"}`)
	text, err := search(mixed)
	if err != nil || !strings.Contains(text, "3 problems: 1 trees (0 from an earlier run), 0 failed, 2 skipped") || !strings.Contains(text, "line 2: cannot read the problem") {
		t.Errorf("got %v: %s", err, text)
	}
	instruction := filepath.Join(t.TempDir(), "instruction.txt")
	if err := os.WriteFile(instruction, []byte("{{problem}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	answered := writeProblems(t, `{"problem":"3 7 2 9 -> 27","answer":"27"}`) // the demo model writes no boxes: its steps end nothing
	text, err = search(answered, "--domain", "text", "--instruction", instruction, "--step-tokens", "4", "--answer-tokens", "8", "--out", out+".text")
	if err != nil || !strings.Contains(text, "1 problems: 1 trees") || !strings.Contains(text, "yield 0.0 %") {
		t.Errorf("text: got %v: %s", err, text)
	}
	for name, test := range map[string]struct {
		problems string
		more     []string
		want     string
	}{
		"no JSON":    {writeProblems(t, "3 7 2 9 -> 27"), nil, "line 1 is no problem"},
		"nothing":    {writeProblems(t, ""), nil, "holds no problems"},
		"none fits":  {writeProblems(t, `{"problem":"x"}`), nil, "no problem can be searched"},
		"no file":    {"", nil, "want --problems FILE"},
		"domain":     {mixed, []string{"--domain", "chess"}, `unknown --domain "chess"`},
		"max value":  {mixed, []string{"--max-value", "99"}, "token ids"},
		"no answer":  {mixed, []string{"--domain", "text"}, "no answer"},
		"steps":      {mixed, []string{"--domain", "text", "--steps", "words"}, "want blank or numbered"},
		"iterations": {mixed, []string{"--iterations", "0"}, "0 iterations"},
	} {
		if text, err := search(test.problems, test.more...); err == nil || !strings.Contains(text, test.want) {
			t.Errorf("%s: got %v: %s; want %q", name, err, text, test.want)
		}
	}
}
