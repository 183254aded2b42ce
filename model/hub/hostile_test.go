package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"astro/model/hub/hubtest"
)

func TestParseName(t *testing.T) {
	for text, want := range map[string]Name{
		"meta-llama/Llama-3.2-1B":               {"meta-llama", "Llama-3.2-1B", "main"},
		"a/b@v1.0":                              {"a", "b", "v1.0"},
		"a/b@refs/pr/3":                         {"a", "b", "refs/pr/3"},
		"a/b@" + strings.Repeat("0123", 10):     {"a", "b", strings.Repeat("0123", 10)},
		"_a/b_":                                 {"_a", "b_", "main"},
		"a/" + strings.Repeat("n", 96):          {"a", strings.Repeat("n", 96), "main"},
		"":                                      {},
		"a":                                     {},
		"a/":                                    {},
		"/a":                                    {},
		"/a/b":                                  {},
		"./a":                                   {},
		"../a":                                  {},
		"a/..":                                  {},
		"a/b/c":                                 {},
		"a/b--c":                                {},
		"a--b/c":                                {},
		"a/b..c":                                {},
		"a/b.git":                               {},
		"a/-b":                                  {},
		"a/b-":                                  {},
		"a/b c":                                 {},
		"a/b@":                                  {},
		"a/b@../x":                              {},
		"a/b@x/../y":                            {},
		"a/b@/x":                                {},
		"a/b@x//y":                              {},
		"a/b@x?y":                               {},
		"a/b@x@y":                               {},
		"a/b@" + strings.Repeat("r", 256):       {},
		"a/" + strings.Repeat("n", 97):          {},
		"a/b\n":                                 {},
		"a/b\x00":                               {},
		"a\\b/c":                                {},
		"a/\u00e9":                              {},
		"http://host/a":                         {},
		"a/b@main\nX-Injected: 1":               {},
		"a/b#fragment":                          {},
		"a/b?query":                             {},
		"a/%2e%2e":                              {},
		"C:/models":                             {},
		"a/b@" + strings.Repeat("x/", 10) + ".": {},
	} {
		got, err := ParseName(text)
		if got != want || (err == nil) != (want != Name{}) {
			t.Errorf("%q: got %+v, %v; want %+v", text, got, err, want)
		}
	}
}

// listed changes the entry of a file in what the hub says.
func listed(name string, change func(s map[string]any)) func(map[string]any) {
	return func(answer map[string]any) {
		for _, s := range answer["siblings"].([]any) {
			if s := s.(map[string]any); s["rfilename"] == name {
				change(s)
			}
		}
	}
}

// R18: what a hub says never becomes a path, a size or a checksum without a check, and nothing is written outside the cache.
func TestSec_R18_HostileListings(t *testing.T) {
	lfs := func(key string, value any) func(map[string]any) {
		return listed("model.safetensors", func(s map[string]any) { s["lfs"].(map[string]any)[key] = value })
	}
	text := func(key string, value any) func(map[string]any) {
		return listed("config.json", func(s map[string]any) { s[key] = value })
	}
	for name, c := range map[string]struct {
		edit func(map[string]any)
		says string
	}{
		"commit is a path":       {func(a map[string]any) { a["sha"] = "../../../../escaped" }, "want 40 hexadecimal digits"},
		"no commit":              {func(a map[string]any) { delete(a, "sha") }, "want 40 hexadecimal digits"},
		"SHA-256 is a path":      {lfs("sha256", "../../../escaped"), "without a checksum"},
		"SHA-256 is a SHA-1":     {lfs("sha256", strings.Repeat("0", 40)), "without a checksum"},
		"no SHA-256":             {lfs("sha256", ""), "without a checksum"},
		"blob id is a path":      {text("blobId", "../escaped"), "without a checksum"},
		"blob id is long":        {text("blobId", strings.Repeat("0", 10_000)), "without a checksum"},
		"no blob id":             {text("blobId", nil), "without a checksum"},
		"negative size":          {text("size", -1), "want 0 to"},
		"large config":           {text("size", int64(1)<<40), "want 0 to"},
		"a size of 8 EiB":        {lfs("size", int64(1<<63-1)), "allow more with --max-download-bytes"},
		"a size beyond integers": {func(a map[string]any) { a["siblings"] = json.RawMessage(`[{"rfilename":"config.json","size":1e99}]`) }, "not understood"},
		"siblings are a text":    {func(a map[string]any) { a["siblings"] = "none" }, "not understood"},
		"null in siblings":       {func(a map[string]any) { a["siblings"] = []any{nil} }, "no config.json"},
		"no files":               {func(a map[string]any) { delete(a, "siblings") }, "no config.json"},
		"a file twice": {func(a map[string]any) { a["siblings"] = append(a["siblings"].([]any), a["siblings"].([]any)...) },
			"twice"},
		"name leads out": {listed("config.json", func(s map[string]any) { s["rfilename"] = "../config.json" }), "no config.json"},
		"name is absolute": {listed("tokenizer.json", func(s map[string]any) { s["rfilename"] = "/tokenizer.json" }),
			"no tokenizer.json"},
		"only a pickle": {listed("model.safetensors", func(s map[string]any) { s["rfilename"] = "pytorch_model.bin" }), "other forms of weights"},
		"too much":      {func(a map[string]any) { a["x"] = strings.Repeat("x", maxListingBytes) }, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.Put(repo, "main", single())
			d.Edit = c.edit
			d.fails(t, repo, c.says)
			outside(t, filepath.Dir(d.CacheDir))
		})
	}
}

