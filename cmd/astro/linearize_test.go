package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"astro/training/countdown"
	"astro/training/linearize"
	"astro/training/recipe"
	"astro/training/tree"
)

// runAstro runs astro with arguments.
func runAstro(args ...string) (string, error) {
	root, out := newRootCommand(), new(bytes.Buffer)
	root.SetArgs(args)
	root.SetIn(strings.NewReader(""))
	root.SetOut(out)
	root.SetErr(io.Discard)
	err := root.ExecuteContext(context.Background())
	return out.String(), err
}

// writeTrees writes one countdown tree with a wrong branch, and one without any right answer.
func writeTrees(t *testing.T) string {
	t.Helper()
	p := countdown.Problem{Numbers: []int{3, 7, 2}, Target: 12}
	step := func(state []int, a int, op byte, b, c int) []int32 {
		return countdown.Steps(state, []countdown.Move{{A: a, Op: op, B: b, C: c}})
	}
	good := &tree.Tree{ID: "good", Problem: p.String(), Prompt: countdown.Prompt(p), Nodes: []tree.Node{{Parent: -1},
		{Parent: 0, Tokens: step([]int{3, 7, 2}, 7, '+', 3, 10)},
		{Parent: 1, Tokens: step([]int{2, 10}, 10, '-', 2, 8), Terminal: true, Answer: "8"},
		{Parent: 1, Tokens: step([]int{2, 10}, 10, '+', 2, 12), Terminal: true, Correct: true, Answer: "12"}}}
	bad := *good
	bad.ID, bad.Nodes = "bad", good.Nodes[:3]
	var b bytes.Buffer
	for _, tr := range []*tree.Tree{good, &bad} {
		line, err := tree.Encode(tr)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(line)
	}
	path := filepath.Join(t.TempDir(), "trees.jsonl")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// From trees to traces to a drawing: both arms are written, what was skipped is said, and the graph of a trace shows its return.
func TestLinearizeAndGraph(t *testing.T) {
	dir := t.TempDir()
	out, err := runAstro("linearize", "--trees", writeTrees(t), "--out", dir, "--direct", "--k", "1", "--mask-failed")
	if err != nil || !strings.Contains(out, "2 trees, 1 kept; 1 search and 1 direct traces") || !strings.Contains(out, "skipped trees: 1 no_correct_terminal") ||
		!strings.Contains(out, "1 returns, 100 % of them to a step") {
		t.Fatalf("got %v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, recipe.SearchTraces))
	if err != nil {
		t.Fatal(err)
	}
	traces, err := linearize.ReadTraces(bytes.NewReader(data))
	if err != nil || len(traces) != 1 || traces[0].K != 1 || traces[0].Problem != "3 7 2 -> 12" {
		t.Fatalf("got %+v, %v", traces, err)
	}
	svg := filepath.Join(dir, "a.svg")
	if _, err := runAstro("graph", "--in", filepath.Join(dir, recipe.SearchTraces), "--domain", "countdown", "--out", svg); err != nil {
		t.Fatal(err)
	}
	drawn, err := os.ReadFile(svg)
	if err != nil || xml.Unmarshal(drawn, new(struct{})) != nil || strings.Count(string(drawn), `class="return"`) != 1 || strings.Count(string(drawn), `class="step"`) != 3 {
		t.Errorf("the drawing: %v\n%s", err, drawn)
	}
	out, err = runAstro("graph", "--in", filepath.Join(dir, recipe.DirectTraces), "--domain", "countdown", "--format", "json")
	if err != nil || strings.Contains(out, `"return"`) || !strings.Contains(out, `"mark": "good"`) {
		t.Errorf("the direct trace: %v\n%s", err, out)
	}
}

// Wrong use is told before anything is done.
func TestLinearizeAndGraphRefuse(t *testing.T) {
	trees, dir := writeTrees(t), t.TempDir()
	answer := filepath.Join(dir, "answer.txt")
	os.WriteFile(answer, []byte("one\n\ntwo"), 0o644)
	for want, args := range map[string][]string{
		"want --trees":      {"linearize"},
		"unknown --domain":  {"linearize", "--trees", trees, "--domain", "chess"},
		"--writer-url":      {"linearize", "--trees", trees, "--domain", "text"},
		"traces per tree":   {"linearize", "--trees", trees, "--search-per-problem", "0", "--out", dir},
		"no such file":      {"linearize", "--trees", trees + "x", "--out", dir},
		"largest value":     {"linearize", "--trees", trees, "--max-value", "5000"},
		"for --domain text": {"linearize", "--trees", trees, "--high-q", "1"},
		"unknown format":    {"graph", "--in", answer, "--format", "png"},
		"--problem":         {"graph", "--in", answer, "--domain", "countdown"},
		"unknown --domain ": {"graph", "--in", answer, "--domain", "chess"},
		"open the answer":   {"graph", "--in", answer + "x"},
	} {
		if out, err := runAstro(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v; want %q\n%s", args, err, want, out)
		}
	}
	if out, err := runAstro("graph", "--in", answer, "--format", "dot"); err != nil || strings.Count(out, "->") != 2 {
		t.Errorf("two steps: %v\n%s", err, out)
	}
}

// A text domain end to end through the API, with tokens of a model's folder.
func TestLinearizeText(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Messages []struct{ Content string } }
		json.NewDecoder(r.Body).Decode(&q)
		_, turn, _ := strings.Cut(q.Messages[0].Content, "### Your turn")
		_, step, _ := strings.Cut(turn, "\nStep: ")
		text := "So " + strings.TrimSuffix(step, "\nContinuation:")
		if strings.HasSuffix(turn, "Sentence:") {
			text = "Let's restart our solution from the beginning."
		}
		json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"message": map[string]any{"content": text}}}})
	}))
	defer server.Close()
	line, err := tree.Encode(&tree.Tree{ID: "t", Problem: "2 + 2?", Gold: "4", Prompt: []int32{1}, Nodes: []tree.Node{{Parent: -1},
		{Parent: 0, Tokens: []int32{1}, Text: `\boxed{5}`, Terminal: true, Answer: "5"},
		{Parent: 0, Tokens: []int32{2}, Text: `\boxed{4}`, Terminal: true, Correct: true, Answer: "4"}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	trees := filepath.Join(dir, "trees.jsonl")
	os.WriteFile(trees, line, 0o644)
	out, err := runAstro("linearize", "--trees", trees, "--out", dir, "--domain", "text", "--model", "../../model/tokenizer/testdata/bpe512",
		"--writer-url", server.URL, "--writer-model", "m", "--k", "1", "--self-evaluations", "0")
	data, _ := os.ReadFile(filepath.Join(dir, recipe.SearchTraces))
	traces, readErr := linearize.ReadTraces(bytes.NewReader(data))
	if err != nil || readErr != nil || len(traces) != 1 || len(traces[0].Tokens) < 50 || linearize.CountReturns(traces[0].Text).Restart != 1 {
		t.Fatalf("got %v, %v\n%s\n%s", err, readErr, out, data)
	}
	if _, err := os.Stat(filepath.Join(dir, recipe.DirectTraces)); err == nil {
		t.Error("direct traces were written unasked")
	}
}
