// Package web is the page that a server shows to a browser: chat, reasoning graphs, search trees, learning curves, versions. It is
// plain HTML, CSS and ES modules, embedded as written, without a build step and without a word to any other host.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
)

//go:embed index.html assets
var embedded embed.FS

// SecurityPolicy is the Content-Security-Policy of every answer: scripts, styles, pictures and requests of our own origin only, and
// nothing inline, so that what a model wrote stays text whatever a mistake of ours does with it.
const SecurityPolicy = "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// contentTypes are those of the files, by extension.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// Files are index.html and the folder assets.
func Files() fs.FS { return embedded }

// Reply is an answer to a browser's GET, for whatever HTTP library sends it.
type Reply struct {
	Status int         // 200, or 304 without a body
	Header [][2]string // name and value
	Body   []byte      // of the program's own memory: not to be changed
}

// file is one file with what a browser wants to know of it.
type file struct {
	body      []byte
	mediaType string
	tag       string // strong ETag: the beginning of the content's SHA-256
}

// Get answers a GET of a path, "/" for the page itself; ifNoneMatch is that header's value. ok is false where there is no such file.
// The names carry no version, so a browser asks each time and is told 304 where nothing changed.
func Get(urlPath, ifNoneMatch string) (r Reply, ok bool) {
	name := strings.TrimPrefix(urlPath, "/")
	if name == "" {
		name = "index.html"
	} else if !strings.HasPrefix(name, "assets/") {
		return Reply{}, false
	}
	f, ok := load()[name]
	if !ok {
		return Reply{}, false
	}
	r = Reply{Status: 200, Body: f.body, Header: [][2]string{{"Content-Type", f.mediaType}, {"ETag", f.tag}, {"Cache-Control", "no-cache"},
		{"Content-Security-Policy", SecurityPolicy}, {"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "no-referrer"}}}
	if matches(ifNoneMatch, f.tag) {
		r.Status, r.Body = 304, nil
	}
	return r, true
}

// matches says whether an If-None-Match header names the tag; proxies may have made it a weak one.
func matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}

// load reads every embedded file once.
var load = sync.OnceValue(func() map[string]file {
	all := map[string]file{}
	err := fs.WalkDir(embedded, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		mediaType := contentTypes[path.Ext(name)]
		if mediaType == "" {
			panic(fmt.Sprintf("BUG: got %s embedded; want a file whose type is in contentTypes", name))
		}
		sum := sha256.Sum256(body)
		all[name] = file{body, mediaType, `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("BUG: got %v; want the embedded files to be readable", err))
	}
	return all
})