// outside fails if there is anything but the cache in its parent, or a file that escaped within.
func outside(t *testing.T, parent string) {
	t.Helper()
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) > 1 {
		t.Errorf("got %v, %v beside the cache", entries, err)
	}
	filepath.WalkDir(parent, func(at string, _ fs.DirEntry, _ error) error {
		if strings.Contains(at, "escaped") {
			t.Errorf("%s was written", at)
		}
		return nil
	})
}

// R18: an index of shards is data of strangers too.
func TestSec_R18_HostileIndex(t *testing.T) {
	many := map[string]string{}
	for i := range maxShards + 1 {
		many[fmt.Sprint(i)] = fmt.Sprintf("model-%d.safetensors", i)
	}
	crowd, err := json.Marshal(map[string]any{"weight_map": many})
	if err != nil {
		t.Fatal(err)
	}
	for index, says := range map[string]string{
		`{"weight_map":{"a":"../../secret.safetensors"}}`: "no plain file name",
		`{"weight_map":{"a":"/etc/x.safetensors"}}`:       "no plain file name",
		`{"weight_map":{"a":"model.bin"}}`:                "no plain file name",
		`{"weight_map":{"a":""}}`:                         "no plain file name",
		`{"weight_map":{"a":"absent.safetensors"}}`:       "which is not there",
		`{"weight_map":{}}`:                               "names 0 shards",
		`{}`:                                              "names 0 shards",
		`{"weight_map":[1]}`:                              "not understood",
		`nothing`:                                         "not understood",
		string(crowd):                                     "names 4097 shards",
	} {
		d := newDesk(t)
		d.Put(repo, "main", with(sharded(), map[string]string{indexName: index}))
		d.fails(t, repo, says)
		outside(t, filepath.Dir(d.CacheDir))
	}
}

// R18: a link in the cache that leads out is not followed, neither to read nor to write.
func TestSec_R18_LinksThatLeadOut(t *testing.T) {
	files := single()
	hash := hubtest.SHA256(files["model.safetensors"])
	for name, link := range map[string]string{"content": hash, "part": hash + ".incomplete", "small": hubtest.GitHash(files["config.json"])} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			commit := d.Put(repo, "main", files)
			victim := filepath.Join(t.TempDir(), "victim")
			content := weights(300_000)
			content[0]++
			if err := errors.Join(os.WriteFile(victim, content, 0o644), os.MkdirAll(d.blob(""), 0o755), os.Symlink(victim, d.blob(link))); err != nil {
				t.Fatal(err)
			}
			d.want(t, repo, commit, files)
			if got, err := os.ReadFile(victim); err != nil || string(got) != string(content) {
				t.Errorf("the file outside has %d bytes now, %v", len(got), err)
			}
		})
	}
	d := newDesk(t)
	d.Put(repo, "main", files)
	if err := errors.Join(os.MkdirAll(d.CacheDir, 0o755), os.Symlink(t.TempDir(), filepath.Join(d.CacheDir, "models--some-org--tiny.llama-1"))); err != nil {
		t.Fatal(err)
	}
	d.fails(t, repo, "escapes")
}

