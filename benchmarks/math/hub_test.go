package math

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
)

// fakeHub serves one file of one data set at one commit, as the hub does.
func fakeHub(t *testing.T, p Place, content string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/api/datasets/"+p.Repo+"/revision/"+p.Revision, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"id":%q,"sha":%q,"siblings":[{"rfilename":%q}]}`, p.Repo, p.Revision, p.File)
	})
	mux.HandleFunc("/datasets/"+p.Repo+"/resolve/"+p.Revision+"/"+p.File, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"0123456789abcdef"`)
		io.WriteString(w, content)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// A set comes from the hub once, and from the cache when there is no network.
func TestSetFromTheHub(t *testing.T) {
	content := `{"unique_id":"test/algebra/1","problem":"?","answer":"1","subject":"Algebra","level":2}` + "\n"
	server := fakeHub(t, places["math500"], content)
	var notes []string
	source := Source{Hub: Hub{Endpoint: server.URL, CacheDir: t.TempDir()}, Notify: func(s string) { notes = append(notes, s) }}
	for range 2 {
		set, err := source.Load(context.Background(), "math500")
		if err != nil {
			t.Fatal(err)
		}
		if set.Name != "math500" || set.Problems[0] != (Problem{"test/algebra/1", "?", "1", "Algebra", "2"}) || !strings.Contains(set.Origin, "@6e4ed1a2") {
			t.Errorf("got %+v", set)
		}
		server.Close()
	}
	if len(notes) != 2 || !strings.Contains(notes[0], "loading math500 from HuggingFaceH4/MATH-500@6e4ed1a2") {
		t.Errorf("said %q", notes)
	}
}

// A set that the hub has as Parquet.
func TestParquetFromTheHub(t *testing.T) {
	file, err := os.ReadFile("testdata/two.parquet")
	if err != nil {
		t.Fatal(err)
	}
	server := fakeHub(t, places["aime24"], string(file))
	set, err := Source{Hub: Hub{Endpoint: server.URL, CacheDir: t.TempDir()}}.Load(context.Background(), "aime24")
	if err != nil {
		t.Fatal(err)
	}
	want := []Problem{{"60", "What is $9^2+123$?", "204", "", ""}, {"61", "What is $5^2$?", "025", "", ""}}
	if !slices.Equal(set.Problems, want) || set.Name != "aime24" {
		t.Errorf("got %+v; want %+v", set, want)
	}
}

func TestHubThatIsAway(t *testing.T) {
	server := fakeHub(t, places["math500"], "")
	server.Close()
	_, err := Source{Hub: Hub{Endpoint: server.URL, CacheDir: t.TempDir()}}.Load(context.Background(), "math500")
	if err == nil || !strings.Contains(err.Error(), "put math500.jsonl into a folder and name that with --data") {
		t.Errorf("got %v; want what to do without a network", err)
	}
}

// Only a full commit names a place: a branch could change under a run.
func TestPlaces(t *testing.T) {
	const commit = "0123456789012345678901234567890123456789"
	for name, ok := range map[string]bool{
		"math500":                                  true,
		"some/set@" + commit + ":a/test.jsonl":     true,
		"some/set@main:test.jsonl":                 false,
		"some/set@" + commit + ":../../test.jsonl": false,
		"set": false,
	} {
		if p, got := hubPlace(name); got != ok || ok && strings.Contains(name, "@") && p.String() != name {
			t.Errorf("%s: got %v %v", name, p, got)
		}
	}
	for name, p := range places {
		if !placeForm.MatchString(p.String()) {
			t.Errorf("%s is not pinned: %s", name, p)
		}
	}
}
