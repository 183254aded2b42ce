package web

import (
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
)

// texts are the embedded files by name.
func texts(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(Files(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(Files(), name)
		all[name] = string(body)
		return err
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("got %d files, %v", len(all), err)
	}
	return all
}

// names are how one file names another: attributes of HTML and SVG, imports of modules, url() of styles.
var names = regexp.MustCompile(`(?:\b(?:src|href)="([^"#]+)"|\b(?:from|import)\s*\(?\s*"([^"]+)"|url\(\s*["']?([^"')#]+))`)

// Every file that another one names is there, and every file is named by one: nothing is missing or left over.
func TestEveryNamedFileExists(t *testing.T) {
	all := texts(t)
	named := map[string]bool{"index.html": true}
	for from, text := range all {
		for _, m := range names.FindAllStringSubmatch(text, -1) {
			to := path.Join(path.Dir(from), m[1]+m[2]+m[3])
			if _, ok := all[to]; !ok {
				t.Errorf("%s names %s, which does not exist", from, to)
			}
			named[to] = true
		}
	}
	for name := range all {
		if !named[name] {
			t.Errorf("nothing names %s", name)
		}
	}
}

// The page works without any other host: the only address in it is the name of SVG's namespace.
func TestNoOtherHost(t *testing.T) {
	for name, text := range texts(t) {
		text = strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "")
		if found := regexp.MustCompile(`(?i)(\b(https?|wss?)://|["'(]//)\S*|@import\b.*`).FindString(text); found != "" {
			t.Errorf("%s leads to another host: %s", name, found)
		}
	}
}

// Nothing is inline, so that the policy holds; no text becomes markup or code.
func TestPolicyHolds(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<script(\s[^>]*)?>\s*[^<\s]|<style|\sstyle=|\son[a-z]+="|javascript:`)
	markup := regexp.MustCompile(`\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|new Function|DOMParser|setHTML\w*|createContextualFragment)\b|\beval\(`)
	for name, text := range texts(t) {
		kind := path.Ext(name)
		if found := inline.FindString(text); found != "" && kind != ".js" && kind != ".css" {
			t.Errorf("%s has something inline: %s", name, found)
		}
		if found := markup.FindString(text); found != "" {
			t.Errorf("%s makes markup or code of text: %s", name, found)
		}
	}
	if strings.Contains(SecurityPolicy, "unsafe") || !strings.Contains(SecurityPolicy, "default-src 'self'") {
		t.Errorf("the policy is weak: %s", SecurityPolicy)
	}
}

// header reads one header of a reply.
func (r Reply) header(name string) string {
	for _, h := range r.Header {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

func TestGet(t *testing.T) {
	for urlPath, mediaType := range map[string]string{"/": "text/html", "/assets/app.js": "text/javascript", "/assets/base.css": "text/css", "/assets/icon.svg": "image/svg+xml"} {
		r, ok := Get(urlPath, "")
		if !ok || r.Status != 200 || len(r.Body) == 0 || !strings.HasPrefix(r.header("Content-Type"), mediaType) || r.header("Content-Security-Policy") != SecurityPolicy {
			t.Errorf("%s: got %d %v", urlPath, r.Status, r.Header)
		}
		for _, ifNoneMatch := range []string{r.header("ETag"), `"other", W/` + r.header("ETag"), "*"} {
			if again, ok := Get(urlPath, ifNoneMatch); !ok || again.Status != 304 || len(again.Body) != 0 || again.header("ETag") != r.header("ETag") {
				t.Errorf("%s with %s: got %d", urlPath, ifNoneMatch, again.Status)
			}
		}
		if other, _ := Get(urlPath, `"other"`); other.Status != 200 {
			t.Errorf("%s: another tag got %d", urlPath, other.Status)
		}
	}
	for _, urlPath := range []string{"/index.html", "/assets/", "/assets", "/assets/none.js", "/assets/../index.html", "/assets/%61pp.js", "/web.go", "//assets/app.js"} {
		if r, ok := Get(urlPath, ""); ok {
			t.Errorf("%s: got %d; want nothing", urlPath, r.Status)
		}
	}
}

// The routes that the page asks are those of this server, relative to the page.
func TestAddressesAreRelative(t *testing.T) {
	asks := regexp.MustCompile("\\b(?:get|post|stream)\\((?:text \\? )?[\"`]([^\"`]*)")
	count := 0
	for name, text := range texts(t) {
		for _, m := range asks.FindAllStringSubmatch(text, -1) {
			count++
			if u, err := url.Parse(m[1]); err != nil || u.IsAbs() || strings.HasPrefix(m[1], "/") {
				t.Errorf("%s asks %q; want a relative address", name, m[1])
			}
		}
	}
	if count < 12 {
		t.Errorf("found %d requests; the pattern no longer finds them", count)
	}
}
