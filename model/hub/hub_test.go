package hub

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"astro/model/hub/hubtest"
)

// repo is the model of these tests.
const repo = "some-org/tiny.llama-1"

// desk is a hub, a cache and a note of what was said.
type desk struct {
	*hubtest.Hub
	Options
	mu    sync.Mutex
	notes []string
	waits []time.Duration
}

func newDesk(t *testing.T) *desk {
	d := &desk{Hub: hubtest.New(t)}
	d.Options = Options{Endpoint: d.Hub.URL, CacheDir: filepath.Join(t.TempDir(), "hub")}
	d.Options.Notify = func(text string) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.notes = append(d.notes, text)
	}
	d.sleep = func(ctx context.Context, wait time.Duration) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.waits = append(d.waits, wait)
		return ctx.Err()
	}
	return d
}

func (d *desk) resolve(name string) (dir, revision string, err error) {
	return Resolve(context.Background(), name, d.Options)
}

// want resolves and compares the folder with the files that it must hold.
func (d *desk) want(t *testing.T, name, commit string, files map[string][]byte) string {
	t.Helper()
	dir, revision, err := d.resolve(name)
	if err != nil {
		t.Fatal(err)
	}
	if revision != commit || filepath.Base(dir) != commit {
		t.Fatalf("got commit %s in %s; want %s", revision, dir, commit)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if got, err := os.ReadFile(filepath.Join(dir, e.Name())); err != nil || string(got) != string(files[e.Name()]) {
			t.Errorf("%s: got %d bytes, %v; want %d", e.Name(), len(got), err, len(files[e.Name()]))
		}
	}
	if len(entries) != len(files) {
		t.Errorf("got %v; want %d files", entries, len(files))
	}
	return dir
}

// fails resolves and wants an error that says something, and no content with a name of its own beyond those that were good.
func (d *desk) fails(t *testing.T, name string, says ...string) {
	t.Helper()
	_, _, err := d.resolve(name)
	if err == nil {
		t.Fatal("got a model; want an error")
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("got %q; want %q in it", err, s)
		}
	}
}

// blob is where the cache keeps a content.
func (d *desk) blob(name string) string {
	return filepath.Join(d.CacheDir, "models--some-org--tiny.llama-1", "blobs", name)
}

// weights are n bytes without a pattern that a wrong offset would keep.
func weights(n int) []byte {
	content := make([]byte, n)
	x := uint32(n)
	for i := range content {
		x = x*1664525 + 1013904223
		content[i] = byte(x >> 24)
	}
	return content
}

func single() map[string][]byte {
	return map[string][]byte{"config.json": []byte(`{"model_type":"llama"}`), "tokenizer.json": []byte(`{"model":{}}`),
		"tokenizer_config.json": []byte(`{}`), "chat_template.jinja": []byte(`{{ messages }}`), "model.safetensors": weights(300_000)}
}

func sharded() map[string][]byte {
	return map[string][]byte{"config.json": []byte(`{}`), "tokenizer.json": []byte(`{}`), "generation_config.json": []byte(`{"a":1}`),
		"model-00001-of-00002.safetensors": weights(70_000), "model-00002-of-00002.safetensors": weights(50_001),
		"model.safetensors.index.json": []byte(`{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors","c":"model-00001-of-00002.safetensors"}}`)}
}

// with is files and some more.
func with(files map[string][]byte, more map[string]string) map[string][]byte {
	all := map[string][]byte{}
	for name, content := range files {
		all[name] = content
	}
	for name, content := range more {
		all[name] = []byte(content)
	}
	return all
}

