package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"astro/model/hub/hubtest"
)

// cut sends the first n bytes of an answer and breaks the connection.
func cut(w http.ResponseWriter, content []byte, n int) {
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	w.Write(content[:n])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// ranges are the Range headers that the storage got.
func (d *desk) ranges() []string {
	var all []string
	for _, q := range d.Requests() {
		if q.Storage {
			all = append(all, q.Range)
		}
	}
	return all
}

// A connection that breaks goes on where it was, and so does a later process.
func TestResume(t *testing.T) {
	d := newDesk(t)
	files := single()
	content := files["model.safetensors"]
	commit := d.Put(repo, "main", files)
	d.Retry = Retry{Tries: 1, Base: time.Millisecond, Cap: time.Millisecond}
	d.Intercept = func(w http.ResponseWriter, r *http.Request, storage bool) bool {
		if storage {
			cut(w, content, 100_000)
		}
		return false
	}
	d.fails(t, repo, "model.safetensors", "given up after 1 tries", "the connection broke after 100000 of 300000 bytes")
	if got, err := os.ReadFile(d.blob(hubtest.SHA256(content) + ".incomplete")); err != nil || !bytes.Equal(got, content[:100_000]) {
		t.Fatalf("kept %d bytes, %v", len(got), err)
	}
	d.Retry = Retry{}
	d.Intercept = func(w http.ResponseWriter, r *http.Request, storage bool) bool {
		if storage && r.Header.Get("Range") == "bytes=100000-" {
			w.Header().Set("Content-Range", "bytes 100000-299999/300000")
			w.Header().Set("Content-Length", "200000")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(content[100_000:250_000])
			panic(http.ErrAbortHandler)
		}
		return false
	}
	d.want(t, repo, commit, files)
	if got := d.ranges(); !slices.Equal(got, []string{"", "bytes=100000-", "bytes=250000-"}) {
		t.Errorf("asked for %q", got)
	}
}

// What was kept may be wrong, too long, or of no use to a server without ranges: the file comes anew and is right.
func TestWrongBeginning(t *testing.T) {
	files := single()
	content := files["model.safetensors"]
	whole := func(w http.ResponseWriter, r *http.Request, storage bool) bool {
		if storage {
			w.Write(content)
		}
		return storage
	}
	skewed := func(w http.ResponseWriter, r *http.Request, storage bool) bool {
		if storage && r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", "bytes 7-299999/300000")
			w.WriteHeader(http.StatusPartialContent)
			w.Write(content[7:])
			return true
		}
		return false
	}
	refuses := func(w http.ResponseWriter, r *http.Request, storage bool) bool {
		if storage && r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return true
		}
		return false
	}
	for name, c := range map[string]struct {
		kept      []byte
		intercept func(http.ResponseWriter, *http.Request, bool) bool
		requests  int // of the storage
	}{
		"right":            {content[:1000], nil, 1},
		"whole":            {content, nil, 0},
		"wrong":            {bytes.Repeat([]byte{1}, 1000), nil, 2},
		"wrong, all of it": {bytes.Repeat([]byte{1}, len(content)), nil, 1},
		"too long":         {append(bytes.Clone(content), 1), nil, 1},
		"no ranges":        {content[:1000], whole, 1},
		"another range":    {content[:1000], skewed, 2},
		"no such range":    {content[:1000], refuses, 2},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			commit := d.Put(repo, "main", files)
			d.Intercept = c.intercept
			at := d.blob(hubtest.SHA256(content) + ".incomplete")
			if err := errors.Join(os.MkdirAll(d.blob(""), 0o755), os.WriteFile(at, c.kept, 0o644)); err != nil {
				t.Fatal(err)
			}
			d.want(t, repo, commit, files)
			if got := d.ranges(); len(got) != c.requests {
				t.Errorf("the storage got %q; want %d requests", got, c.requests)
			}
		})
	}
}

// Whatever answers, nothing gets a name that is not what was listed, and nothing is written past the listed size.
func TestWrongContent(t *testing.T) {
	files := single()
	content := files["model.safetensors"]
	flipped := bytes.Clone(content)
	flipped[200_000] ^= 1
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		says   string
	}{
		"another byte":  {func(w http.ResponseWriter) { w.Write(flipped) }, "what came is not what the hub listed"},
		"short":         {func(w http.ResponseWriter) { w.Write(content[:10]) }, "has 10 bytes where the hub listed 300000"},
		"huge":          {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "9000000000000000000"); w.Write(content) }, "where the hub listed 300000"},
		"without end":   {endless, "goes on after the 300000 bytes"},
		"an error page": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotImplemented) }, "given up after 7 tries: the hub's storage (answered 501"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.Put(repo, "main", files)
			d.Intercept = func(w http.ResponseWriter, _ *http.Request, storage bool) bool {
				if storage {
					c.answer(w)
				}
				return storage
			}
			d.fails(t, repo, "model.safetensors: ", c.says)
			for _, suffix := range []string{"", ".incomplete"} {
				if _, err := os.Stat(d.blob(hubtest.SHA256(content) + suffix)); err == nil {
					t.Errorf("%q was left", suffix)
				}
			}
		})
	}
}