// What does not fit is refused before the first byte of weights.
func TestRoom(t *testing.T) {
	d := newDesk(t)
	files := single()
	commit := d.Put(repo, "main", files)
	d.MaxDownloadBytes = 300_000
	d.fails(t, repo, "more than the 300000 bytes that are allowed", "--max-download-bytes")
	d.MaxDownloadBytes = 0
	free := int64(reserveBytes + 299_999)
	d.free = func(string) (int64, error) { return free, nil }
	d.fails(t, repo, "needs 67408864 bytes", "has 67408863", "HF_HUB_CACHE")
	if got := d.ranges(); len(got) != 0 {
		t.Errorf("the storage got %q", got)
	}
	free++
	d.want(t, repo, commit, files)
}

// Every refusal of a hub says what to do.
func TestRefusals(t *testing.T) {
	answer := func(status int, code string) func(http.ResponseWriter, *http.Request, bool) bool {
		return func(w http.ResponseWriter, _ *http.Request, _ bool) bool {
			w.Header().Set("X-Error-Code", code)
			w.Header().Set("X-Error-Message", "the hub's words about hf_secret\u009b2J")
			w.WriteHeader(status)
			return true
		}
	}
	for name, c := range map[string]struct {
		intercept func(http.ResponseWriter, *http.Request, bool) bool
		token     string
		says      string
	}{
		"unknown":          {answer(404, "RepoNotFound"), "", "no such model; if it is private"},
		"unknown revision": {answer(404, "RevisionNotFound"), "", "not this revision"},
		"without a token":  {answer(401, ""), "", "set HF_TOKEN"},
		"wrong token":      {answer(401, ""), "hf_secret", "has expired"},
		"gated":            {answer(403, "GatedRepo"), "hf_secret", "ask for it on the model's page"},
		"gated, unknown":   {answer(401, "GatedRepo"), "", "ask for it on the model's page"},
		"teapot":           {answer(418, ""), "hf_secret", "the hub (answered 418 I'm a teapot: the hub's words about (hidden)"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.Put(repo, "main", single())
			d.Intercept, d.Options.Token = c.intercept, Token{c.token}
			d.fails(t, repo, c.says)
			if _, _, err := d.resolve(repo); strings.Contains(err.Error(), "\u009b") || c.token != "" && strings.Contains(err.Error(), c.token) {
				t.Errorf("got %q", err)
			}
			if len(d.waits) > 0 {
				t.Error("it was tried again")
			}
		})
	}
}

