package recipe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"astro/training/countdown"
	"astro/training/linearize"
	"astro/training/random"
	"astro/training/recipe/prose"
	"astro/training/tree"
)

// treeFile writes trees.
func treeFile(t *testing.T, trees ...*tree.Tree) string {
	t.Helper()
	var b bytes.Buffer
	for _, tr := range trees {
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

// files are the names and contents of a folder but for the journal.
func files(t *testing.T, dir string) string {
	t.Helper()
	all := ""
	for _, name := range []string{SearchTraces, DirectTraces, TraceReport} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all += name + "\n" + string(data)
	}
	return all
}

// A file of trees becomes the same files however many trees are linearised at a time, and a file that is spoiled in the middle leaves
// what is there.
func TestLinearizeFiles(t *testing.T) {
	d := countdown.CD4
	var trees []*tree.Tree
	for i, p := range d.Sample(d.Split().Train, 60, random.New(2, 3)) {
		trees = append(trees, randomGameTree(d, p, uint64(i), false))
	}
	l := Linearize{Trees: treeFile(t, trees...), Dir: t.TempDir(), Options: linearize.Default(), Domain: CountdownTraces(d), Direct: true, Workers: 1}
	calls := 0
	report, err := l.Run(context.Background(), func(linearize.Report) { calls++ })
	if err != nil || report.Trees != 60 || report.Kept < 10 || calls != 60 {
		t.Fatalf("got %+v, %v, %d calls", report, err, calls)
	}
	want := files(t, l.Dir)
	for name, n := range map[string]int{SearchTraces: report.Search, DirectTraces: report.Direct} {
		f, err := os.Open(filepath.Join(l.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		traces, err := linearize.ReadTraces(f)
		f.Close()
		if err != nil || len(traces) != n || n == 0 {
			t.Errorf("%s: %d traces of %d, %v", name, len(traces), n, err)
		}
	}
	l.Dir, l.Workers = t.TempDir(), 7
	if _, err := l.Run(context.Background(), nil); err != nil || files(t, l.Dir) != want {
		t.Errorf("seven at a time: %v, or other files", err)
	}
	data, _ := os.ReadFile(l.Trees)
	os.WriteFile(l.Trees, append(data[:len(data)/2:len(data)/2], "{}\n"...), 0o644)
	if _, err := l.Run(context.Background(), nil); err == nil || files(t, l.Dir) != want {
		t.Errorf("a spoiled file of trees: error %v, or other files", err)
	}
	if left, _ := filepath.Glob(filepath.Join(l.Dir, "*.next")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// textTree has two wrong answers and two right ones.
func textTree(id int) *tree.Tree {
	node := func(parent int, text, answer string, right bool) tree.Node {
		return tree.Node{Parent: parent, Tokens: []int32{1}, Text: text + "\n\n", Terminal: answer != "", Answer: answer, Correct: right}
	}
	return &tree.Tree{ID: fmt.Sprint("p", id), Problem: "What is 2 + 2?", Gold: "4", Prompt: []int32{1, 2}, Nodes: []tree.Node{{Parent: -1},
		node(0, "Add them.", "", false), node(1, `\boxed{5}`, "5", false), node(1, `\boxed{4}`, "4", true),
		node(0, "Double it.", "", false), node(4, `\boxed{22}`, "22", false), node(4, `\boxed{4}`, "4", true)}}
}

// writerServer rewrites as our prompts ask; it answers so many requests and then only with errors.
func writerServer(t *testing.T, limit int) (url string, asked *int) {
	t.Helper()
	asked = new(int)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Messages []struct{ Content string } }
		json.NewDecoder(r.Body).Decode(&q)
		if *asked++; *asked > limit {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_, turn, _ := strings.Cut(q.Messages[0].Content, "### Your turn")
		_, step, _ := strings.Cut(turn, "\nStep: ")
		text := "So: " + strings.TrimSuffix(step, "\nContinuation:")
		switch {
		case strings.Contains(turn, "\nJudgement:"):
			text = "Verdict: yes"
		case strings.Contains(turn, "\nStep to go back to: "):
			text = "Let's go back to where we began it."
		case strings.Contains(turn, "\nSentence:"):
			text = "Let's restart our solution from the beginning."
		}
		json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"message": map[string]any{"content": text}}}})
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// A run whose model goes away half-way stops, and the same run later asks only what it has not heard, and ends with the very files of
// a run that was never stopped.
func TestLinearizeTextResumes(t *testing.T) {
	trees := treeFile(t, textTree(1), textTree(2), textTree(3))
	run := func(dir, url string) (linearize.Report, error) {
		ctx, stop := context.WithCancelCause(context.Background())
		defer stop(nil)
		client := prose.NewClient(url, "m", "", 1)
		client.Pause = time.Microsecond
		j, err := prose.OpenJournal(filepath.Join(dir, "replies.jsonl"), "m", &prose.Guard{Model: client, Limit: 3, Stop: stop})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		l := Linearize{Trees: trees, Dir: dir, Options: linearize.Default(), Direct: true, Workers: 1,
			Domain: linearize.Domain{Write: linearize.NewProse(j).Write, Quality: linearize.SelfEvaluation(j, 8, 1)}}
		return l.Run(ctx, nil)
	}
	whole, dir := t.TempDir(), t.TempDir()
	url, asked := writerServer(t, 1<<30)
	report, err := run(whole, url)
	if err != nil || report.Kept != 3 || report.Search != 9 || report.Direct != 9 || len(report.Dropped) > 0 {
		t.Fatalf("got %+v, %v", report, err)
	}
	total := *asked
	broken, _ := writerServer(t, total/2)
	var hopeless *prose.HopelessError
	if _, err := run(dir, broken); !errors.As(err, &hopeless) {
		t.Fatalf("a server that refuses: got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, SearchTraces)); err == nil {
		t.Error("a run that was stopped wrote traces")
	}
	*asked = 0
	if _, err := run(dir, url); err != nil || files(t, dir) != files(t, whole) || *asked != total-total/2 {
		t.Errorf("resumed: %v, asked %d of %d, or other files", err, *asked, total)
	}
}

// Tokens of a text have their places: cut there, the text is whole again, and the end of sequence is that of the model.
func TestTextTokens(t *testing.T) {
	for _, name := range []string{"bpe512", "spm-first", "spm-legacy"} {
		checkTextTokens(t, "../../model/tokenizer/testdata/"+name)
	}
	checkTextTokens(t, "../../model/gguf/testdata/llama3-bf16.gguf")
	checkTextTokens(t, "../../model/tokenizer/testdata/spm-gguf.gguf")
	if _, err := TextTokens(t.TempDir()); err == nil {
		t.Error("an empty folder was accepted")
	}
}

func checkTextTokens(t *testing.T, dir string) {
	t.Helper()
	tokens, err := TextTokens(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := "Step 1: $x^2 = 4$ \u00e9\U0001F600.\n\nThe answer is \\boxed{2}. <|eot_id|>"
	ids, starts, err := tokens(text)
	if err != nil || len(ids) != len(starts) || len(ids) < 10 || starts[0] != 0 || starts[len(starts)-1] != len(text) {
		t.Fatalf("got %v at %v, %v", ids, starts, err)
	}
	for i := range starts[1:] {
		if starts[i] > starts[i+1] {
			t.Errorf("places go back: %v", starts)
		}
	}
}