// endless sends in chunks for as long as anybody reads.
func endless(w http.ResponseWriter) {
	for {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

// A file of git that changed under its commit is refused by its SHA-1; the hub's headers are believed before the body.
func TestHubContradictsItself(t *testing.T) {
	header := func(key, value string) func(w http.ResponseWriter, r *http.Request, storage bool) bool {
		return func(w http.ResponseWriter, r *http.Request, storage bool) bool {
			if strings.HasSuffix(r.URL.Path, ".safetensors") {
				w.Header().Set(key, value)
				w.Write(single()["model.safetensors"])
				return true
			}
			return false
		}
	}
	for name, c := range map[string]struct {
		intercept func(http.ResponseWriter, *http.Request, bool) bool
		says      string
	}{
		"another commit":  {header("X-Repo-Commit", strings.Repeat("0", 40)), "a file of another commit, 0000"},
		"another content": {header("X-Linked-Etag", `"`+strings.Repeat("1", 64)+`"`), "the hub has content 1111"},
		"another text": {func(w http.ResponseWriter, r *http.Request, _ bool) bool {
			if strings.HasSuffix(r.URL.Path, "/config.json") {
				w.Write([]byte(`{"model_type":"LLAMA"}`))
				return true
			}
			return false
		}, "config.json: what came is not what the hub listed"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.Put(repo, "main", single())
			d.Intercept = c.intercept
			d.fails(t, repo, c.says)
			d.Offline = true
			d.fails(t, repo, "not whole in the cache")
		})
	}
}

// 429 and 5xx are tried again, after the pause that the hub asks for.
func TestRetries(t *testing.T) {
	d := newDesk(t)
	files := single()
	commit := d.Put(repo, "main", files)
	var n atomic.Int32
	d.Intercept = func(w http.ResponseWriter, r *http.Request, storage bool) bool {
		switch {
		case !strings.HasPrefix(r.URL.Path, "/api/"):
			return false
		case n.Add(1) == 1:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		case n.Load() == 2:
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	}
	d.want(t, repo, commit, files)
	if len(d.waits) != 2 || d.waits[0] != 7*time.Second || d.waits[1] < time.Second || d.waits[1] > 2*time.Second {
		t.Errorf("waited %v; want 7 s, then 1 to 2", d.waits)
	}
	d.CacheDir = t.TempDir()
	d.Intercept = func(w http.ResponseWriter, r *http.Request, storage bool) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	d.fails(t, repo, "answered 503", "a pause of 1h0m0s")
	d.Intercept = func(w http.ResponseWriter, r *http.Request, storage bool) bool { panic(http.ErrAbortHandler) }
	d.fails(t, repo, "given up after 3 tries")
}

// A signature that expired gives a new address with the next try; a connection that says nothing is left.
func TestStorageThatFails(t *testing.T) {
	d := newDesk(t)
	d.stall = 50 * time.Millisecond
	files := single()
	commit := d.Put(repo, "main", files)
	var n atomic.Int32
	d.Intercept = func(w http.ResponseWriter, r *http.Request, storage bool) bool {
		switch {
		case storage && n.Add(1) == 1:
			w.WriteHeader(http.StatusForbidden)
			return true
		case storage && n.Load() == 2:
			w.Header().Set("Content-Length", "300000")
			w.Write(files["model.safetensors"][:1000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}
		return false
	}
	d.want(t, repo, commit, files)
	if text := strings.Join(d.notes, "\n"); !strings.Contains(text, "answered 403") || !strings.Contains(text, "nothing came for 50ms") {
		t.Errorf("said %q", text)
	}
	if got := d.ranges(); !slices.Equal(got, []string{"", "", "bytes=1000-"}) {
		t.Errorf("asked for %q", got)
	}
}

// Ctrl-C ends a download in the middle; what came is kept and the next run goes on.
func TestCancelKeepsWhatCame(t *testing.T) {
	d := newDesk(t)
	files := single()
	content := files["model.safetensors"]
	commit := d.Put(repo, "main", files)
	ctx, cancel := context.WithCancel(context.Background())
	d.Progress = func(done, _ int64) {
		if done >= 100_000 {
			cancel()
		}
	}
	d.Intercept = func(w http.ResponseWriter, r *http.Request, storage bool) bool {
		if storage && r.Header.Get("Range") == "" {
			w.Header().Set("Content-Length", "300000")
			w.Write(content[:120_000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}
		return false
	}
	if _, _, err := Resolve(ctx, repo, d.Options); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v; want that it was cancelled", err)
	}
	d.Progress = nil
	d.want(t, repo, commit, files)
	if got := d.ranges(); len(got) != 2 || got[1] == "" {
		t.Errorf("asked for %q; want the rest the second time", got)
	}
}