// The token goes to the hub's own host and port alone, over https or loopback, and no way of printing shows it.
func TestTokenStaysHome(t *testing.T) {
	d := newDesk(t)
	files := single()
	commit := d.Put(repo, "main", files)
	d.Options.Token = Token{"hf_secret"}
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
			t.Errorf("another host got %v", r.Header)
		}
		http.Redirect(w, r, d.Hub.URL+r.URL.Path+"?back=1", http.StatusTemporaryRedirect)
	}))
	defer away.Close()
	d.Intercept = func(w http.ResponseWriter, r *http.Request, storage bool) bool {
		if !storage && r.URL.Query().Get("back") == "" {
			http.Redirect(w, r, away.URL+r.URL.Path, http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	d.want(t, repo, commit, files)
	for _, q := range d.Requests() {
		if q.Storage == (q.Bearer == "hf_secret") {
			t.Errorf("%+v", q)
		}
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("options", "token", d.Options.Token, "options", d.Options)
	asJSON, err := json.Marshal(d.Options.Token)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", d.Options, d.Options, d.Options, d.Options.Token), log.String(), string(asJSON), strings.Join(d.notes, " ")} {
		if strings.Contains(text, "hf_secret") {
			t.Errorf("printed %q", text)
		}
	}
}

// An answer that breaks the protocol is repeated in the error, but not with the token in it.
func TestEchoedToken(t *testing.T) {
	d := newDesk(t)
	d.Options.Token = Token{"hf_secret"}
	d.Intercept = func(w http.ResponseWriter, r *http.Request, _ bool) bool {
		w.Header().Set("X-Echo", r.Header.Get("Authorization")+"\x1b")
		return true
	}
	d.fails(t, repo, "malformed", "Bearer (hidden)")
	if text := strings.Join(d.notes, " "); strings.Contains(text, "hf_secret") {
		t.Errorf("said %q", text)
	}
}

func TestRedirectsThatNobodyFollows(t *testing.T) {
	for to, says := range map[string]string{"ftp://127.0.0.1/x": "which is not https", "loop": "more than 5 in a row"} {
		d := newDesk(t)
		d.Intercept = func(w http.ResponseWriter, r *http.Request, _ bool) bool {
			if to == "loop" {
				http.Redirect(w, r, r.URL.Path, http.StatusFound)
			} else {
				http.Redirect(w, r, to, http.StatusFound)
			}
			return true
		}
		d.fails(t, repo, says)
		if len(d.waits) > 0 {
			t.Errorf("%s was tried again", to)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for text, says := range map[string]string{
		"":                        "set HF_ENDPOINT",
		"hub.example":             "want https://HOST",
		"ftp://hub.example":       "want https://HOST",
		"https://u:p@hub.example": "a token belongs into HF_TOKEN",
		"https://hub.example?x=1": "a token belongs into HF_TOKEN",
		"http://hub.example":      "use https, or unset HF_TOKEN",
		"https://hub.example":     "",
		"https://hub.example/x/":  "",
		"http://127.0.0.1:80":     "",
		"http://[::1]:80":         "",
		"http://localhost":        "",
	} {
		_, err := parseEndpoint(text, Token{"hf_secret"})
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v; want %q", text, err, says)
		}
	}
	t.Setenv("HF_ENDPOINT", "")
	if u, err := parseEndpoint(defaultEndpoint(), Token{}); err != nil || u.Scheme != "https" {
		t.Errorf("go-huggingface's own hub: got %v, %v", u, err)
	}
	t.Setenv("HF_ENDPOINT", "https://mirror.example/")
	if got := defaultEndpoint(); got != "https://mirror.example" {
		t.Errorf("HF_ENDPOINT: got %s", got)
	}
}

func TestEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(" hf_of_file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		set  map[string]string
		want Options
		says string
	}{
		"nothing":        {},
		"token":          {set: map[string]string{"HF_TOKEN": "hf_x\n", "HF_TOKEN_PATH": path}, want: Options{Token: Token{"hf_x"}}},
		"token in file":  {set: map[string]string{"HF_TOKEN_PATH": path}, want: Options{Token: Token{"hf_of_file"}}},
		"no such file":   {set: map[string]string{"HF_TOKEN_PATH": path + "x"}, says: "HF_TOKEN_PATH names a file that cannot be read"},
		"no token":       {set: map[string]string{"HF_TOKEN": "hf x"}, says: "check HF_TOKEN"},
		"HF_HOME":        {set: map[string]string{"HF_HOME": "/h"}, want: Options{CacheDir: "/h/hub"}},
		"HF_HUB_CACHE":   {set: map[string]string{"HF_HOME": "/h", "HF_HUB_CACHE": "/c"}, want: Options{CacheDir: "/c"}},
		"offline":        {set: map[string]string{"HF_HUB_OFFLINE": "True"}, want: Options{Offline: true}},
		"not offline":    {set: map[string]string{"HF_HUB_OFFLINE": "0"}},
		"a token's line": {set: map[string]string{"HF_TOKEN": "hf_x\nX-Injected: 1"}, says: "characters that no token has"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{"HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE"} {
				t.Setenv(key, c.set[key])
			}
			got, err := FromEnvironment()
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "Injected") {
					t.Errorf("got %v; want %q", err, c.says)
				}
				return
			}
			if err != nil || got.Token != c.want.Token || got.CacheDir != c.want.CacheDir || got.Offline != c.want.Offline {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

// Two that want the same file: one writes, the other waits and finds it there; one that is told to stop stops waiting.
func TestLock(t *testing.T) {
	d := newDesk(t)
	files := single()
	commit := d.Put(repo, "main", files)
	n, err := ParseName(repo)
	if err != nil {
		t.Fatal(err)
	}
	c, err := openCache(d.CacheDir, n, true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	unlock, err := c.lock(context.Background(), file{name: "x", hash: hubtest.SHA256(files["model.safetensors"])}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.Options.Notify = func(text string) {
		if strings.Contains(text, "waiting for another process that downloads model.safetensors") {
			cancel()
		}
	}
	if _, _, err := Resolve(ctx, repo, d.Options); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v; want that it waited", err)
	}
	type result struct{ err error }
	results := make(chan result, 3)
	d.Options.Notify = nil
	for range cap(results) {
		go func() {
			_, _, err := d.resolve(repo)
			results <- result{err}
		}()
	}
	time.Sleep(2 * lockPoll)
	unlock()
	for range cap(results) {
		if r := <-results; r.err != nil {
			t.Error(r.err)
		}
	}
	if got := d.ranges(); len(got) != 1 {
		t.Errorf("the storage got %q; want one request", got)
	}
	d.want(t, repo, commit, files)
}
