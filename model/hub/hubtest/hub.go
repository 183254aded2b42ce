// Package hubtest is a hub for tests: it speaks the protocol of a Hugging Face hub on loopback, with large files on a second server
// that the first one redirects to.
package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Request is one that a server got.
type Request struct {
	Storage             bool // by the server of large files
	Path, Range, Bearer string
}

// Hub is a running hub. Fields are set before the first request, or between calls.
type Hub struct {
	URL   string
	Token string // that must come; "" = anybody may read

	Edit      func(answer map[string]any)                                            // changes what is said about a revision
	Intercept func(w http.ResponseWriter, r *http.Request, storage bool) (done bool) // answers in place of the hub

	own, storage *httptest.Server
	mu           sync.Mutex
	commits      map[string]map[string][]byte // "repo@commit" -> name -> content
	refs         map[string]string            // "repo@branch" -> commit
	contents     map[string][]byte            // SHA-256 -> content, of the storage
	requests     []Request
}

// New starts a hub that lives as long as the test.
func New(t testing.TB) *Hub {
	h := &Hub{commits: map[string]map[string][]byte{}, refs: map[string]string{}, contents: map[string][]byte{}}
	h.own = httptest.NewServer(h.record(false, h.serve))
	h.storage = httptest.NewServer(h.record(true, h.serveStorage))
	h.URL = h.own.URL
	t.Cleanup(h.Close)
	return h
}

// Close ends both servers.
func (h *Hub) Close() {
	h.own.Close()
	h.storage.Close()
}

// Put makes files the newest commit of a repository's branch, and returns the commit.
func (h *Hub) Put(repo, branch string, files map[string][]byte) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	commit := fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "%s %d", repo, len(h.commits))))
	h.commits[repo+"@"+commit], h.refs[repo+"@"+branch] = files, commit
	for name, content := range files {
		if large(name) {
			h.contents[SHA256(content)] = content
		}
	}
	return commit
}

// Requests are all so far.
func (h *Hub) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.requests)
}

// SHA256 is the checksum of a large file.
func SHA256(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

// GitHash is the checksum of a small file.
func GitHash(content []byte) string {
	return fmt.Sprintf("%x", sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(content)), content...)))
}

// large files are kept apart, as Git LFS does.
func large(name string) bool { return strings.HasSuffix(name, ".safetensors") }

func (h *Hub) record(storage bool, serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.requests = append(h.requests, Request{storage, r.URL.Path, r.Header.Get("Range"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")})
		h.mu.Unlock()
		if h.Intercept == nil || !h.Intercept(w, r, storage) {
			serve(w, r)
		}
	})
}

func (h *Hub) serve(w http.ResponseWriter, r *http.Request) {
	if h.Token != "" && r.Header.Get("Authorization") != "Bearer "+h.Token {
		refuse(w, http.StatusUnauthorized, "RepoNotFound", "Invalid username or password.")
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/api/models/"); ok {
		repo, revision, _ := strings.Cut(rest, "/revision/")
		h.serveInfo(w, repo, revision)
		return
	}
	repo, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/resolve/")
	commit, name, _ := strings.Cut(rest, "/")
	h.serveFile(w, r, repo, commit, name)
}

// find gives a revision's commit and files.
func (h *Hub) find(repo, revision string) (commit string, files map[string][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	commit = revision
	if at, ok := h.refs[repo+"@"+revision]; ok {
		commit = at
	}
	return commit, h.commits[repo+"@"+commit]
}

func (h *Hub) serveInfo(w http.ResponseWriter, repo, revision string) {
	commit, files := h.find(repo, revision)
	if files == nil {
		refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+revision)
		return
	}
	siblings := []any{}
	for name, content := range files {
		s := map[string]any{"rfilename": name, "size": len(content), "blobId": GitHash(content)}
		if large(name) {
			s["lfs"] = map[string]any{"sha256": SHA256(content), "size": len(content), "pointerSize": 134}
		}
		siblings = append(siblings, s)
	}
	answer := map[string]any{"id": repo, "modelId": repo, "sha": commit, "private": false, "siblings": siblings,
		"cardData": map[string]any{"license": []string{"of", "more", "than", "one", "form"}}}
	if h.Edit != nil {
		h.Edit(answer)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

func (h *Hub) serveFile(w http.ResponseWriter, r *http.Request, repo, commit, name string) {
	at, files := h.find(repo, commit)
	content, ok := files[name]
	if !ok {
		refuse(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	w.Header().Set("X-Repo-Commit", at)
	if large(name) {
		w.Header().Set("X-Linked-Etag", `"`+SHA256(content)+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(content)))
		http.Redirect(w, r, h.storage.URL+"/lfs/"+SHA256(content)+"?Signature=signed-address", http.StatusFound)
		return
	}
	w.Header().Set("ETag", `"`+GitHash(content)+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

func (h *Hub) serveStorage(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	content, ok := h.contents[strings.TrimPrefix(r.URL.Path, "/lfs/")]
	h.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Error-Code", code)
	w.Header().Set("X-Error-Message", message)
	http.Error(w, `{"error": "`+message+`"}`, status)
}
