package tree

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// sample is a small tree with everything in it.
func sample(id string) *Tree {
	return &Tree{ID: id, Problem: "1 2 -> 3", Gold: "3 < \"4\"", Prompt: []int32{1, 2}, Version: 7, Seed: 1<<64 - 1, Settings: "children 2", Tokens: 40,
		Nodes: []Node{{Parent: -1, Visits: 3, Q: 1. / 3},
			{Parent: 0, Tokens: []int32{5, 6}, Text: " 1 + 2 = 3 ;\u2028é", Draws: 2, Logprob: -.1, Prior: .75, Visits: 1, Q: 1, Return: 1, Terminal: true, Correct: true, Answer: "3", Reason: "correct"},
			{Parent: 0, Tokens: []int32{7}, Text: " 2", Draws: 1, Logprob: -1.2, Prior: .25, Visits: 2, Q: .1, Return: .25, Rollouts: 4},
			{Parent: 2, Tokens: []int32{8}, Draws: 1, Prior: 1, Visits: 1, Terminal: true, Reason: "illegal_step"}}}
}

// written appends trees of these ids to a new file.
func written(t *testing.T, path string, ids ...string) []byte {
	t.Helper()
	f, _, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, id := range ids {
		if err := f.Append(sample(id)); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func read(t *testing.T, path string) (trees []*Tree) {
	t.Helper()
	for tree, err := range Read(path) {
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, tree)
	}
	return trees
}

// What is written is read again, to the last bit of every number.
func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trees.jsonl")
	data := written(t, path, "a", "b")
	if got, want := read(t, path), []*Tree{sample("a"), sample("b")}; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !bytes.HasPrefix(data, []byte(`{"format":1,"id":"a","problem":"1 2 -> 3","gold":"3 < \"4\"","prompt":[1,2],"version":7,"seed":18446744073709551615,`)) {
		t.Errorf("a line begins with %.140s", data)
	}
}

// Whatever a crash leaves of the last line, going on repairs it and searches again what was in it, and the finished file is the same.
func TestResumeAfterACutAtAnyByte(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "trees.jsonl")
	whole := written(t, path, "a", "b")
	first := len(whole) / 2
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		visited := 0
		f, cutBytes, err := Open(path, func(*Tree) error { visited++; return nil })
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		wantTrees := (cut + 1) / first // a line that lacks only its end counts
		if visited != wantTrees || f.Len() != wantTrees || int(cutBytes) != max(0, cut-wantTrees*first) {
			t.Fatalf("cut at %d: got %d trees and %d bytes cut; want %d trees", cut, visited, cutBytes, wantTrees)
		}
		if err := f.Close(); err != nil || cut%first > 2 && cut%first < first-2 && cut%97 != 0 {
			continue // syncing them all takes long
		}
		if f, _, err = Open(path, nil); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"b", "a"} { // in another order
			if !f.Has(id) {
				if err := f.Append(sample(id)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := errors.Join(f.Finish([]string{"a", "none", "b"}), f.Close()); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); !bytes.Equal(got, whole) {
			t.Fatalf("cut at %d: the finished file is\n%s\nwant\n%s", cut, got, whole)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("files are left over: %v", left)
	}
}

// Files that no crash of ours leaves are refused and stay as they are.
func TestForeignFilesAreRefused(t *testing.T) {
	whole, err := Encode(sample("a"))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSuffix(string(whole), "\n")
	for name, test := range map[string]struct{ text, want string }{
		"notes":             {"remember the milk", "no tree"},
		"other JSON":        {`{"id":"a"}` + "\n", "no format"},
		"a newer format":    {strings.Replace(line, `"format":1`, `"format":2`, 1), "format 2; this program reads 1"},
		"a torn middle":     {line[:90] + "\n" + line + "\n", "line 1"},
		"the same twice":    {line + "\n" + line + "\n", "twice"},
		"no parent":         {strings.Replace(line, `"parent":2`, `"parent":9`, 1) + "\n", "earlier node"},
		"a number too high": {strings.Replace(line, `"q":0.1`, `"q":1.5`, 1) + "\n", "out of range"},
		"an empty line":     {"\n" + line + "\n", "line 1"},
	} {
		path := filepath.Join(t.TempDir(), "trees.jsonl")
		if err := os.WriteFile(path, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, err := Open(path, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v; want one with %q", name, err, test.want)
		}
		if left, _ := os.ReadFile(path); string(left) != test.text {
			t.Errorf("%s: the file was changed to %q", name, left)
		}
		var last error
		for _, last = range Read(path) {
		}
		if last == nil {
			t.Errorf("%s: Read takes it", name)
		}
	}
}

// Zeros at the end, which a machine may leave when it fails, are torn too.
func TestZerosAreTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trees.jsonl")
	whole := written(t, path, "a")
	if err := os.WriteFile(path, append(bytes.Clone(whole), make([]byte, 100)...), 0o644); err != nil {
		t.Fatal(err)
	}
	f, cut, err := Open(path, nil)
	if err != nil || cut != 100 || f.Len() != 1 {
		t.Fatalf("got %d bytes cut, error %v; want 100", cut, err)
	}
	f.Close()
}

// A tree that cannot be kept leaves the file as it was, and one process holds it at a time.
func TestAppendRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trees.jsonl")
	f, _, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	long := sample("long")
	long.Nodes[1].Tokens = make([]int32, MaxStepTokens+1)
	many := sample("many")
	for len(many.Nodes) <= MaxNodes {
		many.Nodes = append(many.Nodes, Node{Tokens: []int32{1}})
	}
	for _, bad := range []*Tree{{}, long, many} {
		if f.Append(bad) == nil {
			t.Errorf("tree %q is kept", bad.ID)
		}
	}
	if err := f.Append(sample("a")); err != nil {
		t.Fatal(err)
	}
	if f.Append(sample("a")) == nil {
		t.Error("the same tree is kept twice")
	}
	if got := read(t, path); len(got) != 1 {
		t.Errorf("got %d trees; want 1", len(got))
	}
	if _, _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second writer gets %v", err)
	}
	refuse := errors.New("other settings")
	f.Close()
	if _, _, err := Open(path, func(*Tree) error { return refuse }); !errors.Is(err, refuse) {
		t.Errorf("got %v; want what visit said", err)
	}
}

// A line above the limit is an error before it is read whole, not a lack of memory.
func TestLinesAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads a line of 64 MiB")
	}
	n := 0
	for l, err := range lines(strings.NewReader(`{"format":` + strings.Repeat(" ", MaxLineBytes) + "\n")) {
		if n++; err == nil || len(l.text) > MaxLineBytes+1<<17 {
			t.Errorf("got %d bytes, error %v", len(l.text), err)
		}
	}
	if n != 1 {
		t.Errorf("got %d lines; want 1", n)
	}
}

func TestShape(t *testing.T) {
	s := sample("a")
	if got := fmt.Sprint(s.Children(), s.Path(3), s.Path(0), s.Solved()); got != "[[1 2] [] [3] []] [2 3] [] true" {
		t.Errorf("got %s", got)
	}
	if s.Nodes[1].Correct = false; s.Solved() {
		t.Error("a tree without a correct terminal is solved")
	}
}

func FuzzDecode(f *testing.F) {
	whole, err := Encode(sample("a"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, text []byte) {
		tree, err := Decode(text)
		if err != nil {
			return
		}
		again, err := Encode(tree)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if back, err := Decode(again); err != nil || back.Validate() != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