// A model comes once, without what it does not need; a commit that is there costs no request, a branch costs one.
func TestDownloadsWhatALlamaNeeds(t *testing.T) {
	for name, files := range map[string]map[string][]byte{"single": single(), "sharded": sharded()} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.Hub.Token, d.Options.Token = "hf_secret", Token{"hf_secret"}
			commit := d.Put(repo, "main", with(files, map[string]string{"README.md": "x", "pytorch_model.bin": "x", "modeling.py": "x",
				"consolidated.safetensors": "x", "original/params.json": "x", "sub/config.json": "x"}))
			dir := d.want(t, repo, commit, files)
			asked := len(d.Requests())
			if again := d.want(t, repo+"@"+commit, commit, files); again != dir || len(d.Requests()) != asked {
				t.Errorf("a commit that is there: got %s and %d requests; want %s and %d", again, len(d.Requests()), dir, asked)
			}
			d.want(t, repo, commit, files)
			if len(d.Requests()) != asked+1 {
				t.Errorf("a branch that did not move cost %d requests; want 1", len(d.Requests())-asked)
			}
			for _, q := range d.Requests() {
				if q.Storage == (q.Bearer != "") {
					t.Errorf("%+v: the token is for the hub alone", q)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(d.CacheDir, "*", "*", "*.incomplete")); len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// A branch that moves gives the new commit and shares what did not change; the old one stays.
func TestRevisions(t *testing.T) {
	d := newDesk(t)
	old, now := single(), with(single(), map[string]string{"config.json": `{"new":true}`})
	first := d.Put(repo, "main", old)
	d.want(t, repo, first, old)
	second := d.Put(repo, "main", now)
	asked := len(d.Requests())
	d.want(t, repo, second, now)
	if got := len(d.Requests()) - asked; got != 2 {
		t.Errorf("%d requests; want one about the branch and one for the changed file", got)
	}
	d.want(t, repo+"@"+first, first, old)
	tagged := d.Put(repo, "refs/pr/1", old)
	d.want(t, repo+"@refs/pr/1", tagged, old)
}

// Offline, and when the hub is away, the last whole commit is used; a commit that is only begun is not.
func TestOfflineCache(t *testing.T) {
	d := newDesk(t)
	files := sharded()
	commit := d.Put(repo, "main", files)
	d.Offline = true
	d.fails(t, repo, "not whole in the cache", "once without --offline")
	d.Offline = false
	d.want(t, repo, commit, files)
	d.Hub.Close()
	d.want(t, repo, commit, files)
	if text := strings.Join(d.notes, "\n"); !strings.Contains(text, "does not answer") || !strings.Contains(text, commit) {
		t.Errorf("said %q; want that the cache is used", text)
	}
	d.Offline = true
	d.want(t, repo, commit, files)
	d.want(t, repo+"@"+commit, commit, files)
	d.fails(t, repo+"@v2", "revision v2 is not there")
	if err := os.Remove(d.blob(hubtest.SHA256(files["model-00002-of-00002.safetensors"]))); err != nil {
		t.Fatal(err)
	}
	d.fails(t, repo, "model-00002-of-00002.safetensors is not there")
}

// A cache that huggingface_hub filled has no answer of the hub in it; its links say enough.
func TestCacheOfOthers(t *testing.T) {
	d := newDesk(t)
	d.Offline = true
	files, commit := sharded(), strings.Repeat("ab", 20)
	folder := filepath.Join(d.CacheDir, "models--some-org--tiny.llama-1")
	for _, dir := range []string{"blobs", "refs", "snapshots/" + commit} {
		if err := os.MkdirAll(filepath.Join(folder, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put := func(at string, content []byte) {
		if err := os.WriteFile(filepath.Join(folder, at), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		hash := hubtest.GitHash(content)
		put("blobs/"+hash, content)
		if err := os.Symlink("../../blobs/"+hash, filepath.Join(folder, "snapshots", commit, name)); err != nil {
			t.Fatal(err)
		}
	}
	put("refs/main", []byte(commit))
	d.want(t, repo, commit, files)
	put("blobs/"+hubtest.GitHash(files["tokenizer.json"]), []byte(`{"evil":1}`))
	d.fails(t, repo, "json has checksum")
}

// The folder with all but the weights can be refused before they come.
func TestCheckComesBeforeWeights(t *testing.T) {
	d := newDesk(t)
	d.Put(repo, "main", single())
	d.Check = func(dir string) error {
		text, err := os.ReadFile(filepath.Join(dir, "config.json"))
		return fmt.Errorf("%s is not for us (%v)", text, err)
	}
	d.fails(t, repo, `{"model_type":"llama"} is not for us (<nil>)`)
	if slices.ContainsFunc(d.Requests(), func(q hubtest.Request) bool { return q.Storage }) {
		t.Error("weights were asked for")
	}
	d.Offline = true
	d.fails(t, repo, "not whole in the cache")
}

// Progress ends at the whole, also when a part was there.
func TestProgress(t *testing.T) {
	d := newDesk(t)
	files := single()
	d.Put(repo, "main", files)
	var done, total int64
	d.Progress = func(a, b int64) {
		if a > b {
			t.Errorf("%d of %d bytes", a, b)
		}
		done, total = a, b
	}
	if _, _, err := d.resolve(repo); err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	for _, content := range files {
		want += int64(len(content))
	}
	if done != want || total != want {
		t.Errorf("got %d of %d; want %d", done, total, want)
	}
}
