package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"astro/openai"
	"astro/server/auth"
)

// publicBind is a server that others can reach, by the names that tests call it.
func publicBind(c *Config) {
	c.Access.Host, c.Access.AllowedHosts = "0.0.0.0", []string{"localhost", "127.0.0.1"}
}

// newKey draws a key.
func newKey(t testing.TB, k auth.Key) (auth.Key, string) {
	t.Helper()
	if k.Tenant == "" {
		k.Tenant = auth.DefaultTenant
	}
	k, secret, err := auth.New(k)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

// keyed makes a server with a key file that holds one key for each set of scopes; the secrets are by set.
func keyed(t *testing.T, with setup) (h *harness, secrets map[auth.Scope]string) {
	t.Helper()
	secrets = map[auth.Scope]string{}
	var keys []auth.Key
	for scopes := auth.Scope(1); scopes <= auth.AllScopes; scopes++ {
		k, secret := newKey(t, auth.Key{Scopes: scopes})
		keys, secrets[scopes] = append(keys, k), secret
	}
	old := with.config
	with.config = func(c *Config) {
		c.Access.Keys = keys
		if old != nil {
			old(c)
		}
	}
	return start(t, with), secrets
}

// Every line of the route table that is not open has a scope; it needs a key with that scope, and no other path and no other method
// reaches anything. A table that forgets the scope of a line fails here, and such a line is closed.
func TestSec_R01RouteTable(t *testing.T) {
	h, secrets := keyed(t, setup{config: publicBind})
	for _, r := range routes {
		if r.open == (r.scope != 0) {
			t.Errorf("%s %s: open %t, scope %q; want one of them", r.method, r.path, r.open, r.scope)
		}
		for _, wrong := range []string{"", "Bearer", "Bearer sk-astro-0", "Basic " + secrets[r.scope], secrets[r.scope], "Bearer " + secrets[r.scope] + "0"} {
			got := h.send(t, r.method, r.path, "", "Authorization", wrong)
			if r.open && got.status != 200 && !(r.longer() && got.status == 404) || !r.open && got.status != 401 {
				t.Errorf("%s %s with %q: got %d", r.method, r.path, wrong, got.status)
			}
		}
		for scopes, secret := range secrets {
			got := h.send(t, r.method, r.path, "", "Authorization", "Bearer "+secret)
			if may := r.open || scopes&r.scope != 0; may == (got.status == 403) || got.status == 401 {
				t.Errorf("%s %s with scopes %s: got %d; the route needs %s", r.method, r.path, scopes, got.status, r.scope)
			}
		}
		if got := h.send(t, "PATCH", r.path, "", "Authorization", "Bearer "+secrets[auth.AllScopes]); got.status != 405 || !strings.Contains(got.header.Get("Allow"), r.method) {
			t.Errorf("PATCH %s: got %d, Allow %q", r.path, got.status, got.header.Get("Allow"))
		}
	}
	h.send(t, "GET", "/v1/models", "").wantError(t, 401, "invalid_api_key")
	h.send(t, "GET", "/v1/models", "", "Authorization", "Bearer "+secrets[auth.Admin|auth.Feedback]).wantError(t, 403, "insufficient_scope")
	for _, path := range []string{"/v1", "/v1/", "//v1/models", "/v1//models", "/v1/models;x", "/V1/models", "/v1/%6dodels", "/v1/chat/completions/", "/health/../v1/models"} {
		h.send(t, "GET", path, "").wantError(t, 404, "unknown_url")
	}
}

// On a loopback bind metrics and profiles need no key, and nothing else loses its own; whatever looks like a proxy or another site's page
// needs one there, too. On any other bind everybody does.
func TestSec_R01MetricsAreOpenOnLoopbackOnly(t *testing.T) {
	h, secrets := keyed(t, setup{config: func(c *Config) {
		c.Access.AllowedHosts, c.Access.CORSOrigins = []string{"astro.example"}, []string{"https://chat.example"}
	}})
	public, _ := keyed(t, setup{config: publicBind})
	open := 0
	for _, r := range routes {
		got, there := h.send(t, r.method, r.path, ""), public.send(t, r.method, r.path, "")
		if r.scope == 0 {
			continue
		}
		if r.local {
			open++
		}
		if r.local != (got.status == 200) || !r.local && got.status != 401 || there.status != 401 {
			t.Errorf("%s %s without a key: got %d on loopback and %d on another bind", r.method, r.path, got.status, there.status)
		}
	}
	if open != 2 {
		t.Errorf("%d routes are open on loopback; want /metrics and /debug/pprof/", open)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/cmdline"} {
		for _, c := range [][2]string{{"Host", "astro.example"}, {"Origin", "https://chat.example"}, {"X-Forwarded-For", "203.0.113.7"}, {"Forwarded", "for=203.0.113.7"},
			{"X-Real-IP", "203.0.113.7"}, {"Via", "1.1 proxy"}, {"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", "astro.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}} {
			h.send(t, "GET", path, "", c[0], c[1]).wantError(t, 401, "invalid_api_key")
			h.send(t, "GET", path, "", c[0], c[1], "Authorization", "Bearer "+secrets[auth.Inference]).wantError(t, 403, "insufficient_scope")
			if got := h.send(t, "GET", path, "", c[0], c[1], "Authorization", "Bearer "+secrets[auth.Admin]); got.status != 200 {
				t.Errorf("%s with %s and a key: got %d", path, c, got.status)
			}
		}
		h.send(t, "GET", path, "", "Host", "evil.example").wantError(t, 403, "host_not_allowed")
		h.send(t, "GET", path, "", "Origin", "http://evil.example").wantError(t, 403, "origin_not_allowed")
		if got := h.send(t, "GET", path, "", "Sec-Fetch-Site", "same-origin", "Origin", h.url); got.status != 200 {
			t.Errorf("%s from the server's own page: got %d", path, got.status)
		}
	}
}

func TestSec_R01LineWithoutScopeIsClosed(t *testing.T) {
	withRoutes(t, route{method: "GET", path: "/forgotten", handle: func(*Server, *fasthttp.RequestCtx, string) *openai.Error { panic("reached") }})
	h, secrets := keyed(t, setup{})
	h.send(t, "GET", "/forgotten", "", "Authorization", "Bearer "+secrets[auth.AllScopes]).wantError(t, 403, "insufficient_scope")
	start(t, setup{}).send(t, "GET", "/forgotten", "").wantError(t, 403, "insufficient_scope")
}

// spelling makes a path that some server or proxy may take for the given one.
func spelling(rng *rand.Rand, path string) string {
	at := func() int { return rng.IntN(len(path)) }
	insert := func(s string) { i := at(); path = path[:i] + s + path[i:] }
	for range 1 + rng.IntN(3) {
		switch rng.IntN(10) {
		case 0:
			insert([]string{"/", "//", "/./", "/../", "/x/../", "\\", ";", ";x=y", "%00", "%2f", "%2e%2e/", "%252f", "%5c", "%0d%0a", "\t", "\x00", "+", "*"}[rng.IntN(18)])
		case 1: // one character encoded, perhaps twice
			i := at()
			path = path[:i] + fmt.Sprintf([]string{"%%%02x", "%%%02X", "%%25%02x"}[rng.IntN(3)], path[i]) + path[i+1:]
		case 2:
			path = strings.ToUpper(path[:1+at()]) + path[1+at():]
		case 3:
			path = []string{"http://localhost", "http://evil", "//evil", "/health/..", "/health;", "/health%2f..", "/health?", "/health#", "/openapi.json/..", "."}[rng.IntN(10)] + path
		case 4:
			path += []string{"/", "//", ".", "/.", "/..", ";", "%20", "%00", "?", "#", "\\", ".json", "\u2215", "\uff0f"}[rng.IntN(14)]
		case 5:
			path = strings.ReplaceAll(path, "/", []string{"//", "\\", "%2f", "\uff0f", "/./"}[rng.IntN(5)])
		case 6:
			i := at()
			path = path[:i] + path[i+1:]
			if path == "" {
				path = "/"
			}
		case 7:
			path = "/" + path
		case 8:
			insert(string(rune(rng.IntN(0x300))))
		case 9:
			path += "?/health"
		}
	}
	return path
}

// No spelling of a path reaches a handler whose scope the caller lacks: 2,000 of them, without a key and with a key of too little.
func TestSec_R01PathSpellings(t *testing.T) {
	reached := make(chan route, 1)
	var recorders []route
	for _, r := range routes {
		recorder := r
		recorder.work = false
		recorder.handle = func(*Server, *fasthttp.RequestCtx, string) *openai.Error { reached <- r; return nil }
		recorders = append(recorders, recorder)
	}
	old := routes
	routes = recorders
	t.Cleanup(func() { routes = old })
	h, secrets := keyed(t, setup{config: publicBind})
	rng := rand.New(rand.NewPCG(1, 2))
	found := 0
	for i := range 2000 {
		r := old[rng.IntN(len(old))]
		path := spelling(rng, r.path)
		caller := []auth.Scope{0, auth.Feedback}[i%2]
		method := []string{r.method, r.method, "GET", "POST", "HEAD", "PUT", "get", "OPTIONS"}[rng.IntN(8)]
		answer := h.raw(t, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", method, path, secrets[caller]))
		select {
		case to := <-reached:
			if found++; !to.open && caller&to.scope == 0 {
				t.Errorf("%s %q with scopes %q reached %s %s", method, path, caller, to.method, to.path)
			}
		default:
			if strings.HasPrefix(answer, "HTTP/1.1 200") || strings.HasPrefix(answer, "HTTP/1.1 5") {
				t.Errorf("%s %q: got %.60q from no handler", method, path, answer)
			}
		}
	}
	if found == 0 {
		t.Error("not one spelling reached an open route: the test does not test")
	}
}

// A page in the operator's browser cannot talk to a server that it was not told of, with any method.
func TestSec_R03BrowserGuards(t *testing.T) {
	h := start(t, setup{config: func(c *Config) {
		c.Access.AllowedHosts, c.Access.CORSOrigins = []string{"astro.example"}, []string{"https://chat.example"}
	}})
	host := strings.TrimPrefix(h.url, "http://")
	for _, c := range []struct {
		name, value, code string
	}{
		{"Host", "evil.example", "host_not_allowed"}, {"Host", "localhost.evil.example", "host_not_allowed"}, {"Host", "127.0.0.1.evil.example", "host_not_allowed"},
		{"Host", "localhost:1", ""}, {"Host", "[::1]:1", ""}, {"Host", host, ""}, {"Host", "ASTRO.example:8080", ""},
		{"Origin", "http://evil.example", "origin_not_allowed"}, {"Origin", "null", "origin_not_allowed"}, {"Origin", "https://chat.example.evil", "origin_not_allowed"},
		{"Origin", "http://chat.example", "origin_not_allowed"}, {"Origin", "file://" + host, "origin_not_allowed"}, {"Origin", "https://chat.example", ""}, {"Origin", h.url, ""},
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			got := h.send(t, method, "/v1/models", "", c.name, c.value)
			switch {
			case c.code != "":
				got.wantError(t, 403, c.code)
			case got.status == 403 || method == "GET" && got.status != 200:
				t.Errorf("%s with %s %s: got %d %s", method, c.name, c.value, got.status, got.body)
			}
		}
	}
	if got := h.raw(t, "GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("an absolute target got %q", got)
	}
	h.send(t, "POST", "/v1/completions", textWith(""), "Content-Type", "text/plain").wantError(t, 415, "unsupported_media_type")
}

// Pages of the list may ask and read; a preflight needs no key, and nobody hears of "*".
func TestSec_R03CORS(t *testing.T) {
	h, secrets := keyed(t, setup{config: func(c *Config) { c.Access.CORSOrigins = []string{"https://chat.example", "app://notes"} }})
	ask := func(origin, path string) reply {
		return h.send(t, "OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-evil")
	}
	got := ask("https://chat.example", "/v1/chat/completions")
	if got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "https://chat.example" || got.header.Get("Access-Control-Allow-Methods") != "POST" ||
		!strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "authorization") || strings.Contains(fmt.Sprint(got.header), "x-evil") || got.header.Get("Vary") != "Origin" {
		t.Errorf("got %d %v", got.status, got.header)
	}
	ask("https://evil.example", "/v1/chat/completions").wantError(t, 403, "origin_not_allowed")
	ask("https://chat.example", "/nowhere").wantError(t, 404, "unknown_url")
	h.send(t, "OPTIONS", "/v1/models", "").wantError(t, 405, "method_not_allowed")
	for _, key := range []string{"", "Bearer " + secrets[auth.Inference]} {
		got := h.send(t, "POST", "/v1/completions", textWith(`,"stream":true,"max_tokens":2`), "Origin", "app://notes", "Authorization", key)
		if (got.status == 200) != (key != "") || got.header.Get("Access-Control-Allow-Origin") != "app://notes" || !strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "x-request-id") {
			t.Errorf("with key %q: got %d %v", key, got.status, got.header)
		}
	}
	if got := h.send(t, "GET", "/health", ""); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a request without Origin got %v", got.header)
	}
}

