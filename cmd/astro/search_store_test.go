package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// searchInto searches with the demo model, into a file and a store.
func searchInto(out, store, problems string, more ...string) (string, error) {
	text, err := command(nil, append([]string{"search", "--model", demo, "--backend", "go", "--problems", problems, "--out", out, "--store", store, "--children", "2", "--rollouts", "1",
		"--iterations", "2", "--lock-step"}, more...)...).CombinedOutput()
	return string(text), err
}

// listed are the ids of a server's trees, sorted.
func (a *astro) listed(t *testing.T) (ids []string) {
	t.Helper()
	answer, err := http.Get(a.url + "/trees")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var list struct {
		Data []struct {
			ID    string `json:"id"`
			Nodes int    `json:"nodes"`
		} `json:"data"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil || answer.StatusCode != 200 {
		t.Fatal(answer.StatusCode, err)
	}
	for _, one := range list.Data {
		if one.Nodes < 2 {
			t.Errorf("%+v has no steps", one)
		}
		ids = append(ids, one.ID)
	}
	slices.Sort(ids)
	return ids
}

// What a search put into a store a server shows beside the trees of a file; a search that goes on puts in what was missing.
func TestSearchIntoStore(t *testing.T) {
	dir := t.TempDir()
	folder, out := filepath.Join(dir, "store"), filepath.Join(dir, "trees.jsonl")
	store := filepath.Join(folder, "state.db")
	problems := writeProblems(t, `{"problem":"3 7 2 9 -> 27"}`, `{"problem":"1 2 3 4 -> 24"}`)
	for range 2 {
		if text, err := searchInto(out, store, problems); err != nil || !strings.Contains(text, "2 trees are in "+store) {
			t.Fatalf("got %v: %s", err, text)
		}
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if text, err := searchInto(out, store, problems); err != nil || !strings.Contains(text, "2 trees (2 from an earlier run)") || !strings.Contains(text, "2 trees are in "+store) {
		t.Fatalf("a store that came later: got %v: %s", err, text)
	}
	file := filepath.Join(dir, "file.jsonl")
	if text, err := searchInto(file, filepath.Join(dir, "aside.db"), writeProblems(t, `{"id":"own","problem":"5 5 2 8 -> 30"}`)); err != nil {
		t.Fatal(err, text)
	}
	a := startServe(t, nil, demo, "--backend", "go", "--store", folder, "--trees", file)
	if got, want := a.listed(t), []string{"line 1", "line 2", "own"}; !slices.Equal(got, want) {
		t.Errorf("the server has %q; want %q", got, want)
	}
	if text, err := searchInto(out, store, problems); err == nil || !strings.Contains(text, "has it open; stop that one first") {
		t.Errorf("beside a server: got %v: %s", err, text)
	}
	a.end(t)
	exported, _, err := runStore(t, "", "export", "--store", store)
	if err != nil || strings.Count(exported, `{"type":"tree"`) != 3 {
		t.Errorf("exported %.300s, %v; want three trees", exported, err)
	}
}

// Trees of another search under the same ids are kept beside the first, and each of them once.
func TestTreesOfTwoSearches(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "store")
	store := filepath.Join(folder, "state.db")
	one, two := writeProblems(t, `{"problem":"3 7 2 9 -> 27"}`), writeProblems(t, `{"problem":"5 5 2 8 -> 30"}`)
	for _, run := range [][2]string{{"a", one}, {"b", two}, {"b", two}} {
		if text, err := searchInto(filepath.Join(dir, run[0]), store, run[1]); err != nil || !strings.Contains(text, "1 trees are in "+store) {
			t.Fatalf("got %v: %s", err, text)
		}
	}
	a := startServe(t, nil, demo, "--backend", "go", "--store", folder, "--trees", filepath.Join(dir, "b"))
	ids := a.listed(t)
	if len(ids) != 2 || ids[0] != "line 1" || !strings.HasPrefix(ids[1], "line 1#") {
		t.Fatalf("the server has %q; want line 1 twice, told apart", ids)
	}
	answer, err := http.Get(a.url + "/trees/" + url.PathEscape(ids[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), "5 5 2 8") {
		t.Errorf("%s is %s, %v; want the second problem", ids[1], text, err)
	}
	a.end(t)
}
