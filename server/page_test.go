package server

import (
	"strings"
	"testing"

	"astro/server/web"
)

// The page and its files need no key, even where everything else does, and tell the browser to run nothing else.
func TestPageNeedsNoKey(t *testing.T) {
	h := start(t, setup{config: func(c *Config) { c.Access.APIKeys = []string{"sk-one"} }})
	for path, want := range map[string]string{"/": "text/html; charset=utf-8", "/?x=1": "text/html; charset=utf-8", "/assets/app.js": "text/javascript; charset=utf-8",
		"/assets/base.css": "text/css; charset=utf-8", "/assets/icon.svg": "image/svg+xml"} {
		r := h.send(t, "GET", path, "")
		if r.status != 200 || r.header.Get("Content-Type") != want || len(r.body) == 0 {
			t.Errorf("%s: got %d %s, %d bytes", path, r.status, r.header.Get("Content-Type"), len(r.body))
		}
		if r.header.Get("Content-Security-Policy") != web.SecurityPolicy || r.header.Get("X-Content-Type-Options") != "nosniff" || r.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: the headers are %v", path, r.header)
		}
		again := h.send(t, "GET", path, "", "If-None-Match", r.header.Get("ETag"))
		if again.status != 304 || len(again.body) != 0 || again.header.Get("ETag") != r.header.Get("ETag") {
			t.Errorf("%s again: got %d with %d bytes", path, again.status, len(again.body))
		}
	}
	if body := string(h.send(t, "GET", "/", "").body); !strings.Contains(body, `src="assets/app.js"`) {
		t.Errorf("the page is %s", body)
	}
	h.send(t, "GET", "/v1/models", "").wantError(t, 401, "invalid_api_key")
	if head := h.send(t, "HEAD", "/", ""); head.status != 200 || len(head.body) != 0 {
		t.Errorf("HEAD: got %d with %d bytes", head.status, len(head.body))
	}
}

// The line of the page is that path alone: it hides no 404 and no 405 of another one.
func TestPageHidesNothing(t *testing.T) {
	h := start(t, setup{})
	for _, path := range []string{"/index.html", "/nothing", "/v1/nothing", "/assets/", "/assets/none.js", "/assets/../page.go", "/assets/%61pp.js"} {
		h.send(t, "GET", path, "").wantError(t, 404, "unknown_url")
	}
	for _, path := range []string{"/", "/assets/app.js"} {
		r := h.send(t, "POST", path, "")
		r.wantError(t, 405, "method_not_allowed")
		if r.header.Get("Allow") != "GET" {
			t.Errorf("%s: Allow is %q", path, r.header.Get("Allow"))
		}
	}
	h.send(t, "GET", "/", "", "Host", "evil.example").wantError(t, 403, "host_not_allowed")
}