func TestSec_R03BindNeedsKeys(t *testing.T) {
	good, _ := newKey(t, auth.Key{Scopes: auth.Inference})
	revoked, _ := newKey(t, auth.Key{Scopes: auth.Inference, Revoked: time.Now()})
	for _, c := range []struct {
		access Access
		ok     bool
	}{
		{Access{Host: "127.0.0.1"}, true}, {Access{Host: "localhost"}, true}, {Access{Host: "::1"}, true}, {Access{Host: "0.0.0.0"}, false}, {Access{}, false},
		{Access{Host: "10.0.0.1"}, false}, {Access{Host: "0.0.0.0", APIKeys: []string{"k"}}, true}, {Access{Host: "::", AdminKeys: []string{"k"}}, true},
		{Access{Host: "0.0.0.0", Keys: []auth.Key{good}}, true}, {Access{Host: "0.0.0.0", Keys: []auth.Key{revoked}}, false}, {Access{Host: "0.0.0.0", Keys: []auth.Key{}}, false},
		{Access{Host: "127.0.0.1", APIKeys: []string{""}}, false}, {Access{Host: "127.0.0.1", AdminKeys: []string{""}}, false},
		{Access{Host: "127.0.0.1", CORSOrigins: []string{"*"}}, false}, {Access{Host: "127.0.0.1", CORSOrigins: []string{"https://*.example"}}, false},
		{Access{Host: "127.0.0.1", CORSOrigins: []string{"https://a.example/"}}, false}, {Access{Host: "127.0.0.1", CORSOrigins: []string{"null"}}, false},
		{Access{Host: "127.0.0.1", CORSOrigins: []string{"https://a.example:8443"}}, true}, {Access{Host: "127.0.0.1", AllowedHosts: []string{"*"}}, false},
		{Access{Host: "127.0.0.1", AllowedHosts: []string{"a.example"}}, true}, {Access{Host: "127.0.0.1", AllowedHosts: make([]string, 65)}, false},
	} {
		if err := c.access.Validate(); (err == nil) != c.ok {
			t.Errorf("%+v: got %v", c.access, err)
		}
	}
}

// New keys take effect all at one time, a revoked one stops, and a file without keys does not open the server.
func TestKeysAreReplaced(t *testing.T) {
	one, secretOne := newKey(t, auth.Key{Scopes: auth.Inference})
	two, secretTwo := newKey(t, auth.Key{Scopes: auth.Inference})
	old, secretOld := newKey(t, auth.Key{Scopes: auth.Inference, Expires: time.Now().Add(-time.Hour)})
	h := start(t, setup{config: func(c *Config) {
		publicBind(c)
		c.Access.Keys, c.Access.APIKeys, c.Access.AdminKeys = []auth.Key{one, old}, []string{"sk-plain"}, []string{"sk-boss"}
	}})
	want := func(path, secret string, status int, code string) {
		t.Helper()
		if got := h.send(t, "GET", path, "", "Authorization", "Bearer "+secret); code != "" {
			got.wantError(t, status, code)
		} else if got.status != status {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	want("/v1/models", secretOne, 200, "")
	want("/v1/models", secretTwo, 401, "invalid_api_key")
	want("/v1/models", secretOld, 401, "expired_api_key")
	want("/v1/models", "sk-plain", 200, "")
	want("/v1/models", "sk-boss", 403, "insufficient_scope")
	want("/metrics", "sk-boss", 200, "")
	want("/metrics", "sk-plain", 403, "insufficient_scope")
	one.Revoked = time.Now()
	h.SetKeys([]auth.Key{one, two})
	want("/v1/models", secretOne, 401, "invalid_api_key")
	want("/v1/models", secretTwo, 200, "")
	want("/v1/models", "sk-plain", 200, "")
	h.SetKeys(nil)
	want("/v1/models", secretTwo, 401, "invalid_api_key")
	want("/v1/models", "", 401, "invalid_api_key")
	closed := start(t, setup{config: func(c *Config) { c.Access.Keys = []auth.Key{} }})
	closed.SetKeys(nil)
	closed.send(t, "GET", "/v1/models", "").wantError(t, 401, "invalid_api_key")
}

// A request that would go before others needs the scope for it.
func TestPriorityNeedsAdmin(t *testing.T) {
	h, secrets := keyed(t, setup{})
	for scopes, code := range map[auth.Scope]string{auth.Inference: "insufficient_scope", auth.Inference | auth.Admin: ""} {
		got := h.send(t, "POST", "/v1/completions", textWith(`,"max_tokens":1,"priority":-1`), "Authorization", "Bearer "+secrets[scopes])
		if code != "" {
			got.wantError(t, 403, code)
		} else if got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if got := h.send(t, "POST", "/v1/completions", textWith(`,"max_tokens":1,"priority":5`), "Authorization", "Bearer "+secrets[auth.Inference]); got.status != 200 {
		t.Errorf("a lower priority got %d %s", got.status, got.body)
	}
}

// Those without a key cannot make the server read a long body, whichever way they announce it.
func TestSec_R12StrangersSendNoBody(t *testing.T) {
	h, secrets := keyed(t, setup{})
	u, err := url.Parse(h.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ header, secret, status string }{
		{"Content-Length: 5000000", "", "401"}, {"Content-Length: 5000000", secrets[auth.Feedback], "403"},
		{"Transfer-Encoding: chunked", "", "413"}, {"Content-Length: 5000000\r\nExpect: 100-continue", "", "401"},
	} {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second)) // less than the time for a body
		fmt.Fprintf(conn, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n", c.secret, c.header)
		if strings.HasPrefix(c.header, "Transfer") {
			fmt.Fprintf(conn, "%x\r\n", 5000000)
		}
		answer, err := io.ReadAll(conn)
		if text := strings.TrimPrefix(string(answer), "HTTP/1.1 100 Continue\r\n\r\n"); err != nil || !strings.HasPrefix(text, "HTTP/1.1 "+c.status) {
			t.Errorf("%s: got %q, %v; want %s at once", c.header, answer, err, c.status)
		}
		conn.Close()
	}
}
